"""Joining and leaving, between Concorde and Synapse in both directions."""

import pytest

from client import q
from federation import has_event, history, membership, same_state
from pdus import VERSIONS
from waiting import eventually


def invited(client, room):
    """Waits for an invite; its stripped state."""
    return client.sync_until(
        lambda r: r.get("rooms", {}).get("invite", {}).get(room), seconds=20)["invite_state"]["events"]


def gone(client, room):
    return client.sync_until(lambda r: room in r.get("rooms", {}).get("leave", {}))


@pytest.mark.parametrize("version", VERSIONS)
def test_both_talk_in_a_room_of_each_version(alice, bob, host, version):
    room = alice.create_room(preset="public_chat", room_version=version)
    assert bob.join(room, via=[host.name]) == room
    eventually(lambda: membership(alice, room, bob) == "join")
    one, two = alice.send(room, "bonjour"), bob.send(room, "good day")
    eventually(lambda: has_event(bob, room, one) and has_event(alice, room, two))
    eventually(lambda: same_state(room, alice, bob))


def test_an_alias_leads_to_a_room_elsewhere(alice, bob, host):
    alias = f"#treaty-{alice.user_id[1:].split(':')[0]}:{host.name}"
    room = alice.create_room(preset="public_chat", room_alias_name=alias[1:].split(":")[0])
    assert bob.get(f"/directory/room/{q(alias)}")["room_id"] == room
    assert bob.join(alias) == room
    eventually(lambda: membership(alice, room, bob) == "join")


def test_an_invite_is_accepted(alice, bob):
    room = alice.create_room(preset="private_chat", name="Council")
    alice.invite(room, bob)
    stripped = invited(bob, room)
    assert any(e["type"] == "m.room.name" and e["content"] == {"name": "Council"} for e in stripped)
    bob.join(room)
    eventually(lambda: membership(alice, room, bob) == "join")
    eventually(lambda: same_state(room, alice, bob))


def test_an_invite_while_the_room_is_made(alice, bob):
    room = alice.create_room(preset="trusted_private_chat", invite=[bob.user_id], is_direct=True)
    invite = next(e for e in invited(bob, room)
                  if e["type"] == "m.room.member" and e["state_key"] == bob.user_id)
    assert invite["content"]["is_direct"] is True
    bob.join(room)
    eventually(lambda: same_state(room, alice, bob))


def test_an_invite_is_rejected(alice, bob):
    room = alice.create_room(preset="private_chat")
    alice.invite(room, bob)
    invited(bob, room)
    bob.leave(room)
    eventually(lambda: membership(alice, room, bob) == "leave")
    gone(bob, room)


def test_an_invite_is_taken_back(alice, bob, host, guest):
    room = alice.create_room(preset="private_chat")
    alice.invite(room, bob)
    invited(bob, room)
    alice.kick(room, bob, reason="a mistake")
    gone(bob, room)
    assert room not in bob.sync().get("rooms", {}).get("invite", {})


def test_a_knock_is_answered_with_an_invite(alice, bob, host):
    room = alice.create_room(preset="private_chat", name="Council", initial_state=[
        {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}])
    bob.post(f"/knock/{q(room)}", {"reason": "let me in"}, params=[("via", host.name)])
    eventually(lambda: membership(alice, room, bob) == "knock")
    assert alice.state(room, "m.room.member", bob.user_id)["reason"] == "let me in"
    knocked = bob.sync_until(lambda r: r.get("rooms", {}).get("knock", {}).get(room))
    assert any(e["type"] == "m.room.name" for e in knocked["knock_state"]["events"])
    alice.invite(room, bob)
    invited(bob, room)
    bob.join(room)
    eventually(lambda: membership(alice, room, bob) == "join")


def test_a_knock_is_taken_back(servers):
    """By a user of Concorde: Synapse sends no event when its users retract a knock."""
    alice, bob = servers.synapse.user("alice"), servers.concorde.user("bob")
    room = alice.create_room(preset="private_chat", initial_state=[
        {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}])
    bob.post(f"/knock/{q(room)}", {}, params=[("via", servers.synapse.name)])
    eventually(lambda: membership(alice, room, bob) == "knock")
    bob.sync_until(lambda r: room in r.get("rooms", {}).get("knock", {}))
    bob.leave(room)
    eventually(lambda: membership(alice, room, bob) == "leave")
    gone(bob, room)


def restricted(alice, allowed, rule="restricted", version="12"):
    return alice.create_room(preset="private_chat", room_version=version, initial_state=[
        {"type": "m.room.join_rules", "state_key": "", "content": {
            "join_rule": rule, "allow": [{"type": "m.room_membership", "room_id": allowed}]}}])


@pytest.mark.parametrize("version", ["8", "11", "12"])
def test_a_member_of_the_allowed_room_joins_a_restricted_one(alice, bob, host, joined, version):
    room = restricted(alice, joined, version=version)
    bob.join(room, via=[host.name])
    eventually(lambda: membership(alice, room, bob) == "join")
    eventually(lambda: same_state(room, alice, bob))
    member = alice.state(room, "m.room.member", bob.user_id)
    assert member["join_authorised_via_users_server"] == alice.user_id


def test_others_do_not_join_a_restricted_room(alice, guest, host, joined):
    room = restricted(alice, joined)
    outsider = guest.user("outsider")
    outsider.fails(403, "M_FORBIDDEN", "POST", f"/join/{q(room)}", params=[("via", host.name)])


def test_others_knock_on_a_restricted_room(alice, guest, host, joined):
    room = restricted(alice, joined, rule="knock_restricted")
    outsider = guest.user("outsider")
    outsider.post(f"/knock/{q(room)}", {}, params=[("via", host.name)])
    eventually(lambda: membership(alice, room, outsider) == "knock")


def test_a_private_room_is_closed(alice, bob, host):
    room = alice.create_room(preset="private_chat")
    bob.fails(403, "M_FORBIDDEN", "POST", f"/join/{q(room)}", params=[("via", host.name)])


def test_a_guest_leaves_and_rejoins(alice, bob, host, joined):
    bob.leave(joined)
    eventually(lambda: membership(alice, joined, bob) == "leave")
    missed = alice.send(joined, "while you were out")
    bob.join(joined, via=[host.name])
    eventually(lambda: membership(alice, joined, bob) == "join")
    eventually(lambda: missed in history(bob, joined))
    eventually(lambda: same_state(joined, alice, bob))


def test_a_guest_is_kicked(alice, bob, joined):
    alice.kick(joined, bob, reason="enough")
    left = bob.sync_until(lambda r: r.get("rooms", {}).get("leave", {}).get(joined))
    assert any(e["type"] == "m.room.member" and e["content"].get("reason") == "enough"
               for e in left["timeline"]["events"])


def test_a_guest_is_banned_and_may_return_after(alice, bob, host, joined):
    alice.ban(joined, bob)
    gone(bob, joined)
    bob.fails(403, "M_FORBIDDEN", "POST", f"/join/{q(joined)}", params=[("via", host.name)])
    alice.unban(joined, bob)
    bob.join(joined, via=[host.name])
    eventually(lambda: membership(alice, joined, bob) == "join")


def test_a_second_guest_joins_through_the_first(alice, bob, guest, joined):
    carol = guest.user("carol")
    carol.join(joined)
    eventually(lambda: membership(alice, joined, carol) == "join")
    carol.leave(joined)
    eventually(lambda: membership(alice, joined, carol) == "leave")
    assert membership(bob, joined, bob) == "join"

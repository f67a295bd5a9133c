"""Restricted rooms across servers (server-server-api, "Restricted rooms"): members of another room
may join, authorised by a user of a resident server."""

import pytest

import pdus
from federation import membership, same_state
from remote import FED, q
from waiting import eventually

RESTRICTED = pdus.VERSIONS[7:]


def restricted_room(client, gate, version, rule="restricted", **body):
    return client.create_room(preset="private_chat", room_version=version, initial_state=[
        {"type": "m.room.join_rules", "state_key": "",
         "content": {"join_rule": rule, "allow": [{"type": "m.room_membership", "room_id": gate}]}}],
        **body)


@pytest.mark.parametrize("version", RESTRICTED)
def test_members_of_the_other_room_join(two, version):
    a, b = two
    alice, bob, dora = a.user("alice"), b.user("bob"), b.user("dora")
    gate = alice.create_room(preset="public_chat")
    room = restricted_room(alice, gate, version)
    bob.fails(403, "M_FORBIDDEN", "POST", f"/join/{q(room)}", params={"via": a.name})
    bob.join(gate, via=[a.name])
    bob.join(room, via=[a.name])
    content = bob.state(room, "m.room.member", bob.user_id)
    assert content["join_authorised_via_users_server"] == alice.user_id
    eventually(lambda: same_state(room, alice, bob))
    # the server is in the room now, but none of its users may invite
    dora.join(gate)
    eventually(lambda: membership(alice, gate, dora) == "join")
    alice.send_state(room, "m.room.power_levels",
                     {**alice.state(room, "m.room.power_levels"), "invite": 50})
    eventually(lambda: bob.state(room, "m.room.power_levels")["invite"] == 50)
    dora.join(room)
    assert (dora.state(room, "m.room.member", dora.user_id)["join_authorised_via_users_server"]
            == alice.user_id)
    eventually(lambda: same_state(room, alice, bob, dora))
    hello = dora.send(room, "hello")
    eventually(lambda: alice.event(room, hello))


@pytest.mark.parametrize("version", RESTRICTED[2:])
def test_knock_restricted(two, version):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    gate = alice.create_room(preset="public_chat")
    room = restricted_room(alice, gate, version, "knock_restricted")
    bob.post(f"/knock/{q(room)}", params={"via": a.name})
    bob.leave(room)
    bob.join(gate, via=[a.name])
    bob.join(room, via=[a.name])
    eventually(lambda: membership(alice, room, bob) == "join")


def test_the_invited_need_no_authorising_user(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    gate = alice.create_room(preset="private_chat")
    room = restricted_room(alice, gate, "11")
    alice.invite(room, bob)
    eventually(lambda: room in bob.sync().get("rooms", {}).get("invite", {}))
    bob.join(room)
    assert "join_authorised_via_users_server" not in bob.state(room, "m.room.member", bob.user_id)


def test_answers_of_make_join(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    gate = alice.create_room(preset="public_chat")
    room = restricted_room(alice, gate, "10")
    path = f"{FED}/v1/make_join/{q(room)}/{q(carol)}?ver=10"
    remote.fails(a.name, 403, "M_FORBIDDEN", "GET", path)
    remote.join(a.name, gate, carol)
    made = remote.get(a.name, path)
    assert made["event"]["content"]["join_authorised_via_users_server"] == alice.user_id
    # a room that this server is not in
    far = restricted_room(alice, f"!far:{remote.name}", "10")
    remote.fails(a.name, 400, "M_UNABLE_TO_AUTHORISE_JOIN", "GET",
                 f"{FED}/v1/make_join/{q(far)}/{q(carol)}?ver=10")


def test_a_server_that_cannot_authorise_answers_so(two, remote):
    a, b = two
    alice, bob, carol = a.user("alice"), b.user("bob"), remote.user("carol")
    gate = alice.create_room(preset="public_chat")
    room = restricted_room(alice, gate, "10", power_level_content_override={"invite": 50})
    bob.join(gate, via=[a.name])
    bob.join(room, via=[a.name])
    remote.join(a.name, gate, carol)
    eventually(lambda: membership(bob, gate, carol) == "join")
    path = f"{FED}/v1/make_join/{q(room)}/{q(carol)}?ver=10"
    remote.fails(b.name, 400, "M_UNABLE_TO_GRANT_JOIN", "GET", path)
    remote.get(a.name, path)


@pytest.mark.parametrize("version", ["8", "12"])
def test_a_foreign_server_gets_our_signature(two, remote, version):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    gate = alice.create_room(preset="public_chat", room_version=version)
    room = restricted_room(alice, gate, version)
    remote.join(a.name, gate, carol)
    theirs = remote.join(a.name, room, carol)
    event = theirs.join_reply["event"]
    assert remote.is_signed(pdus.signed_bytes(event, version), a.name, event["signatures"][a.name])
    assert membership(alice, room, carol) == "join"


def test_we_authorise_no_join_that_is_not_allowed(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    gate = alice.create_room(preset="public_chat")
    room = restricted_room(alice, gate, "11")
    remote.join(a.name, gate, carol)
    made = remote.make(a.name, "join", room, carol)
    remote.leave(a.name, gate, carol)
    i, event = remote.fill_template(made["event"], "11", carol)
    remote.fails(a.name, 403, "M_FORBIDDEN", "PUT", f"{FED}/v2/send_join/{q(room)}/{q(i)}", event)
    assert "M_NOT_FOUND" in alice.request(
        "GET", f"/rooms/{q(room)}/state/m.room.member/{q(carol)}").text


def vouched_room(remote, alice, version="11"):
    carol = remote.user("carol")
    gate = remote.create_room(carol, version)
    room = remote.create_room(carol, version, join_rule={
        "join_rule": "restricted",
        "allow": [{"type": "m.room_membership", "room_id": gate.id}]})

    def answer(request):
        event = room.build(alice.user_id, "m.room.member",
                           {"membership": "join", "join_authorised_via_users_server": carol},
                           alice.user_id)
        event.pop("event_id", None)
        return 200, {"room_version": version, "event": event}

    remote.on("GET", f"{FED}/v1/make_join/", answer)
    return room


def test_a_join_without_authorising_user_is_not_accepted(two, remote):
    a, _ = two
    alice = a.user("alice")
    room = vouched_room(remote, alice)
    r = alice.request("POST", f"/join/{q(room.id)}", {}, params={"via": remote.name})
    assert r.status_code == 502  # send_join answered with our event, without their signature


def test_their_signature_lets_us_in(two, remote):
    a, _ = two
    alice = a.user("alice")
    room = vouched_room(remote, alice)

    def answer(request):
        from remote_answers import whole_state

        state, chain = whole_state(room, dict(room.state))
        event = pdus.add_signature(request.body, "11", remote.name, remote.key, remote.key_id)
        room.add(event)
        return 200, {"state": state, "auth_chain": chain, "event": event, "members_omitted": False}

    remote.on("PUT", f"{FED}/v2/send_join/", answer)
    alice.join(room.id, via=[remote.name])
    event = alice.sync()["rooms"]["join"][room.id]
    assert event


def test_vouched_for_elsewhere_after_events_that_we_have_not_seen(two, remote):
    """We are in the room, but none of our users may invite; a server whose users may is ahead."""
    from remote_answers import whole_state

    a, _ = two
    alice, bob, carol = a.user("alice"), a.user("bob"), remote.user("carol")
    gate = remote.create_room(carol, "11")
    room = remote.create_room(carol, "11", levels={"invite": 50}, join_rule={
        "join_rule": "restricted",
        "allow": [{"type": "m.room_membership", "room_id": gate.id}]})
    joined = []

    @remote.on("GET", f"{FED}/v1/make_join/{q(room.id)}")
    def make(request):
        user = bob.user_id if joined else alice.user_id
        event = room.build(user, "m.room.member", {
            "membership": "join", "join_authorised_via_users_server": carol}, user)
        return 200, {"room_version": "11", "event": event}

    @remote.on("PUT", f"{FED}/v2/send_join/{q(room.id)}")
    def send(request):
        state, chain = whole_state(room, dict(room.state))
        event = pdus.add_signature(request.body, "11", remote.name, remote.key, remote.key_id)
        joined.append(room.add(event))
        return 200, {"state": state, "auth_chain": chain, "event": event}

    alice.join(gate.id, via=[remote.name])
    bob.join(gate.id)
    alice.join(room.id, via=[remote.name])
    for n in range(3):
        remote.event(room, carol, "m.room.message", {"msgtype": "m.text", "body": str(n)})
    bob.join(room.id)
    assert len(joined) == 2
    eventually(lambda: membership(alice, room.id, bob) == "join")
    hello = bob.send(room.id, "hello")
    remote.wait_for(lambda: hello in remote.pdu_ids("11"))

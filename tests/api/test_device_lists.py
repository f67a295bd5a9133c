"""The users in `device_lists` of /sync and in /keys/changes; users of this server alone. Between
servers: test_fed_e2ee*.py."""

import pytest

from client import q
from e2ee import Device, Identity, query
from syncing import LAZY, inline, section, state_of


def lists(reply):
    found = reply.get("device_lists", {})
    return sorted(found.get("changed", [])), sorted(found.get("left", []))


def changes(client, since, until):
    found = client.get("/keys/changes", params={"from": since, "to": until})
    return sorted(found["changed"]), sorted(found["left"])


def both(client, **params):
    """device_lists of the next /sync; /keys/changes must give the same for that range."""
    since = client.next_batch
    reply = client.next_sync(**params)
    assert changes(client, since, reply["next_batch"]) == lists(reply)
    return lists(reply)


@pytest.fixture
def three(register):
    return register("alice"), register("bob"), register("carol")


# ---- joining and leaving ----


@pytest.mark.parametrize("way", ["leaves", "is kicked", "is banned"])
def test_leaving_and_rejoining_between_two_syncs_is_a_change(three, way):
    alice, bob, carol = three
    room = alice.create_room(preset="public_chat")
    bob.join(room), carol.join(room)
    Device(bob).upload()
    alice.next_sync()
    if way == "leaves":
        bob.leave(room)
    elif way == "is kicked":
        alice.kick(room, bob)
    else:
        alice.ban(room, bob), alice.unban(room, bob)
    second = Device(bob.another_device())
    second.upload()
    bob.join(room)
    assert both(alice) == ([bob.user_id], [])
    assert second.id in query(alice, bob.user_id)["device_keys"][bob.user_id]
    assert both(alice) == ([], [])


def test_a_rejoin_after_a_change_of_devices_is_a_change(three):
    """The change of devices is before `since`; only the rejoining is after it."""
    alice, bob, _ = three
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    Device(bob).upload()
    alice.next_sync()
    bob.leave(room), bob.join(room)
    assert both(alice) == ([bob.user_id], [])


def test_after_ones_own_rejoin_all_members_are_changed(three):
    alice, bob, carol = three
    room = alice.create_room(preset="public_chat")
    bob.join(room), carol.join(room)
    alice.next_sync()
    bob.next_sync()
    bob.leave(room)
    bob.join(room)
    assert both(bob) == (sorted(c.user_id for c in three), [])
    assert both(alice) == ([bob.user_id], [])


def test_rejoining_and_leaving_again_is_left(three):
    alice, bob, _ = three
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.next_sync(), bob.next_sync()
    bob.leave(room), bob.join(room), bob.leave(room)
    assert both(alice) == ([], [bob.user_id])
    assert both(bob) == ([], [alice.user_id])


def test_leaving_and_rejoining_one_of_two_rooms(three):
    """A room was shared all the time; a needless entry in `changed` only causes one more query."""
    alice, bob, _ = three
    rooms = [alice.create_room(preset="public_chat") for _ in range(2)]
    for room in rooms:
        bob.join(room)
    alice.next_sync()
    bob.leave(rooms[0])
    assert both(alice) == ([], [])
    bob.join(rooms[0])
    assert both(alice) == ([bob.user_id], [])


def test_joining_and_leaving_between_two_syncs_is_in_neither(three):
    alice, bob, _ = three
    room = alice.create_room(preset="public_chat")
    alice.next_sync()
    bob.join(room), bob.leave(room)
    assert both(alice) == ([], [])


def test_names_and_pictures_change_no_devices(three):
    alice, bob, _ = three
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.next_sync(), bob.next_sync()
    for n in range(3):
        bob.put(f"/profile/{q(bob.user_id)}/displayname", {"displayname": f"Bob {n}"})
    assert both(alice) == ([], []) == both(bob)


def test_invited_and_knocking_users_have_changed(three):
    alice, bob, carol = three
    room = alice.create_room(preset="private_chat", initial_state=[
        {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}])
    alice.next_sync()
    alice.invite(room, bob)
    assert both(alice) == ([bob.user_id], [])
    carol.post(f"/knock/{q(room)}")
    assert both(alice) == ([carol.user_id], [])
    bob.leave(room)
    assert both(alice) == ([], [])  # no room was shared


def test_ones_own_join_is_in_it(three):
    alice, bob, _ = three
    room = alice.create_room(preset="public_chat")
    bob.next_sync()
    bob.join(room)
    assert both(bob) == (sorted([alice.user_id, bob.user_id]), [])


def test_a_replaced_room(three):
    """Users of the old room who are not in the new one are in `left` when the old one is left."""
    alice, bob, carol = three
    old = alice.create_room(preset="public_chat")
    bob.join(old), carol.join(old)
    alice.next_sync()
    new = alice.post(f"/rooms/{q(old)}/upgrade", {"new_version": "11"})["replacement_room"]
    assert bob.user_id not in both(alice)[0]
    bob.join(new)
    assert both(alice) == ([bob.user_id], [])
    alice.leave(old)
    assert both(alice) == ([], [carol.user_id])
    carol.join(new)
    assert both(alice) == ([carol.user_id], [])


# ---- a limited timeline ----


@pytest.mark.parametrize("params", [{}, {"use_state_after": "true"}], ids=["state", "state_after"])
def test_a_gap_has_all_member_changes_also_lazily(three, register, params):
    alice, bob, carol = three
    dave, erin = register("dave"), register("erin")
    room = alice.create_room(preset="public_chat")
    for c in bob, carol, dave:
        c.join(room)
    lazily = {**inline(room={**LAZY["room"], "timeline": {"limit": 2}}), **params}
    alice.next_sync(**lazily)
    bob.leave(room)
    carol.leave(room), carol.join(room)
    erin.join(room)
    dave.put(f"/profile/{q(dave.user_id)}/displayname", {"displayname": "Dave"})
    for n in range(5):
        alice.send(room, f"{n}")
    reply = alice.next_sync(**lazily)
    assert section(reply, room)["timeline"]["limited"]
    state = state_of(reply, room, key="state_after" if params else "state")
    found = {k: e["content"] for (t, k), e in state.items() if t == "m.room.member"}
    assert found[bob.user_id]["membership"] == "leave"
    assert {found[c.user_id]["membership"] for c in (carol, dave, erin)} == {"join"}
    assert found[dave.user_id]["displayname"] == "Dave"
    assert lists(reply) == (sorted([carol.user_id, erin.user_id]), [bob.user_id])
    # The next reply has none of them again.
    alice.send(room, "x")
    again = state_of(alice.next_sync(**lazily), room, key="state_after" if params else "state")
    assert bob.user_id not in {k for t, k in again}


def test_redundant_members_are_sent_once(three):
    """A user who changed in the gap and also wrote in the timeline is once in `state`."""
    alice, bob, carol = three
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    lazily = inline(room={"timeline": {"limit": 1}, "state": {
        "lazy_load_members": True, "include_redundant_members": True}})
    alice.next_sync(**lazily)
    carol.join(room)
    carol.send(room, "x"), carol.send(room, "y")
    reply = alice.next_sync(**lazily)
    assert carol.user_id in {k for t, k in state_of(reply, room)}  # each key occurs once


# ---- other changes of devices ----


def is_changed(reply, user):
    return user.user_id in lists(reply)[0]


def test_a_login_without_keys_is_a_device_change(three):
    alice, bob, carol = three
    bob.join(alice.create_room(preset="public_chat"))
    for c in three:
        c.next_sync()
    bob.another_device()
    assert both(alice) == ([bob.user_id], [])
    assert both(bob) == ([bob.user_id], [])
    assert both(carol) == ([], [])


def test_a_new_user_signing_key_is_notified_to_own_devices_only(three):
    alice, bob, _ = three
    bob.join(alice.create_room(preset="public_chat"))
    phone = bob.another_device()
    identity = Identity(bob.user_id)
    bob.post("/keys/device_signing/upload", identity.body())
    alice.next_sync(), phone.next_sync()
    newer = Identity(bob.user_id)
    newer.master = identity.master
    body = {"user_signing_key": newer.user_signing_key(), "auth": {
        "type": "m.login.password", "password": bob.password,
        "identifier": {"type": "m.id.user", "user": bob.user_id}}}
    bob.post("/keys/device_signing/upload", body)
    assert both(phone) == ([bob.user_id], [])
    assert both(alice) == ([], [])
    newer.self_signing = Identity(bob.user_id).self_signing
    bob.post("/keys/device_signing/upload",
             {**body, "self_signing_key": newer.self_signing_key()})
    assert both(alice) == ([bob.user_id], [])


def test_nothing_is_left_out_when_empty(three):
    alice, bob, _ = three
    room = alice.create_room(preset="public_chat")
    assert "device_lists" not in alice.next_sync()
    alice.send(room, "x")
    assert "device_lists" not in alice.next_sync()
    bob.join(room)
    assert alice.next_sync()["device_lists"] == {"changed": [bob.user_id]}
    bob.leave(room)
    assert alice.next_sync()["device_lists"] == {"left": [bob.user_id]}

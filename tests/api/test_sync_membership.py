"""Client-server API, "Syncing": rooms that a user is invited to, knocks on, joins, leaves, is kicked
from, forgets and rejoins."""

import pytest

from client import q
from syncing import bodies, events_of, ids, inline, members_in, section, state_of

ARCHIVE = inline(room={"include_leave": True})


def rooms_in(reply):
    """{section: rooms}, without empty sections."""
    return {name: list(rooms) for name, rooms in reply.get("rooms", {}).items() if rooms}


def stripped(reply, room, name="invite"):
    events = section(reply, room, name)[f"{name}_state"]["events"]
    assert all(set(e) == {"type", "state_key", "sender", "content", "origin_server_ts"} for e in events)
    return {(e["type"], e["state_key"]): e for e in events}


# ---- invites and knocks ------------------------------------------------------------------------


def test_an_invite(alice, bob):
    bob.next_sync()
    room = alice.create_room(name="A room", topic="T", invite=[bob.user_id])
    for r in bob.next_sync(), bob.sync():
        assert rooms_in(r) == {"invite": [room]}
        state = stripped(r, room)
        assert state["m.room.create", ""]["content"]["room_version"]
        assert state["m.room.name", ""]["content"]["name"] == "A room"
        assert {"m.room.join_rules", "m.room.topic"} <= {kind for kind, _ in state}
        mine = state["m.room.member", bob.user_id]
        assert mine["content"]["membership"] == "invite" and mine["sender"] == alice.user_id
        assert state["m.room.member", alice.user_id]["content"]["membership"] == "join"
    alice.send(room, "x")
    assert rooms_in(bob.next_sync()) == {}  # an invited user gets no events of the room


@pytest.mark.parametrize("who", ["declined", "withdrawn"])
def test_an_invite_that_ends(alice, bob, who):
    """The room is in `leave`, without events of others."""
    room = alice.create_room(invite=[bob.user_id], name="secret")
    alice.send(room, "secret")
    bob.next_sync()
    bob.leave(room) if who == "declined" else alice.kick(room, bob)
    r = bob.next_sync()
    assert rooms_in(r) == {"leave": [room]}
    (event,) = events_of(r, room, "leave")
    assert event["state_key"] == bob.user_id and event["content"]["membership"] == "leave"
    assert section(r, room, "leave").get("state", {}).get("events", []) == []
    assert rooms_in(bob.next_sync()) == {}
    assert rooms_in(bob.sync()) == {}
    archived = section(bob.sync(**ARCHIVE), room, "leave")
    assert bodies(archived.get("timeline", {}).get("events", [])) == []
    assert archived.get("state", {}).get("events", []) == []
    for path in "state", "members", "state/m.room.name":
        bob.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(room)}/{path}")
    assert "secret" not in bob.request("GET", f"/rooms/{q(room)}/messages?dir=b").text


def test_an_invite_between_two_syncs_that_is_accepted(alice, bob):
    bob.next_sync()
    room = alice.create_room(invite=[bob.user_id])
    bob.join(room)
    assert rooms_in(bob.next_sync()) == {"join": [room]}


def test_an_invite_between_two_syncs_that_is_declined(alice, bob):
    bob.next_sync()
    room = alice.create_room(invite=[bob.user_id])
    bob.leave(room)
    assert rooms_in(bob.next_sync()) in ({}, {"leave": [room]})


def test_a_knock(alice, bob):
    room = alice.create_room(
        name="Knock", initial_state=[
            {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}])
    bob.next_sync()
    bob.post(f"/knock/{q(room)}")
    for r in bob.next_sync(), bob.sync():
        assert rooms_in(r) == {"knock": [room]}
        state = stripped(r, room, "knock")
        assert state["m.room.member", bob.user_id]["content"]["membership"] == "knock"
        assert ("m.room.create", "") in state and ("m.room.name", "") in state
    alice.invite(room, bob)
    assert rooms_in(bob.next_sync()) == {"invite": [room]}
    bob.join(room)
    assert rooms_in(bob.next_sync()) == {"join": [room]}


def test_a_knock_that_is_turned_down(alice, bob):
    room = alice.create_room(initial_state=[
        {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}])
    bob.post(f"/knock/{q(room)}")
    bob.next_sync()
    alice.kick(room, bob)
    r = bob.next_sync()
    assert rooms_in(r) == {"leave": [room]}
    assert section(r, room, "leave").get("state", {}).get("events", []) == []


# ---- joining -----------------------------------------------------------------------------------


def test_joining_shows_the_whole_room(alice, bob):
    room = alice.create_room(preset="public_chat", topic="old")
    for n in range(15):
        alice.send(room, f"{n}")
    bob.next_sync()
    bob.join(room)
    r = bob.next_sync()
    part = section(r, room)
    assert part["timeline"]["limited"] is True
    assert bodies(events_of(r, room)) == [f"{n}" for n in range(6, 15)]
    assert events_of(r, room)[-1]["state_key"] == bob.user_id
    assert state_of(r, room)["m.room.topic", ""]["content"]["topic"] == "old"
    assert members_in(state_of(r, room)) == [alice.user_id]
    assert part["summary"]["m.joined_member_count"] == 2


def test_joining_a_room_that_hides_its_past(alice, bob):
    room = alice.create_room(preset="public_chat", initial_state=[
        {"type": "m.room.history_visibility", "state_key": "",
         "content": {"history_visibility": "joined"}}])
    alice.send(room, "before")
    alice.send_state(room, "org.hidden", {})
    bob.next_sync()
    bob.join(room)
    alice.send(room, "after")
    r = bob.next_sync()
    assert bodies(events_of(r, room)) == ["after"]
    assert ("org.hidden", "") in state_of(r, room)  # its event is hidden, its state is not


# ---- leaving -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["leave", "kick", "ban"])
def test_leaving(alice, bob, how):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.next_sync()
    alice.send(room, "last words")
    alice.send_state(room, "m.room.topic", {"topic": "seen"})
    bob.leave(room) if how == "leave" else getattr(alice, how)(room, bob, reason="r")
    alice.send(room, "secret")
    alice.send_state(room, "m.room.topic", {"topic": "secret"})
    r = bob.next_sync()
    assert rooms_in(r) == {"leave": [room]}
    events = events_of(r, room, "leave")
    assert bodies(events) == ["last words"]
    assert events[-1]["content"]["membership"] == ("ban" if how == "ban" else "leave")
    assert "secret" not in str(r)
    assert rooms_in(bob.next_sync()) == {}
    assert rooms_in(bob.sync()) == {}
    r = bob.sync(**ARCHIVE)
    assert rooms_in(r) == {"leave": [room]}
    assert ids(events_of(r, room, "leave"))[-1] == ids(events)[-1]
    assert "secret" not in str(r)
    assert section(r, room, "leave")["timeline"].get("prev_batch")


def test_unbanning_and_banning_tell_nothing_of_the_room(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.ban(room, bob)
    bob.next_sync()
    alice.send_state(room, "m.room.topic", {"topic": "secret"})
    for change, membership in (alice.unban, "leave"), (alice.ban, "ban"):
        alice.send(room, "secret")
        change(room, bob)
        r = bob.next_sync()
        (event,) = events_of(r, room, "leave")
        assert event["content"]["membership"] == membership
        assert "secret" not in str(r)


def test_a_room_made_and_left_between_two_syncs(alice):
    alice.next_sync()
    room = alice.create_room()
    alice.leave(room)
    r = alice.next_sync()
    assert rooms_in(r) in ({}, {"leave": [room]})


def test_joined_and_left_between_two_syncs(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.next_sync()
    bob.join(room)
    alice.send(room, "seen")
    bob.leave(room)
    alice.send(room, "secret")
    r = bob.next_sync()
    assert rooms_in(r) == {"leave": [room]}
    assert "seen" in bodies(events_of(r, room, "leave"))
    assert "secret" not in str(r)


@pytest.mark.parametrize("visibility,seen", [("joined", False), ("shared", True)])
def test_left_and_rejoined_between_two_syncs(alice, bob, visibility, seen):
    room = alice.create_room(preset="public_chat", initial_state=[
        {"type": "m.room.history_visibility", "state_key": "",
         "content": {"history_visibility": visibility}}])
    bob.join(room)
    bob.next_sync()
    bob.leave(room)
    alice.send(room, "while away")
    topic = alice.send_state(room, "org.changed", {"x": "while away"})
    bob.join(room)
    alice.send(room, "back")
    r = bob.next_sync()
    assert rooms_in(r) == {"join": [room]}
    assert bodies(events_of(r, room)) == (["while away"] if seen else []) + ["back"]
    known = set(ids(events_of(r, room))) | {e["event_id"] for e in state_of(r, room).values()}
    assert topic in known  # members have all of the room's state


def test_rejoining_is_like_joining(alice, bob):
    room = alice.create_room(preset="public_chat", topic="T")
    bob.join(room)
    bob.next_sync()
    bob.leave(room)
    bob.next_sync()
    alice.send_state(room, "m.room.topic", {"topic": "new"})
    for n in range(12):
        alice.send(room, f"{n}")
    bob.join(room)
    r = bob.next_sync()
    assert rooms_in(r) == {"join": [room]}
    state = state_of(r, room)
    assert state["m.room.topic", ""]["content"] == {"topic": "new"}
    assert ("m.room.create", "") in state


# ---- forgetting --------------------------------------------------------------------------------


def test_forgotten_rooms_are_gone(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.leave(room)
    assert rooms_in(bob.sync(**ARCHIVE)) == {"leave": [room]}
    bob.post(f"/rooms/{q(room)}/forget")
    assert rooms_in(bob.sync(**ARCHIVE)) == {}
    bob.next_sync()
    bob.join(room)
    assert rooms_in(bob.next_sync()) == {"join": [room]}


def test_other_devices_hear_of_a_room_that_was_left_and_forgotten(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    tablet, phone = bob.another_device(), bob.another_device()
    tablet.next_sync()
    phone.next_sync()
    bob.leave(room)
    bob.post(f"/rooms/{q(room)}/forget")
    assert rooms_in(tablet.next_sync()) == {"leave": [room]}
    assert rooms_in(tablet.next_sync()) == {}
    assert rooms_in(bob.sync(**ARCHIVE)) == {}
    alice.invite(room, bob)
    assert rooms_in(phone.next_sync()) == {"invite": [room]}
    bob.leave(room)
    bob.join(room)
    assert rooms_in(tablet.next_sync()) == {"join": [room]}


def test_a_forgotten_room_is_sent_after_a_restart(fresh_server, register):
    server = fresh_server()
    alice = register("alice", on=server)
    room = alice.create_room()
    phone = alice.another_device()
    phone.next_sync()
    alice.leave(room)
    alice.post(f"/rooms/{q(room)}/forget")
    server.restart()
    phone.http.base_url = server.url
    assert rooms_in(phone.next_sync()) == {"leave": [room]}


def test_other_members_join_and_leave(alice, bob, register):
    room = alice.create_room(preset="public_chat")
    alice.next_sync()
    bob.join(room)
    (event,) = events_of(alice.next_sync(), room)
    assert event["state_key"] == bob.user_id
    assert event["content"]["membership"] == "join"
    alice.kick(room, bob)
    (event,) = events_of(alice.next_sync(), room)
    assert event["content"]["membership"] == "leave" and event["sender"] == alice.user_id
    assert event["unsigned"]["prev_content"]["membership"] == "join"


# ---- ranges that state_after covers ------------------------------------------------------------


AFTER = [("state_after", {"use_state_after": "true"}),
         ("org.matrix.msc4222.state_after", {"org.matrix.msc4222.use_state_after": "true"})]


@pytest.mark.parametrize("key,params", AFTER)
def test_state_after_initial(alice, key, params):
    room = alice.create_room()
    newest = alice.send_state(room, "m.room.topic", {"topic": "x"})
    r = alice.sync(**params)
    assert "state" not in section(r, room)
    state = state_of(r, room, key=key)
    assert state["m.room.topic", ""]["event_id"] == newest
    assert {(e["type"], e["state_key"]) for e in alice.state(room)} == set(state)


@pytest.mark.parametrize("key,params", AFTER)
def test_state_after_without_a_gap(alice, key, params):
    room = alice.create_room()
    alice.next_sync()
    alice.send_state(room, "m.room.topic", {"topic": "x"})
    newest = alice.send_state(room, "m.room.topic", {"topic": "y"})
    r = alice.next_sync(**params)
    assert len(events_of(r, room)) == 2
    assert {k: e["event_id"] for k, e in state_of(r, room, key=key).items()} == {
        ("m.room.topic", ""): newest}
    alice.send(room, "x")
    r = alice.next_sync(**params)
    assert section(r, room).get(key, {}).get("events", []) == []


@pytest.mark.parametrize("hidden", [False, True])
def test_state_after_with_a_gap(alice, hidden):
    room = alice.create_room()
    alice.next_sync()
    alice.send_state(room, "org.gap", {"n": 1})
    for n in range(15):
        alice.send(room, f"{n}")
    newest = alice.send_state(room, "m.room.topic", {"topic": "y"})
    filter = inline(room={"timeline": {"not_types": ["m.room.topic"]}}) if hidden else {}
    r = alice.next_sync(use_state_after="true", **filter)
    assert section(r, room)["timeline"]["limited"]
    state = state_of(r, room, key="state_after")
    assert set(state) == {("org.gap", ""), ("m.room.topic", "")}
    assert state["m.room.topic", ""]["event_id"] == newest


def test_state_after_newly_joined_and_left(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.next_sync()
    bob.join(room)
    alice.send_state(room, "m.room.topic", {"topic": "seen"})
    state = state_of(bob.next_sync(use_state_after="true"), room, key="state_after")
    assert state["m.room.topic", ""]["content"] == {"topic": "seen"}
    assert members_in(state) == sorted([alice.user_id, bob.user_id])
    alice.send_state(room, "m.room.topic", {"topic": "last"})
    bob.leave(room)
    alice.send_state(room, "m.room.topic", {"topic": "secret"})
    r = bob.next_sync(use_state_after="true")
    state = state_of(r, room, "leave", key="state_after")
    assert state["m.room.topic", ""]["content"] == {"topic": "last"}
    assert state["m.room.member", bob.user_id]["content"]["membership"] == "leave"


def test_state_after_a_declined_invite(alice, bob):
    """The leave event itself, which clients get nowhere else, and no other event of the room."""
    room = alice.create_room(invite=[bob.user_id], name="secret")
    bob.next_sync(use_state_after="true")
    bob.leave(room)
    r = bob.next_sync(use_state_after="true")
    assert list(state_of(r, room, "leave", key="state_after")) == [("m.room.member", bob.user_id)]


def test_state_after_lazily(alice, bob):
    room = alice.create_room(preset="public_chat", name="n")
    bob.join(room)
    alice.send(room, "x")
    lazy = inline(room={"state": {"lazy_load_members": True}, "timeline": {"limit": 1}})
    alice.next_sync(use_state_after="true", **lazy)
    bob.send(room, "1"), bob.send(room, "2")
    state = state_of(alice.next_sync(use_state_after="true", **lazy), room, key="state_after")
    assert members_in(state) == [bob.user_id]

"""Which users may see an event: history visibility by membership."""

import pytest

from client import q

VISIBILITY = ["world_readable", "shared", "invited", "joined"]


def room_with(alice, visibility):
    return alice.create_room(preset="private_chat", initial_state=[
        {"type": "m.room.history_visibility", "content": {"history_visibility": visibility}}])


def seen_by(client, room):
    """Bodies of all messages that /messages returns; /event must agree."""
    seen, at = [], {}
    while True:
        r = client.messages(room, dir="f", limit=100, **at)
        seen += r["chunk"]
        if not r["chunk"] or "end" not in r:
            break
        at = {"from": r["end"]}
    back = client.messages(room, limit=1000)["chunk"][::-1]
    assert [e["event_id"] for e in back] == [e["event_id"] for e in seen]
    return seen


def bodies(events):
    return [e["content"]["body"] for e in events if e["type"] == "m.room.message"]


@pytest.mark.parametrize("visibility, seen", [
    ("world_readable", ["before", "invited", "joined", "left"]),
    ("shared", ["before", "invited", "joined"]),
    ("invited", ["invited", "joined"]),
    ("joined", ["joined"]),
])
def test_through_a_membership(alice, bob, visibility, seen):
    room = room_with(alice, visibility)
    events = {"before": alice.send(room, "before")}
    alice.invite(room, bob)
    events["invited"] = alice.send(room, "invited")
    bob.join(room)
    events["joined"] = alice.send(room, "joined")
    while_joined = [b for b in seen if b != "left"]
    assert bodies(seen_by(bob, room)) == while_joined
    bob.leave(room)
    events["left"] = alice.send(room, "left")
    assert bodies(seen_by(bob, room)) == seen
    for body, event in events.items():
        status = bob.request("GET", f"/rooms/{q(room)}/event/{q(event)}").status_code
        assert status == (200 if body in seen else 404), body
        status = bob.request("GET", f"/rooms/{q(room)}/context/{q(event)}").status_code
        assert status == (200 if body in seen else 404), body
    assert bodies(seen_by(alice, room)) == ["before", "invited", "joined", "left"]


@pytest.mark.parametrize("visibility, seen", [
    ("world_readable", ["a", "b", "c"]),
    ("shared", ["a", "b", "c"]),
    ("invited", ["a", "c"]),
    ("joined", ["a", "c"]),
])
def test_while_away(alice, bob, visibility, seen):
    room = alice.create_room(preset="public_chat", initial_state=[
        {"type": "m.room.history_visibility", "content": {"history_visibility": visibility}}])
    bob.join(room)
    alice.send(room, "a")
    bob.leave(room)
    alice.send(room, "b")
    bob.join(room)
    alice.send(room, "c")
    assert bodies(seen_by(bob, room)) == seen


@pytest.mark.parametrize("visibility", VISIBILITY)
def test_outsiders(alice, bob, visibility):
    room = room_with(alice, visibility)
    event = alice.send(room, "hello")
    path = f"/rooms/{q(room)}/messages?dir=b"
    if visibility == "world_readable":
        assert bodies(seen_by(bob, room)) == ["hello"]
        assert bob.event(room, event)["unsigned"]["membership"] == "leave"
    else:
        bob.fails(403, "M_FORBIDDEN", "GET", path)
        bob.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(room)}/event/{q(event)}")


@pytest.mark.parametrize("visibility", VISIBILITY)
def test_the_invited_do_not_read_before_they_join(alice, bob, visibility):
    room = room_with(alice, visibility)
    alice.invite(room, bob)
    r = bob.request("GET", f"/rooms/{q(room)}/messages?dir=b")
    assert r.status_code == (200 if visibility == "world_readable" else 403)


def test_the_setting_of_its_time_counts(alice, bob):
    """Each event keeps the visibility of its own time, tighter or looser."""
    room = room_with(alice, "joined")
    alice.send(room, "joined")
    for visibility in ("shared", "invited", "world_readable", "joined"):
        alice.send_state(room, "m.room.history_visibility", {"history_visibility": visibility})
        alice.send(room, visibility)
    alice.invite(room, bob)
    bob.join(room)
    assert bodies(seen_by(bob, room)) == ["shared", "world_readable"]


def test_changes_of_the_setting_are_seen_from_either_side(alice, bob):
    room = room_with(alice, "joined")
    changes = [alice.send_state(room, "m.room.history_visibility", {"history_visibility": v})
               for v in ("world_readable", "joined", "invited")]
    alice.invite(room, bob)
    bob.join(room)
    seen = [e["event_id"] for e in seen_by(bob, room)]
    assert [c in seen for c in changes] == [True, True, False]


def test_own_membership_is_seen(alice, bob):
    room = room_with(alice, "joined")
    alice.invite(room, bob)
    bob.join(room)
    alice.send(room, "hello")
    alice.kick(room, bob)
    alice.send(room, "gone")
    own = [e for e in seen_by(bob, room) if e.get("state_key") == bob.user_id]
    assert [e["content"]["membership"] for e in own] == ["join", "leave"]
    assert bodies(seen_by(bob, room)) == ["hello"]


def test_the_banned_see_earlier_events_only(alice, bob):
    room = room_with(alice, "shared")
    alice.send(room, "before")
    alice.invite(room, bob)
    bob.join(room)
    alice.ban(room, bob)
    alice.send(room, "after")
    timeline = bob.sync(filter='{"room":{"include_leave":true}}')["rooms"]["leave"][room]["timeline"]
    assert bodies(timeline["events"]) == ["before"]
    bob.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(room)}/messages?dir=b")


@pytest.mark.parametrize("value", [None, "nonsense", 5])
def test_unknown_values_mean_shared(alice, bob, value):
    room = alice.create_room(preset="public_chat")
    content = {} if value is None else {"history_visibility": value}
    alice.send_state(room, "m.room.history_visibility", content)
    alice.send(room, "before")
    bob.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(room)}/messages?dir=b")
    bob.join(room)
    assert bodies(seen_by(bob, room)) == ["before"]


def test_forgotten_rooms_are_closed(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.leave(room)
    assert bob.messages(room)["chunk"]
    bob.post(f"/rooms/{q(room)}/forget")
    bob.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(room)}/messages?dir=b")


def test_membership_at_each_event_is_sent(alice, bob):
    room = room_with(alice, "shared")
    alice.send(room, "before")
    alice.invite(room, bob)
    alice.send(room, "invited")
    bob.join(room)
    alice.send(room, "joined")
    memberships = {e["content"]["body"]: e["unsigned"]["membership"]
                   for e in seen_by(bob, room) if e["type"] == "m.room.message"}
    assert memberships == {"before": "leave", "invited": "invite", "joined": "join"}

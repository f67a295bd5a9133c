"""GET /rooms/{roomId}/event/{eventId} and its neighbours by id and by time."""

import time

from client import q


def test_one_event(alice):
    room = alice.create_room()
    event_id = alice.send(room, "hello")
    e = alice.event(room, event_id)
    assert e["event_id"] == event_id and e["room_id"] == room
    assert e["content"]["body"] == "hello" and e["unsigned"]["age"] >= 0
    assert alice.get(f"/events/{q(event_id)}")["event_id"] == event_id


def test_unknown_events(alice):
    room, other = alice.create_room(), alice.create_room()
    event_id = alice.send(other, "elsewhere")
    for missing in (event_id, "$nothing", "nothing", "$" + 43 * "A"):
        alice.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(room)}/event/{q(missing)}")
    alice.fails(404, "M_NOT_FOUND", "GET", f"/rooms/!x:test.example/event/{q(event_id)}")
    alice.fails(404, "M_NOT_FOUND", "GET", "/events/%24nothing")


def test_events_of_others_are_not_found(alice, bob):
    room = alice.create_room()
    event_id = alice.send(room, "private")
    bob.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(room)}/event/{q(event_id)}")
    bob.fails(404, "M_NOT_FOUND", "GET", f"/events/{q(event_id)}")


def at_time(client, room, ts, dir, **kw):
    return client.get(f"/_matrix/client/v1/rooms/{q(room)}/timestamp_to_event",
                      params={"ts": ts, "dir": dir}, **kw)


def test_event_by_time(alice):
    room = alice.create_room()
    events = []
    for i in range(5):
        alice.server.advance(0.02)
        events.append(alice.event(room, alice.send(room, str(i))))
    for i, e in enumerate(events):
        ts = e["origin_server_ts"]
        assert at_time(alice, room, ts, "f") == {"event_id": e["event_id"], "origin_server_ts": ts}
        assert at_time(alice, room, ts, "b")["event_id"] == e["event_id"]
        if i:
            before = events[i - 1]["event_id"]
            assert at_time(alice, room, ts - 1, "b")["event_id"] == before
        if i + 1 < len(events):
            assert at_time(alice, room, ts + 1, "f")["event_id"] == events[i + 1]["event_id"]


def test_no_event_at_that_time(alice, bob):
    room = alice.create_room()
    path = f"/_matrix/client/v1/rooms/{q(room)}/timestamp_to_event"
    alice.fails(404, "M_NOT_FOUND", "GET", path, params={"ts": 1, "dir": "b"})
    later = int(time.time() * 1000) + 10**6
    alice.fails(404, "M_NOT_FOUND", "GET", path, params={"ts": later, "dir": "f"})
    assert at_time(alice, room, later, "b")["event_id"]
    assert at_time(alice, room, 1, "f")["event_id"] == alice.messages(room, dir="f", limit=1)["chunk"][0]["event_id"]
    alice.fails(400, "M_MISSING_PARAM", "GET", path, params={"dir": "f"})
    alice.fails(400, "M_MISSING_PARAM", "GET", path, params={"ts": 1})
    alice.fails(400, "M_INVALID_PARAM", "GET", path, params={"ts": "now", "dir": "f"})
    bob.fails(403, "M_FORBIDDEN", "GET", path, params={"ts": 1, "dir": "f"})


def test_time_skips_hidden_events(alice, bob):
    room = alice.create_room(preset="private_chat", initial_state=[
        {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}])
    hidden = alice.event(room, alice.send(room, "hidden"))
    alice.invite(room, bob)
    bob.join(room)
    found = at_time(bob, room, hidden["origin_server_ts"], "f")
    assert bob.event(room, found["event_id"])["content"]["membership"] == "join"

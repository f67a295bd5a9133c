"""GET /rooms/{roomId}/context/{eventId}."""

import json

from client import q


def context(client, room, event, **params):
    return client.get(f"/rooms/{q(room)}/context/{q(event)}", params=params)


def texts(events):
    return [e["content"].get("body") for e in events]


def talk(client, room, n=9):
    return [client.send(room, str(i)) for i in range(n)]


def test_around_an_event(alice):
    room = alice.create_room()
    ids = talk(alice, room)
    r = context(alice, room, ids[4], limit=4)
    assert r["event"]["event_id"] == ids[4]
    assert texts(r["events_before"]) == ["3", "2"]
    assert texts(r["events_after"]) == ["5", "6"]


def test_odd_limits_and_none(alice):
    room = alice.create_room()
    ids = talk(alice, room)
    r = context(alice, room, ids[4], limit=3)
    assert len(r["events_before"]) + len(r["events_after"]) == 3
    r = context(alice, room, ids[4], limit=0)
    assert r["events_before"] == r["events_after"] == [] and r["event"]["event_id"] == ids[4]
    r = context(alice, room, ids[4])
    assert len(r["events_before"]) == 5 and texts(r["events_after"]) == ["5", "6", "7", "8"]


def test_tokens_go_on(alice):
    room = alice.create_room()
    ids = talk(alice, room)
    for limit in (0, 1, 2, 4):
        r = context(alice, room, ids[4], limit=limit)
        first = (r["events_before"] or [r["event"]])[-1]["content"]["body"]
        last = (r["events_after"] or [r["event"]])[-1]["content"]["body"]
        before = alice.messages(room, limit=1, **{"from": r["start"]})
        after = alice.messages(room, dir="f", limit=1, **{"from": r["end"]})
        assert texts(before["chunk"]) == [str(int(first) - 1)]
        assert texts(after["chunk"]) == [str(int(last) + 1)]


def test_state_is_that_of_the_last_event(alice):
    room = alice.create_room(name="old")
    a = alice.send(room, "a")
    b = alice.send(room, "b")
    alice.send_state(room, "m.room.name", {"name": "new"})
    name = lambda r: [e["content"]["name"] for e in r["state"] if e["type"] == "m.room.name"]
    assert name(context(alice, room, a, limit=1)) == ["old"]
    assert name(context(alice, room, b, limit=2)) == ["new"]
    types = [e["type"] for e in context(alice, room, a)["state"]]
    assert {"m.room.create", "m.room.member", "m.room.power_levels"} <= set(types)


def test_filter(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    ids = []
    for i in range(4):
        ids.append(alice.send(room, f"a{i}"))
        bob.send(room, f"b{i}")
    r = context(alice, room, ids[2], limit=4, filter=json.dumps({"senders": [bob.user_id]}))
    assert r["event"]["content"]["body"] == "a2"  # the filter does not apply to the event itself
    assert texts(r["events_before"]) == ["b1", "b0"] and texts(r["events_after"]) == ["b2", "b3"]
    assert {e["sender"] for e in r["state"]} == {bob.user_id}


def test_lazy_loading(alice, bob, register):
    carol = register("carol")
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    carol.join(room)
    event = alice.send(room, "a")
    bob.send(room, "b")
    r = context(alice, room, event, limit=1, filter=json.dumps({"lazy_load_members": True}))
    members = {e["state_key"] for e in r["state"] if e["type"] == "m.room.member"}
    assert members == {alice.user_id, bob.user_id}
    assert any(e["type"] == "m.room.create" for e in r["state"])
    r = context(alice, room, event, limit=1)
    assert {e["state_key"] for e in r["state"] if e["type"] == "m.room.member"} >= {carol.user_id}


def test_hidden_events(alice, bob):
    room, other = alice.create_room(), alice.create_room()
    event = alice.send(room, "a")
    alice.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(other)}/context/{q(event)}")
    alice.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(room)}/context/%24x")
    bob.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(room)}/context/{q(event)}")

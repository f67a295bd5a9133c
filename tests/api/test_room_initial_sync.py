"""GET /rooms/{roomId}/initialSync."""

from client import q


def snapshot(client, room, **params):
    return client.get(f"/rooms/{q(room)}/initialSync", params=params)


def texts(reply):
    return [e["content"].get("body") for e in reply["messages"]["chunk"]]


def test_member(alice):
    room = alice.create_room(name="n", visibility="public")
    for text in "abc":
        alice.send(room, text)
    alice.put(f"/user/{q(alice.user_id)}/rooms/{q(room)}/account_data/org.example.x", {"a": 1})
    r = snapshot(alice, room, limit=2)
    assert r["room_id"] == room and r["membership"] == "join" and r["visibility"] == "public"
    assert texts(r) == ["b", "c"]
    assert {"m.room.create", "m.room.name", "m.room.member"} <= {e["type"] for e in r["state"]}
    assert r["account_data"] == [{"type": "org.example.x", "content": {"a": 1}}]
    earlier = alice.messages(room, limit=1, **{"from": r["messages"]["start"]})["chunk"]
    assert [e["content"]["body"] for e in earlier] == ["a"]


def test_those_who_left_see_what_was_then(alice, bob):
    room = alice.create_room(preset="public_chat", name="then")
    bob.join(room)
    alice.send(room, "then")
    bob.leave(room)
    alice.send(room, "now")
    alice.send_state(room, "m.room.name", {"name": "now"})
    r = snapshot(bob, room)
    assert r["membership"] == "leave" and "then" in texts(r) and "now" not in texts(r)
    assert [e["content"]["name"] for e in r["state"] if e["type"] == "m.room.name"] == ["then"]


def test_strangers(alice, bob):
    room = alice.create_room()
    bob.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(room)}/initialSync")
    alice.send_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    alice.send(room, "hello")
    r = snapshot(bob, room)
    assert texts(r)[-1] == "hello" and "membership" not in r and r["visibility"] == "private"

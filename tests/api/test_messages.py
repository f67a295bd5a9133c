"""GET /rooms/{roomId}/messages: pagination, filters, lazily loaded members."""

import json

from client import q


def bodies(reply):
    return [e["content"].get("body") for e in reply["chunk"] if e["type"] == "m.room.message"]


def numbered(client, room, n):
    return [client.send(room, str(i)) for i in range(n)]


def test_backwards_from_the_end(alice):
    room = alice.create_room()
    numbered(alice, room, 5)
    r = alice.messages(room, limit=3)
    assert bodies(r) == ["4", "3", "2"]
    assert r["start"] and r["end"] and "state" not in r
    assert bodies(alice.messages(room, limit=2, **{"from": r["end"]})) == ["1", "0"]


def test_backwards_to_the_beginning(alice):
    room = alice.create_room()
    numbered(alice, room, 7)
    seen, at = [], {}
    for _ in range(100):
        r = alice.messages(room, limit=4, **at)
        seen += r["chunk"]
        if "end" not in r:
            break
        at = {"from": r["end"]}
    else:
        raise AssertionError("there is no end")
    assert seen[-1]["type"] == "m.room.create"
    assert len({e["event_id"] for e in seen}) == len(seen)
    assert len(r["chunk"]) > 0  # the last page is not empty


def test_forwards(alice):
    room = alice.create_room()
    ids = numbered(alice, room, 6)
    first = alice.messages(room, dir="f", limit=2)
    assert [e["type"] for e in first["chunk"]][0] == "m.room.create"
    seen, r = list(first["chunk"]), first
    while r["chunk"]:
        r = alice.messages(room, dir="f", limit=3, **{"from": r["end"]})
        assert len(r["chunk"]) <= 3
        seen += r["chunk"]
    assert [e["event_id"] for e in seen[-6:]] == ids
    back = alice.messages(room, limit=1000)["chunk"]
    assert [e["event_id"] for e in back[::-1]] == [e["event_id"] for e in seen]


def test_at_the_live_end_one_can_go_on(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    numbered(alice, room, 3)
    r = alice.messages(room, dir="f", limit=1000)
    again = alice.messages(room, dir="f", **{"from": r["end"]})
    assert again["chunk"] == []
    numbered(alice, room, 2)
    assert bodies(alice.messages(room, dir="f", **{"from": again["end"]})) == ["0", "1"]
    assert "end" not in alice.messages(room, dir="f", to=r["end"], limit=1000)
    bob.leave(room)
    numbered(alice, room, 1)
    assert "end" not in bob.messages(room, dir="f", limit=1000)  # no later event is visible to them


def test_permission_is_checked_first(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.fails(400, "M_MISSING_PARAM", "GET", f"/rooms/{q(room)}/messages")
    bob.leave(room)
    bob.post(f"/rooms/{q(room)}/forget")
    for query in "", "?dir=x", "?dir=b&from=nowhere":
        bob.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(room)}/messages{query}")


def test_start_is_from(alice):
    room = alice.create_room()
    numbered(alice, room, 3)
    r = alice.messages(room, limit=1)
    again = alice.messages(room, limit=1, **{"from": r["end"]})
    assert again["start"] == r["end"]
    assert bodies(alice.messages(room, limit=1, **{"from": r["start"]})) == ["2"]


def test_to_ends_the_range(alice):
    room = alice.create_room()
    numbered(alice, room, 6)
    two = alice.messages(room, limit=2)["end"]
    four = alice.messages(room, limit=4)["end"]
    r = alice.messages(room, limit=10, **{"from": two, "to": four})
    assert bodies(r) == ["3", "2"] and "end" not in r
    r = alice.messages(room, dir="f", limit=10, **{"from": four, "to": two})
    assert bodies(r) == ["2", "3"]


def test_turning_around_shows_each_event_once(alice):
    room = alice.create_room()
    numbered(alice, room, 4)
    end = alice.messages(room, limit=2)["end"]
    assert bodies(alice.messages(room, dir="f", limit=10, **{"from": end})) == ["2", "3"]


def test_events_have_the_client_format(alice):
    room = alice.create_room()
    txn = "a-transaction"
    event_id = alice.send(room, "hello", txn=txn)
    e = alice.messages(room, limit=1)["chunk"][0]
    assert e["event_id"] == event_id and e["room_id"] == room and e["sender"] == alice.user_id
    assert e["type"] == "m.room.message" and e["content"] == {"msgtype": "m.text", "body": "hello"}
    assert e["unsigned"]["age"] >= 0 and e["unsigned"]["membership"] == "join"
    assert e["unsigned"]["transaction_id"] == txn
    assert not {"hashes", "signatures", "auth_events", "prev_events", "depth"} & e.keys()
    other = alice.another_device()
    assert "transaction_id" not in other.messages(room, limit=1)["chunk"][0]["unsigned"]


def test_state_names_the_replaced_event(alice):
    room = alice.create_room(name="first")
    before = alice.messages(room, limit=50, filter=json.dumps({"types": ["m.room.name"]}))["chunk"][0]
    alice.send_state(room, "m.room.name", {"name": "second"})
    e = alice.messages(room, limit=1)["chunk"][0]
    assert e["unsigned"]["prev_content"] == {"name": "first"}
    assert e["unsigned"]["replaces_state"] == before["event_id"]
    assert e["unsigned"]["prev_sender"] == alice.user_id


def test_redacted_events_say_why(alice):
    room = alice.create_room()
    event_id = alice.send(room, "a secret")
    redaction = alice.redact(room, event_id, reason="said too much")
    redacted = [e for e in alice.messages(room)["chunk"] if e["event_id"] == event_id][0]
    assert redacted["content"] == {}
    because = redacted["unsigned"]["redacted_because"]
    assert because["event_id"] == redaction and because["content"]["reason"] == "said too much"


def test_bad_parameters(alice):
    room = alice.create_room()
    path = f"/rooms/{q(room)}/messages"
    alice.fails(400, "M_MISSING_PARAM", "GET", path)
    alice.fails(400, "M_INVALID_PARAM", "GET", path, params={"dir": "up"})
    alice.fails(400, "M_INVALID_PARAM", "GET", path, params={"dir": "b", "from": "elsewhere"})
    alice.fails(400, "M_INVALID_PARAM", "GET", path, params={"dir": "b", "limit": "-1"})
    alice.fails(400, "M_NOT_JSON", "GET", path, params={"dir": "b", "filter": "{"})
    r = alice.messages(room, limit=10**9)
    assert len(r["chunk"]) > 3


def test_only_members_read(alice, bob, anonymous):
    room = alice.create_room()
    bob.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(room)}/messages", params={"dir": "b"})
    bob.fails(403, "M_FORBIDDEN", "GET", "/rooms/!nowhere:test.example/messages", params={"dir": "b"})
    anonymous.fails(401, "M_MISSING_TOKEN", "GET", f"/rooms/{q(room)}/messages", params={"dir": "b"})


# ---- filters ----


def filtered(client, room, limit=100, **filter):
    return client.messages(room, limit=limit, filter=json.dumps(filter))


def test_filter_by_type(alice):
    room = alice.create_room(name="n", topic="t")
    alice.send(room, "hello")
    types = lambda **f: {e["type"] for e in filtered(alice, room, **f)["chunk"]}
    assert types(types=["m.room.name"]) == {"m.room.name"}
    assert types(types=["m.room.na*", "m.room.topic"]) == {"m.room.name", "m.room.topic"}
    assert "m.room.message" in types(not_types=["m.room.na*"])
    assert "m.room.name" not in types(not_types=["m.room.na*"])
    assert types(types=[]) == set()


def test_filter_by_sender(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.send(room, "a")
    bob.send(room, "b")
    assert bodies(filtered(alice, room, senders=[bob.user_id])) == ["b"]
    assert bodies(filtered(alice, room, not_senders=[bob.user_id])) == ["a"]


def test_filter_by_url(alice):
    room = alice.create_room()
    alice.send(room, "plain")
    alice.send(room, {"msgtype": "m.image", "body": "image", "url": "mxc://test.example/x"})
    assert bodies(filtered(alice, room, contains_url=True)) == ["image"]
    assert "image" not in bodies(filtered(alice, room, contains_url=False))


def test_filter_applies_before_the_limit(alice):
    room = alice.create_room()
    alice.send(room, {"msgtype": "m.image", "body": "old", "url": "mxc://test.example/x"})
    numbered(alice, room, 30)
    r = filtered(alice, room, limit=1, contains_url=True)
    assert bodies(r) == ["old"]


def test_filter_by_relation(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    plain, root, liked = (alice.send(room, x) for x in ("plain", "root", "liked"))
    reply = {"msgtype": "m.text", "body": "in thread",
             "m.relates_to": {"rel_type": "m.thread", "event_id": root}}
    bob.send(room, reply)
    alice.send(room, {"m.relates_to": {"rel_type": "m.annotation", "event_id": liked, "key": "+"}},
               type="m.reaction")
    assert bodies(filtered(alice, room, related_by_rel_types=["m.thread"])) == ["root"]
    assert bodies(filtered(alice, room, related_by_senders=[alice.user_id])) == ["liked"]
    assert bodies(filtered(alice, room, related_by_senders=[bob.user_id],
                           related_by_rel_types=["m.thread"])) == ["root"]
    assert bodies(filtered(alice, room, related_by_senders=[bob.user_id],
                           related_by_rel_types=["m.annotation"])) == []
    assert bodies(filtered(alice, room, **{"org.matrix.msc3874.rel_types": ["m.thread"]})) == ["in thread"]
    without = bodies(filtered(alice, room, **{"org.matrix.msc3874.not_rel_types": ["m.thread"]}))
    assert without == ["liked", "root", "plain"]


def test_a_filter_that_nothing_passes_is_answered_in_steps(alice):
    room = alice.create_room()
    numbered(alice, room, 5)
    steps, at = 0, {}
    while True:
        r = alice.messages(room, filter=json.dumps({"types": ["no.such.type"]}), **at)
        assert r["chunk"] == []
        steps += 1
        if "end" not in r:
            break
        at = {"from": r["end"]}
    assert steps < 5


def test_lazy_loading(alice, bob, register):
    carol = register("carol")
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    carol.join(room)
    alice.send(room, "a")
    bob.send(room, "b")
    r = filtered(alice, room, limit=1, lazy_load_members=True)
    assert bodies(r) == ["b"]
    assert [(e["type"], e["state_key"]) for e in r["state"]] == [("m.room.member", bob.user_id)]
    assert r["state"][0]["content"]["membership"] == "join"
    r = filtered(alice, room, limit=2, lazy_load_members=True)
    assert {e["state_key"] for e in r["state"]} == {alice.user_id, bob.user_id}


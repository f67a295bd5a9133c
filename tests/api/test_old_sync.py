"""The routes that /sync replaced: GET /rooms/{roomId}/initialSync, GET /initialSync, GET /events."""

import threading

from client import q
from server import metric
from waiting import eventually


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


def test_users_who_left_see_the_past_state(alice, bob):
    room = alice.create_room(preset="public_chat", name="then")
    bob.join(room)
    alice.send(room, "then")
    bob.leave(room)
    alice.send(room, "now")
    alice.send_state(room, "m.room.name", {"name": "now"})
    r = snapshot(bob, room)
    assert r["membership"] == "leave" and "then" in texts(r) and "now" not in texts(r)
    assert [e["content"]["name"] for e in r["state"] if e["type"] == "m.room.name"] == ["then"]


def test_outsiders(alice, bob):
    room = alice.create_room()
    bob.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(room)}/initialSync")
    alice.send_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    alice.send(room, "hello")
    r = snapshot(bob, room)
    assert texts(r)[-1] == "hello" and "membership" not in r and r["visibility"] == "private"


# ---- receipts and presence -------------------------------------------------------------------


def test_with_receipts_and_presence(alice, bob, register):
    carol = register("carol")
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    carol.join(room)
    said = alice.send(room, "read me")
    for who in bob, carol:
        who.post(f"/rooms/{q(room)}/receipt/m.read/{q(said)}", {})
        who.put(f"/presence/{q(who.user_id)}/status", {"presence": "online"})
    r = eventually(lambda: (lambda r: r if len(r["presence"]) >= 2 else None)(snapshot(alice, room)))
    assert {bob.user_id, carol.user_id} <= {e["sender"] for e in r["presence"]}
    (receipts,) = r["receipts"]
    assert receipts["type"] == "m.receipt" and receipts["room_id"] == room
    assert set(receipts["content"][said]["m.read"]) == {bob.user_id, carol.user_id}
    alice.put(f"/user/{q(alice.user_id)}/account_data/m.ignored_user_list",
              {"ignored_users": {bob.user_id: {}}})
    r = snapshot(alice, room)
    assert bob.user_id not in {e["sender"] for e in r["presence"]}
    assert set(r["receipts"][0]["content"][said]["m.read"]) == {carol.user_id}


def test_members_who_left_do_not_see_the_current_members(alice, bob, anonymous):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.put(f"/presence/{q(alice.user_id)}/status", {"presence": "online"})
    eventually(lambda: snapshot(bob, room)["presence"])
    bob.leave(room)
    assert snapshot(bob, room)["presence"] == [] and snapshot(alice, room)["presence"]


# ---- GET /initialSync --------------------------------------------------------------------------


def rooms_of(client, **params):
    r = client.get("/initialSync", params=params)
    return r, {x["room_id"]: x for x in r["rooms"]}


def test_all_rooms_at_once(alice, bob, anonymous):
    joined = alice.create_room(name="joined")
    for text in "abc":
        alice.send(joined, text)
    alice.put(f"/user/{q(alice.user_id)}/account_data/org.example.x", {"a": 1})
    alice.put(f"/user/{q(alice.user_id)}/rooms/{q(joined)}/account_data/org.example.y", {"b": 2})
    invited = bob.create_room(invite=[alice.user_id])
    left = bob.create_room(preset="public_chat")
    alice.join(left)
    alice.leave(left)
    banned = bob.create_room(preset="public_chat")
    alice.join(banned)
    bob.ban(banned, alice)
    r, rooms = rooms_of(alice, limit=2)
    assert set(rooms) == {joined, invited} and isinstance(r["presence"], list)
    assert texts(rooms[joined]) == ["b", "c"] and rooms[joined]["membership"] == "join"
    assert {"m.room.create", "m.room.name"} <= {e["type"] for e in rooms[joined]["state"]}
    assert rooms[joined]["account_data"] == [{"type": "org.example.y", "content": {"b": 2}}]
    assert {"type": "org.example.x", "content": {"a": 1}} in r["account_data"]
    assert "m.push_rules" in {d["type"] for d in r["account_data"]}
    assert rooms[invited]["membership"] == "invite"
    assert rooms[invited]["invite"]["content"]["membership"] == "invite"
    _, rooms = rooms_of(alice, archived="true")
    assert rooms[left]["membership"] == "leave" and rooms[left]["state"]
    assert rooms[banned] == {"room_id": banned, "membership": "ban"}
    alice.post(f"/rooms/{q(left)}/forget")
    assert left not in rooms_of(alice, archived="true")[1]
    alice.put(f"/user/{q(alice.user_id)}/account_data/m.ignored_user_list",
              {"ignored_users": {bob.user_id: {}}})
    assert invited not in rooms_of(alice)[1]
    anonymous.fails(401, "M_MISSING_TOKEN", "GET", "/initialSync")


# ---- GET /events -------------------------------------------------------------------------------


class Stream:
    def __init__(self, client, **params):
        self.client, self.params = client, params
        self.at = client.get("/initialSync")["end"] if not params else client.get("/events")["end"]

    def read(self, timeout=0):
        r = self.client.get("/events", params={"from": self.at, "timeout": timeout, **self.params})
        assert r["start"] == self.at
        self.at = r["end"]
        return r["chunk"]

    def until(self, check):
        seen = []
        for _ in range(50):
            seen += self.read(timeout=5000)
            if check(seen):
                return seen
        raise AssertionError(f"it did not come: {seen}")


def bodies(events):
    return [e["content"]["body"] for e in events if e["type"] == "m.room.message"]


def test_events_come_once_and_wait(alice, bob):
    room = alice.create_room(preset="public_chat")
    other = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.join(other)
    stream = Stream(bob)
    alice.send(room, "one")
    alice.send(other, "two")
    seen = stream.until(lambda seen: len(bodies(seen)) == 2)
    assert sorted(bodies(seen)) == ["one", "two"]
    assert {e["room_id"] for e in seen if e["type"] == "m.room.message"} == {room, other}
    assert bodies(stream.read()) == []
    waiting = threading.Thread(target=lambda: found.extend(
        stream.until(lambda seen: bodies(seen))))
    found = []
    waiting.start()
    alice.send(room, "three")
    waiting.join(60)
    assert bodies(found) == ["three"]


def test_events_of_more_than_a_page_are_all_returned(alice, bob):
    room = alice.create_room(preset="public_chat")
    others = [alice.create_room(preset="public_chat") for _ in range(20)]
    for r in [room, *others]:
        bob.join(r)
    stream = Stream(bob)
    for r in others:
        alice.send(r, "elsewhere")
    texts = [str(i) for i in range(120)]
    for text in texts:
        alice.send(room, text)
    seen = stream.until(lambda seen: texts[-1] in bodies(seen))
    got = [e["content"]["body"] for e in seen
           if e["type"] == "m.room.message" and e["room_id"] == room]
    assert got == texts
    assert bodies(seen).count("elsewhere") == 20


def test_events_besides_messages(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    said = bob.send(room, "read me")
    stream = Stream(bob)
    alice.post(f"/rooms/{q(room)}/receipt/m.read/{q(said)}", {})
    alice.put(f"/rooms/{q(room)}/typing/{q(alice.user_id)}", {"typing": True, "timeout": 60000})
    alice.put(f"/presence/{q(alice.user_id)}/status", {"presence": "online"})
    invited = alice.create_room(invite=[bob.user_id])
    seen = stream.until(lambda seen: {"m.receipt", "m.typing", "m.presence", "m.room.member"}
                        <= {e["type"] for e in seen})
    typing = [e for e in seen if e["type"] == "m.typing"][-1]
    assert typing["room_id"] == room and typing["content"] == {"user_ids": [alice.user_id]}
    assert [e for e in seen if e["type"] == "m.receipt"][0]["room_id"] == room
    (invite,) = [e for e in seen if e["type"] == "m.room.member"]
    assert invite["room_id"] == invited and invite["content"]["membership"] == "invite"


def test_events_of_a_room_that_one_only_looks_into(alice, bob):
    room = alice.create_room(preset="public_chat")
    alice.send(room, "before")
    bob.fails(403, "M_FORBIDDEN", "GET", "/events", params={"room_id": room})
    alice.send_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    stream = Stream(bob, room_id=room)
    alice.send(room, "for all to see")
    assert bodies(stream.until(lambda seen: bodies(seen))) == ["for all to see"]
    bob.fails(403, "M_FORBIDDEN", "GET", "/events", params={"room_id": "!nowhere:test.example"})


def test_peeking_waits_for_new_events(fresh_server, register):
    """Without polling the database meanwhile."""
    server = fresh_server()
    alice, bob = (register(name, on=server) for name in ("alice", "bob"))
    room = alice.create_room(initial_state=[{"type": "m.room.history_visibility",
                                             "content": {"history_visibility": "world_readable"}}])
    stream, hits = Stream(bob, room_id=room), 'concorde_cache_hits_total{cache="rooms"}'
    stream.read()
    before = metric(server, hits)
    stream.read()
    of_one_look = metric(server, hits) - before
    assert of_one_look > 0
    assert stream.read(timeout=4000) == []
    assert metric(server, hits) - before <= 3 * of_one_look  # at the beginning, and at the end

    found = []
    waiting = threading.Thread(target=lambda: found.extend(stream.read(timeout=600000)))
    waiting.start()
    eventually(lambda: metric(server, "concorde_http_requests_parked") == 1)
    alice.send(room, "new")
    waiting.join(60)
    assert bodies(found) == ["new"]


def test_events_stop_at_the_leaving(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    stream = Stream(bob)
    alice.send(room, "before")
    bob.leave(room)
    alice.send(room, "after")
    seen = stream.until(lambda seen: any(e.get("state_key") == bob.user_id for e in seen))
    assert bodies(seen) == ["before"] and bodies(stream.read()) == []
    bob.fails(400, "M_INVALID_PARAM", "GET", "/events", params={"from": "nowhere"})

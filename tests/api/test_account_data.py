"""Client config: account data, globally and of a room."""

import pytest

from client import q


def path(client, type, room=None):
    where = f"/rooms/{q(room)}" if room else ""
    return f"/user/{q(client.user_id)}{where}/account_data/{q(type)}"


def events(reply, room=None):
    part = reply["rooms"]["join"].get(room, {}) if room else reply
    return {e["type"]: e["content"] for e in part.get("account_data", {}).get("events", [])}


def test_stored_values_are_returned(alice):
    content = {"a": [1, 2.5, {"b": "ä\n\"\\"}], "empty": {}, "null": None}
    assert alice.put(path(alice, "org.example.test"), content) == {}
    assert alice.get(path(alice, "org.example.test")) == content
    alice.put(path(alice, "org.example.test"), {})
    assert alice.get(path(alice, "org.example.test")) == {}


def test_missing_is_not_found(alice):
    alice.fails(404, "M_NOT_FOUND", "GET", path(alice, "org.example.nothing"))
    room = alice.create_room()
    alice.fails(404, "M_NOT_FOUND", "GET", path(alice, "org.example.nothing", room))


def test_a_room_does_not_inherit(alice):
    room = alice.create_room()
    alice.put(path(alice, "org.example.test"), {"n": 1})
    alice.fails(404, "M_NOT_FOUND", "GET", path(alice, "org.example.test", room))
    alice.put(path(alice, "org.example.test", room), {"n": 2})
    assert alice.get(path(alice, "org.example.test")) == {"n": 1}
    assert alice.get(path(alice, "org.example.test", room)) == {"n": 2}


def test_only_ones_own(alice, bob):
    bob.fails(403, "M_FORBIDDEN", "PUT", path(alice, "org.example.test"))
    bob.fails(403, "M_FORBIDDEN", "GET", path(alice, "org.example.test"))
    room = alice.create_room()
    bob.fails(403, "M_FORBIDDEN", "PUT", path(alice, "org.example.test", room))
    bob.fails(403, "M_FORBIDDEN", "GET", path(alice, "org.example.test", room))


@pytest.mark.parametrize("type", ["m.fully_read", "m.push_rules"])
def test_values_that_the_server_manages(alice, type):
    room = alice.create_room()
    alice.fails(405, "M_BAD_JSON", "PUT", path(alice, type), {"event_id": "$x"})
    alice.fails(405, "M_BAD_JSON", "PUT", path(alice, type, room), {"event_id": "$x"})


def test_push_rules_can_be_read(alice):
    assert alice.get(path(alice, "m.push_rules")) == alice.get("/pushrules/")


@pytest.mark.parametrize("body, errcode", [(b"[1]", "M_BAD_JSON"), (b"nonsense", "M_NOT_JSON"),
                                           (b"", "M_NOT_JSON")])
def test_only_objects(alice, body, errcode):
    r = alice.request("PUT", path(alice, "org.example.test"), content=body)
    assert (r.status_code, r.json()["errcode"]) == (400, errcode)


def test_too_much(alice):
    alice.fails(413, "M_TOO_LARGE", "PUT", path(alice, "org.example.test"), {"x": "x" * 600000})
    alice.fails(400, "M_INVALID_PARAM", "PUT", path(alice, "x" * 300), {})


def test_bad_rooms(alice):
    alice.fails(400, "M_INVALID_PARAM", "PUT", path(alice, "org.example.test", "@not:a.room"))
    alice.fails(400, "M_INVALID_PARAM", "GET", path(alice, "org.example.test", "nothing"))
    alice.fails(404, "M_NOT_FOUND", "GET", path(alice, "org.example.test", "!unknown:test.example"))


def test_it_is_in_sync(alice):
    room = alice.create_room()
    phone = alice.another_device()
    phone.next_sync()
    alice.put(path(alice, "org.example.test"), {"n": 1})
    alice.put(path(alice, "org.example.test", room), {"n": 2})
    r = phone.next_sync()
    assert events(r) == {"org.example.test": {"n": 1}}
    assert events(r, room) == {"org.example.test": {"n": 2}}
    assert events(phone.next_sync()) == {}
    alice.put(path(alice, "org.example.test"), {"n": 3})
    assert events(phone.next_sync(timeout=10000)) == {"org.example.test": {"n": 3}}
    first = phone.sync()
    assert events(first)["org.example.test"] == {"n": 3}
    assert events(first, room) == {"org.example.test": {"n": 2}}


def test_others_do_not_see_it(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.next_sync()
    alice.put(path(alice, "org.example.test"), {"n": 1})
    alice.put(path(alice, "org.example.test", room), {"n": 2})
    r = bob.next_sync()
    assert events(r) == {} and events(r, room) == {}


def test_it_outlives_a_restart(fresh_server, register):
    server = fresh_server()
    alice = register("alice", on=server)
    alice.put(path(alice, "org.example.test"), {"n": 1})
    server.stop()
    server.start()
    alice.http.base_url = server.url
    assert alice.get(path(alice, "org.example.test")) == {"n": 1}


def test_ignored_users_are_not_heard(alice, bob, register):
    room = alice.create_room(preset="public_chat")
    carol = register("carol")
    bob.join(room), carol.join(room)
    bob.put(path(bob, "m.ignored_user_list"), {"ignored_users": {alice.user_id: {}}})
    bob.next_sync()
    alice.send(room, "unheard")
    carol.send(room, "heard")
    alice.send_state(room, "m.room.topic", {"topic": "state is shown"})
    shown = bob.next_sync()["rooms"]["join"][room]["timeline"]["events"]
    assert [e["sender"] for e in shown] == [carol.user_id, alice.user_id]
    bob.put(path(bob, "m.ignored_user_list"), {"ignored_users": {}})
    bob.next_sync()
    alice.send(room, "heard again")
    assert len(bob.next_sync()["rooms"]["join"][room]["timeline"]["events"]) == 1


def test_so_many_users_can_be_ignored(alice):
    where = path(alice, "m.ignored_user_list")
    many = {f"@u{i}:elsewhere.example": {} for i in range(2000)}
    alice.put(where, {"ignored_users": many})
    alice.fails(413, "M_TOO_LARGE", "PUT", where,
                {"ignored_users": {**many, "@one.more:elsewhere.example": {}}})
    assert len(alice.get(where)["ignored_users"]) == 2000


def test_users_cannot_ignore_themselves(alice, bob):
    where = path(alice, "m.ignored_user_list")
    alice.fails(400, "M_INVALID_PARAM", "PUT", where,
                {"ignored_users": {bob.user_id: {}, alice.user_id: {}}})
    alice.fails(404, "M_NOT_FOUND", "GET", where)
    alice.put(where, {"ignored_users": {bob.user_id: {}}})
    alice.put(where, {"ignored_users": "all"})

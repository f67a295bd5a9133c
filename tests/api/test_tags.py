"""Room tagging."""

import threading

import pytest

from client import Client, q


def path(client, room, tag=None):
    return f"/user/{q(client.user_id)}/rooms/{q(room)}/tags" + (f"/{q(tag)}" if tag else "")


def test_tags_are_added_and_removed(alice):
    room = alice.create_room()
    assert alice.get(path(alice, room)) == {"tags": {}}
    assert alice.put(path(alice, room, "m.favourite"), {"order": 0.25}) == {}
    alice.put(path(alice, room, "u.Work ä/b"), {})
    alice.put(path(alice, room, "u.more"), {"order": 1, "org.example": "kept"})
    assert alice.get(path(alice, room)) == {
        "tags": {"m.favourite": {"order": 0.25}, "u.Work ä/b": {},
                 "u.more": {"order": 1, "org.example": "kept"}}}
    assert alice.delete(path(alice, room, "u.more")) == {}
    assert alice.delete(path(alice, room, "u.never")) == {}
    assert set(alice.get(path(alice, room))["tags"]) == {"m.favourite", "u.Work ä/b"}


@pytest.mark.parametrize("body, errcode", [({"order": "0.5"}, "M_BAD_JSON"),
                                           ({"order": 1.5}, "M_INVALID_PARAM"),
                                           ({"order": -0.1}, "M_INVALID_PARAM")])
def test_bad_orders(alice, body, errcode):
    room = alice.create_room()
    alice.fails(400, errcode, "PUT", path(alice, room, "u.x"), body)


def test_bounds(alice):
    room = alice.create_room()
    alice.put(path(alice, room, "u." + "x" * 253))
    alice.fails(400, "M_INVALID_PARAM", "PUT", path(alice, room, "u." + "x" * 254))
    for i in range(99):
        alice.put(path(alice, room, f"u.{i}"))
    alice.fails(413, "M_TOO_LARGE", "PUT", path(alice, room, "u.one-too-many"))


def test_only_ones_own(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.fails(403, "M_FORBIDDEN", "GET", path(alice, room))
    bob.fails(403, "M_FORBIDDEN", "PUT", path(alice, room, "u.x"))
    bob.fails(403, "M_FORBIDDEN", "DELETE", path(alice, room, "u.x"))


def test_they_are_in_sync(alice):
    room = alice.create_room()
    alice.next_sync()
    alice.put(path(alice, room, "m.favourite"), {"order": 0.5})
    joined = alice.next_sync()["rooms"]["join"][room]
    assert joined["account_data"]["events"] == [
        {"type": "m.tag", "content": {"tags": {"m.favourite": {"order": 0.5}}}}]


def test_none_is_lost_when_many_are_set_at_once(alice):
    room = alice.create_room()

    def put(i):
        c = Client(alice.server, alice.user_id, alice.token)
        c.put(path(c, room, f"u.{i}"))
        c.close()

    threads = [threading.Thread(target=put, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert set(alice.get(path(alice, room))["tags"]) == {f"u.{i}" for i in range(6)}

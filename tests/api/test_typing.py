"""Typing notifications."""

import pytest

from client import q


@pytest.fixture
def room(alice, bob):
    r = alice.create_room(preset="public_chat")
    bob.join(r)
    return r


def typing(reply, room):
    for e in reply["rooms"]["join"].get(room, {}).get("ephemeral", {}).get("events", []):
        if e["type"] == "m.typing":
            return e["content"]["user_ids"]
    return None


def put(client, room, is_typing, **body):
    return client.put(f"/rooms/{q(room)}/typing/{q(client.user_id)}", {"typing": is_typing, **body})


def test_start_and_stop(alice, bob, room):
    alice.next_sync()
    assert put(bob, room, True, timeout=30000) == {}
    assert alice.sync_until(lambda r: typing(r, room)) == [bob.user_id]
    assert typing(alice.next_sync(), room) is None
    put(bob, room, True, timeout=30000)  # typing on is no change
    assert typing(alice.next_sync(), room) is None
    assert typing(alice.sync(), room) == [bob.user_id]
    put(bob, room, False)
    assert typing(alice.next_sync(timeout=10000), room) == []


def test_a_waiting_client_is_woken(server, alice, bob, room):
    alice.next_sync()
    put(bob, room, True, timeout=30000)
    assert alice.sync_until(lambda r: typing(r, room)) == [bob.user_id]
    server.advance(29)
    assert typing(alice.sync(), room) == [bob.user_id]
    server.advance(1)
    assert alice.sync_until(lambda r: typing(r, room) == [])  # the timeout has passed


def test_several(alice, bob, room):
    put(bob, room, True)
    put(alice, room, True)
    assert sorted(typing(alice.sync(), room)) == sorted([alice.user_id, bob.user_id])


def test_leaving_stops_typing(alice, bob, room):
    put(bob, room, True)
    alice.next_sync()
    bob.leave(room)
    assert alice.sync_until(lambda r: typing(r, room) is not None)
    assert typing(alice.sync(), room) in ([], None)


def test_refusals(alice, bob, room, register):
    path = f"/rooms/{q(room)}/typing/"
    bob.fails(403, "M_FORBIDDEN", "PUT", path + q(alice.user_id), {"typing": True})
    carol = register("carol")
    carol.fails(403, "M_FORBIDDEN", "PUT", path + q(carol.user_id), {"typing": True})
    bob.fails(400, "M_MISSING_PARAM", "PUT", path + q(bob.user_id), {})
    bob.fails(400, "M_BAD_JSON", "PUT", path + q(bob.user_id), {"typing": "yes"})
    bob.fails(400, "M_BAD_JSON", "PUT", path + q(bob.user_id), {"typing": True, "timeout": "1"})
    bob.fails(400, "M_INVALID_PARAM", "PUT", path + q(bob.user_id), {"typing": True, "timeout": -1})


def test_not_after_a_restart(fresh_server, register):
    """A token from before a restart still works."""
    server = fresh_server()
    alice, bob = register("alice", on=server), register("bob", on=server)
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    put(bob, room, True, timeout=60000)
    since = alice.sync()["next_batch"]
    server.stop()
    server.start()
    alice.http.base_url = bob.http.base_url = server.url
    assert typing(alice.sync(), room) is None
    put(bob, room, True, timeout=60000)
    assert typing(alice.sync(since=since), room) == [bob.user_id]

"""Presence."""

import pytest

from client import q


def path(client):
    return f"/presence/{q(client.user_id)}/status"


def of(client):
    """A reply's newest presence of this user."""

    def find(reply):
        found = [e["content"] for e in reply.get("presence", {}).get("events", [])
                 if e["type"] == "m.presence" and e["sender"] == client.user_id]
        return found[-1] if found else None

    return find


@pytest.fixture
def alice(alice):
    return alice.stay()


@pytest.fixture
def bob(bob):
    return bob.stay(-1)


@pytest.fixture
def room(alice, bob):
    r = alice.create_room(preset="public_chat")
    bob.join(r)
    return r


def test_put_and_get(alice):
    assert alice.get(path(alice))["presence"] == "offline"
    assert alice.put(path(alice), {"presence": "unavailable", "status_msg": "at \"lunch\""}) == {}
    got = alice.get(path(alice))
    assert (got["presence"], got["status_msg"]) == ("unavailable", 'at "lunch"')
    assert 0 <= got["last_active_ago"] < 60000
    alice.put(path(alice), {"presence": "online"})
    got = alice.get(path(alice))
    assert got["presence"] == "online" and got["currently_active"] is True
    assert "status_msg" not in got
    alice.put(path(alice), {"presence": "offline"})
    assert alice.get(path(alice))["presence"] == "offline"


def test_a_long_status_is_cut_between_characters(alice):
    for padding in range(4):
        status = "x" * padding + "\U0001f600" * 400
        alice.put(path(alice), {"presence": "online", "status_msg": status})
        shown = alice.get(path(alice))["status_msg"]
        assert status.startswith(shown) and 1020 < len(shown.encode()) <= 1024


def test_refusals(alice, bob):
    bob.fails(403, "M_FORBIDDEN", "PUT", path(alice), {"presence": "online"})
    alice.fails(400, "M_MISSING_PARAM", "PUT", path(alice), {})
    alice.fails(400, "M_INVALID_PARAM", "PUT", path(alice), {"presence": "asleep"})
    alice.fails(400, "M_BAD_JSON", "PUT", path(alice), {"presence": "online", "status_msg": 5})
    bob.fails(403, "M_FORBIDDEN", "GET", path(alice))  # no room in common
    bob.fails(403, "M_FORBIDDEN", "GET", "/presence/%40unknown%3Atest.example/status")
    bob.fails(400, "M_INVALID_PARAM", "GET", "/presence/unknown/status")


def test_users_who_share_a_room_may_see(alice, bob, room):
    alice.put(path(alice), {"presence": "online", "status_msg": "hi"})
    assert bob.get(path(alice))["status_msg"] == "hi"


def test_it_is_in_sync(alice, bob, room, register):
    outsider = register("outsider")
    outsider.next_sync()
    bob.next_sync()
    alice.put(path(alice), {"presence": "unavailable", "status_msg": "busy"})
    got = bob.sync_until(of(alice))
    assert (got["presence"], got["status_msg"]) == ("unavailable", "busy")
    assert of(alice)(bob.next_sync()) is None
    assert of(alice)(bob.sync())["presence"] == "unavailable"
    assert of(alice)(outsider.next_sync()) is None
    alice.put(path(alice), {"presence": "offline"})
    assert bob.sync_until(of(alice))["presence"] == "offline"
    assert of(alice)(bob.sync()) is None


def test_a_sync_makes_one_online(alice, bob, room):
    bob.next_sync()
    alice.sync()
    got = bob.sync_until(of(alice))
    assert got["presence"] == "online" and got["currently_active"] is True
    assert alice.get(path(alice))["presence"] == "online"


def test_unless_it_says_otherwise(alice):
    alice.sync(set_presence="offline")
    assert alice.get(path(alice))["presence"] == "offline"
    alice.sync(set_presence="unavailable")
    assert alice.get(path(alice))["presence"] == "unavailable"
    alice.fails(400, "M_INVALID_PARAM", "GET", "/sync", params={"set_presence": "asleep"})


def test_a_new_room_in_common(alice, bob):
    alice.put(path(alice), {"presence": "online"})
    bob.next_sync()
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    assert bob.sync_until(of(alice))["presence"] == "online"
    bob.leave(room)
    bob.next_sync()
    bob.fails(403, "M_FORBIDDEN", "GET", path(alice))


def test_the_filter(alice, bob, room):
    bob.next_sync()
    alice.put(path(alice), {"presence": "online"})
    bob.sync_until(of(alice))
    assert of(alice)(bob.sync(filter='{"presence":{"types":[]}}')) is None
    assert of(alice)(bob.sync(filter='{"presence":{"not_types":["*"]}}')) is None


def test_it_outlives_a_restart(fresh_server, register):
    server = fresh_server()
    alice = register("alice", on=server)
    alice.put(path(alice), {"presence": "unavailable", "status_msg": "soon back"})
    server.stop()
    server.start()
    alice.http.base_url = server.url
    got = alice.get(path(alice))
    assert (got["presence"], got["status_msg"]) == ("unavailable", "soon back")


def test_switched_off(fresh_server, register):
    server = fresh_server(presence__enabled="false")
    alice, bob = register("alice", on=server), register("bob", on=server)
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.next_sync()
    alice.put(path(alice), {"presence": "online"})
    assert alice.get(path(alice)) == {"presence": "offline"}
    assert bob.next_sync()["presence"]["events"] == []


def test_the_newest_word_of_a_device_replaces_its_earlier_one(alice, bob, room):
    bob.next_sync()
    alice.put(path(alice), {"presence": "online"})
    assert alice.get(path(alice))["presence"] == "online"
    alice.sync(set_presence="unavailable")
    assert alice.get(path(alice))["presence"] == "unavailable"
    assert bob.sync_until(lambda r: (of(alice)(r) or {}).get("presence") == "unavailable")
    alice.sync(set_presence="offline")  # sends no presence
    assert alice.get(path(alice))["presence"] == "unavailable"
    alice.sync()
    assert alice.get(path(alice))["presence"] == "online"


def test_the_highest_over_all_devices_counts(alice):
    phone = alice.another_device().stay()
    alice.sync(set_presence="unavailable")
    phone.sync(set_presence="online")
    assert alice.get(path(alice))["presence"] == "online"
    alice.sync(set_presence="unavailable")
    assert alice.get(path(alice))["presence"] == "online"
    phone.put(path(alice), {"presence": "offline"})
    assert alice.get(path(alice))["presence"] == "unavailable"


def test_active_users_are_online(alice, bob, room):
    bob.next_sync()
    said = alice.send(room, "without ever syncing")
    assert alice.get(path(alice))["presence"] == "online"
    assert bob.sync_until(lambda r: (of(alice)(r) or {}).get("presence") == "online")
    alice.put(path(alice), {"presence": "offline"})  # an offline user stays offline
    alice.post(f"/rooms/{q(room)}/receipt/m.read/{q(said)}", {})
    alice.send(room, "unseen")
    assert alice.get(path(alice))["presence"] == "offline"


def test_reading_and_typing_are_acts(alice, bob, room):
    for act in (lambda: bob.post(f"/rooms/{q(room)}/receipt/m.read/{q(alice.send(room, 'x'))}", {}),
                lambda: bob.put(f"/rooms/{q(room)}/typing/{q(bob.user_id)}", {"typing": True}),
                lambda: bob.post(f"/rooms/{q(room)}/read_markers",
                                 {"m.read": alice.send(room, "y")})):
        bob.sync(set_presence="unavailable")
        assert bob.get(path(bob))["presence"] == "unavailable"
        act()
        assert bob.get(path(bob))["presence"] == "online"

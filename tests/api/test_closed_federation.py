"""Closed federation: only servers of the allow-list are contacted, whatever a request names. The
denied server is a fake one: it gets no connection, and its address is not looked up."""

import pytest

import pdus
from client import q
from fake_dns import FakeDns
from federation import has_event, known_settings
from remote import FED
from remote_room import first_events
from waiting import eventually

DENIED = "denied.gov.test"


@pytest.fixture
def world(ministries, remotes):
    """a Ministry, a server of its allow-list, and one that is denied, which also has a DNS name."""

    class World:
        pass

    w = World()
    w.dns = FakeDns({DENIED: {"A": ["127.0.0.1"]}})
    w.allowed, w.denied = remotes(), remotes()
    settings = {"dns_servers": w.dns.address} if "dns_servers" in known_settings() else {}
    w.a = ministries(federation_domain_whitelist=w.allowed.name, **settings)
    w.alice = w.a.user("alice")
    yield w
    assert w.denied.link.connections == 0, [r.path for r in w.denied.requests]
    assert not [name for name, kind in w.dns.asked if DENIED in name]
    w.dns.close()


def names(w):
    return w.denied.name, DENIED


def test_the_allowed_server_is_reached(world):
    carol = world.allowed.user("carol")
    room = world.allowed.create_room(carol)
    world.alice.join(room.id, via=[world.allowed.name])
    assert world.allowed.send(room, carol, "welcome")
    sent = world.alice.send(room.id, "thank you")
    eventually(lambda: sent in room.events)


def test_no_request_of_a_user_contacts_a_denied_server(world):
    alice = world.alice
    for name in names(world):
        user = f"@carol:{name}"
        for method, path, body, params in [
            ("POST", f"/join/{q('!room:' + name)}", {}, {"via": name}),
            ("POST", f"/join/{q('#alias:' + name)}", {}, {}),
            ("POST", f"/knock/{q('!room:' + name)}", {}, {"via": name}),
            ("GET", f"/directory/room/{q('#alias:' + name)}", None, {}),
            ("GET", f"/profile/{q(user)}", None, {}),
            ("GET", f"/profile/{q(user)}/displayname", None, {}),
            ("GET", "/publicRooms", None, {"server": name}),
            ("POST", "/publicRooms", {}, {"server": name}),
            ("GET", f"/_matrix/client/v1/media/download/{name}/file", None, {}),
            ("GET", f"/_matrix/client/v1/media/thumbnail/{name}/file", None,
             {"width": 32, "height": 32}),
            ("GET", f"/_matrix/media/v3/download/{name}/file", None, {}),
            ("GET", f"/_matrix/client/v1/rooms/{q('!room:' + name)}/hierarchy", None, {}),
            ("GET", f"/_matrix/client/v1/room_summary/{q('!room:' + name)}", None, {"via": name}),
        ]:
            r = alice.request(method, path, body, params=params)
            assert 400 <= r.status_code < 500, f"{method} {path}: {r.status_code} {r.text}"
        for path, key in ("/keys/query", "device_keys"), ("/keys/claim", "one_time_keys"):
            asked = {user: [] if key == "device_keys" else {"D": "signed_curve25519"}}
            answer = alice.post(path, {key: asked, "timeout": 2000})
            assert not answer.get(key, {}).get(user)
        alice.put(f"/sendToDevice/m.test/{name}", {"messages": {user: {"*": {"a": 1}}}})


def test_users_of_denied_servers_are_not_invited(world):
    alice = world.alice
    room = alice.create_room(preset="private_chat")
    for name in names(world):
        r = alice.request("POST", f"/rooms/{q(room)}/invite", {"user_id": f"@carol:{name}"})
        assert r.status_code == 403 and r.json()["errcode"] == "M_FORBIDDEN", r.text


def test_a_denied_server_is_refused_before_its_key_is_requested(world):
    room = world.alice.create_room(preset="public_chat")
    carol = world.denied.user("carol")
    for method, uri, body in [
        ("GET", f"{FED}/v1/make_join/{q(room)}/{q(carol)}?ver=12", None),
        ("PUT", f"{FED}/v1/send/1", {"origin": world.denied.name, "origin_server_ts": 1, "pdus": []}),
        ("GET", f"{FED}/v1/query/profile?user_id={q(world.alice.user_id)}", None),
        ("GET", f"{FED}/v1/publicRooms", None),
        ("GET", f"{FED}/v1/media/download/x", None),
    ]:
        world.denied.fails(world.a.name, 403, "M_FORBIDDEN", method, uri, body)


def test_the_notary_serves_no_keys_of_denied_servers(world):
    asked = {"server_keys": {name: {} for name in names(world)}}
    answer = world.allowed.request(world.a.name, "POST", "/_matrix/key/v2/query", asked, sign=False)
    assert answer.json() == {"server_keys": []}
    for name in names(world):
        r = world.allowed.request(world.a.name, "GET", f"/_matrix/key/v2/query/{name}", sign=False)
        assert r.json().get("server_keys", []) == []


def test_denied_servers_in_a_room_are_sent_nothing_and_their_events_refused(world):
    """The allowed server's room has users of the denied one, who also send events."""
    carol = world.allowed.user("carol")
    room = world.allowed.create_room(carol, "11")
    dave = world.denied.user("dave")
    join = room.build(dave, "m.room.member", {"membership": "join"}, dave)
    room.add(world.denied.sign(room, join))
    world.alice.join(room.id, via=[world.allowed.name])
    sent = world.alice.send(room.id, "to the allowed server alone")
    eventually(lambda: sent in room.events)
    said = world.denied.sign(room, room.build(
        dave, "m.room.message", {"msgtype": "m.text", "body": "hello"}))
    room.add(said)
    answer = world.allowed.put_transaction(world.a.name, [said])
    i = pdus.event_id(said, room.version)
    assert "error" in answer["pdus"].get(i, {"error": ""})
    last = world.allowed.send(room, carol, "again", to=[world.a.name])
    # it comes after the events of the denied server
    eventually(lambda: has_event(world.alice, room.id, last))
    assert not has_event(world.alice, room.id, i)


def test_an_invite_that_names_denied_servers_contacts_none(world):
    carol = world.allowed.user("carol")
    room = world.allowed.create_room(carol, "10", join_rule="invite")
    room.id = f"!elsewhere:{world.denied.name}"
    for known in room.events, room.order, room.state, room.heads:
        known.clear()
    for type, key, content in first_events("10", carol, "invite"):
        world.allowed.event(room, carol, type, content, key)
    world.allowed.rooms[room.id] = room
    world.allowed.invite(room, carol, world.alice.user_id)
    world.alice.sync_until(lambda r: room.id in r.get("rooms", {}).get("invite", {}))
    world.alice.request("POST", f"/join/{q(room.id)}", {}, params={"via": world.denied.name})


def test_device_edus_of_denied_servers_are_ignored(world):
    for name in names(world):
        content = {"user_id": f"@dave:{name}", "device_id": "D", "stream_id": 1, "prev_id": []}
        world.allowed.send_edu(world.a.name, "m.device_list_update", content)
        world.allowed.send_edu(world.a.name, "m.direct_to_device", {
            "sender": f"@dave:{name}", "type": "m.test", "message_id": "1",
            "messages": {world.alice.user_id: {"*": {"n": 1}}}})
    marker = {"sender": world.allowed.user("carol"), "type": "m.test", "message_id": "2",
              "messages": {world.alice.user_id: {"*": {"n": 2}}}}
    world.allowed.send_edu(world.a.name, "m.direct_to_device", marker)
    got = world.alice.sync_until(lambda r: r.get("to_device", {}).get("events"))
    assert [e["content"]["n"] for e in got] == [2]

"""The work and storage that one user or one address can cause is bounded."""

import itertools

import pytest

import plain
from client import Client, q
from restoring import psql, uri_of
from waiting import eventually


@pytest.fixture
def limited(fresh_server):
    """Settings that allow little more than the first request of a kind."""

    def start(*kinds):
        rates = {}
        for kind in kinds:
            rates[f"rc_{kind}__per_second"] = "0.001"
            rates[f"rc_{kind}__burst_count"] = "2"
        return fresh_server(rate_limits="on", rc_registration__burst_count="50", **rates)

    return start


def reached(server, status):
    """The limit: status(node) is 429 at each node. Of several nodes, each may allow a burst of its own until it has
    heard what the others allowed."""
    for node in server.nodes:
        if len(server.nodes) > 1:
            eventually(lambda: status(node) == 429)
        assert status(node) == 429


def refused(client, method, path, body=None):
    def status(node):
        return Client(node, client.user_id, client.token).request(method, path, body).status_code

    reached(client.server, status)
    client.fails(429, "M_LIMIT_EXCEEDED", method, path, body)


def test_invites_of_new_rooms_count_as_invites(limited):
    s = limited("invites")
    alice = Client(s).register("alice")
    alice.post("/createRoom", {"invite": [f"@user{i}:{s.name}" for i in range(20)]})
    refused(alice, "POST", "/createRoom", {"invite": [f"@bob:{s.name}"]})
    room = alice.post("/createRoom", {})["room_id"]
    refused(alice, "POST", f"/rooms/{q(room)}/invite", {"user_id": f"@bob:{s.name}"})


def test_rooms_joins_and_messages_are_limited(limited):
    s = limited("room_creation", "joins", "message")
    alice, bob = Client(s).register("alice"), Client(s).register("bob")
    rooms = [alice.create_room(preset="public_chat") for _ in range(2)]
    refused(alice, "POST", "/createRoom", {})
    for n in range(2):
        alice.send(rooms[0], f"{n}")
    refused(alice, "PUT", f"/rooms/{q(rooms[0])}/send/m.room.message/more", {})
    refused(alice, "PUT", f"/rooms/{q(rooms[0])}/state/m.room.name", {})
    for room in rooms:
        bob.join(room)
    refused(bob, "POST", f"/join/{q(rooms[0])}", {})


def test_refreshes_count_for_their_user(limited):
    s = limited("account")
    sessions = [Client(s).post("/register", {"username": name, "password": "a password for tests",
                                             "refresh_token": True, "auth": {"type": "m.login.dummy"}})
                for name in ("one", "two")]
    tokens = [r["refresh_token"] for r in sessions]
    for _ in range(2):
        tokens[0] = Client(s).post("/refresh", {"refresh_token": tokens[0]})["refresh_token"]
    refused(Client(s), "POST", "/refresh", {"refresh_token": tokens[0]})
    Client(s).post("/refresh", {"refresh_token": tokens[1]})  # from the same address


def test_a_new_name_counts_as_messages_do(limited):
    alice = Client(limited("message")).register("alice")
    for name in ("one", "two"):
        alice.put(f"/profile/{q(alice.user_id)}/displayname", {"displayname": name})
    refused(alice, "PUT", f"/profile/{q(alice.user_id)}/displayname", {"displayname": "three"})


def test_searches_are_limited(limited):
    alice = Client(limited("search")).register("alice")
    for _ in range(2):
        alice.post("/user_directory/search", {"search_term": "bob"})
    refused(alice, "POST", "/user_directory/search", {"search_term": "bob"})
    refused(alice, "POST", "/publicRooms", {})
    refused(alice, "POST", "/search", {"search_categories": {}})


def test_large_bodies_cost_more(limited):
    alice = Client(limited("account")).register("alice")
    path = f"/user/{q(alice.user_id)}/account_data/a"
    alice.put(path, {"text": "x" * 200_000})
    refused(alice, "PUT", path, {})


def test_one_subscriber_of_ipv6_is_one_address(fresh_server):
    s = fresh_server(rate_limits="on", trusted_proxies="127.0.0.1",
                     rc_registration__per_second="0.001", rc_registration__burst_count="2")

    def register(name, address, node=s):
        return plain.post(
            node.url + "/_matrix/client/v3/register", headers={"X-Forwarded-For": address},
            json={"username": name, "password": "a password", "auth": {"type": "m.login.dummy"}},
        ).status_code

    assert register("one", "2001:db8:1:2::1") == 200
    assert register("two", "2001:db8:1:2::2") == 200
    more = itertools.count(3)
    reached(s, lambda node: register(f"user-{next(more)}", "2001:db8:1:2:ffff::3", node))
    assert register("four", "2001:db8:1:3::1") == 200


def test_account_data_is_bounded(alice):
    path = f"/user/{q(alice.user_id)}/account_data/"
    large = {"text": "x" * 500_000}
    for i in range(67):
        alice.put(f"{path}t{i}", large)
    alice.fails(413, "M_TOO_LARGE", "PUT", f"{path}another", large)
    alice.put(f"{path}t0", large)  # stored data can be replaced
    alice.put(f"{path}small", {})


def test_tags_are_small(alice):
    room = alice.post("/createRoom", {})["room_id"]
    path = f"/user/{q(alice.user_id)}/rooms/{q(room)}/tags/u.x"
    alice.fails(413, "M_TOO_LARGE", "PUT", path, {"text": "x" * 5000})


def test_pushers_are_bounded(alice):
    def pusher(key):
        return {"app_id": "a", "pushkey": key, "kind": "http", "app_display_name": "A", "lang": "en",
                "device_display_name": "D", "data": {"url": "https://push.example/_matrix/push/v1/notify"}}

    for i in range(100):
        alice.post("/pushers/set", pusher(str(i)))
    alice.fails(413, "M_TOO_LARGE", "POST", "/pushers/set", pusher("another"))
    alice.post("/pushers/set", pusher("7"))


def stored(server):
    return int(psql(uri_of(server), "SELECT COALESCE(sum(octet_length(json)), 0) FROM (SELECT json FROM "
                    "to_device UNION ALL SELECT json FROM to_device_contents) AS m"))


def test_messages_to_all_devices_are_stored_once(alice):
    def message(size):
        return {"messages": {alice.user_id: {"*": {"text": "x" * size}}}}

    with Client(alice.server).http as http:
        for _ in range(550):
            r = http.post("/_matrix/client/v3/login", json={
                "type": "m.login.password", "password": alice.password,
                "identifier": {"type": "m.id.user", "user": alice.user_id}})
            assert r.status_code == 200
    before = stored(alice.server)
    alice.put("/sendToDevice/a/1", message(65_000))
    assert stored(alice.server) - before < 100_000


def test_devices_are_bounded(alice):
    def login(http, **more):
        return http.post("/_matrix/client/v3/login", json={
            "type": "m.login.password", "password": alice.password,
            "identifier": {"type": "m.id.user", "user": alice.user_id}, **more})

    with Client(alice.server).http as http:
        for _ in range(1999):
            assert login(http).status_code == 200
        assert login(http).json()["errcode"] == "M_RESOURCE_LIMIT_EXCEEDED"
        assert login(http, device_id=alice.device_id).status_code == 200


def test_nul_does_not_end_a_word(alice, bob):
    rules = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "public\0x"}}
    visibility = {"type": "m.room.history_visibility", "state_key": "",
                  "content": {"history_visibility": "world_readable\0"}}
    room = alice.post("/createRoom", {"initial_state": [rules, visibility]})["room_id"]
    bob.fails(403, "M_FORBIDDEN", "POST", f"/join/{q(room)}")
    bob.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(room)}/state")
    bob.fails(404, "M_NOT_FOUND", "GET", f"/_matrix/client/v1/room_summary/{q(room)}")


@pytest.mark.parametrize("uri", [
    "postgresql://user:se@cret@127.0.0.1/db",
    "postgresql://user:se/cret@127.0.0.1/db",
    "postgresql://user:se%cret@127.0.0.1/db",
    "host=127.0.0.1 password=se cret",
])
def test_errors_do_not_quote_the_database_password(uri, tmp_path):
    from server import run_cli

    r = run_cli("serve", "--data", str(tmp_path), "--set", f"database={uri}", "--set",
                "listen=127.0.0.1:0")
    assert r.returncode
    assert "`database`: cannot be understood" in r.stderr
    assert "cret" not in r.stdout + r.stderr


def test_bursts_of_people_and_bots_are_allowed(fresh_server):
    """With default limits: a fast writer, a bot that reports, a user who invites a whole team."""
    alice = Client(fresh_server(rate_limits="on")).register("alice")
    room = alice.create_room()
    for n in range(40):
        alice.send(room, f"line {n}")
    for n in range(30):
        alice.invite(room, f"@colleague-{n}:{alice.server.name}")

"""Bounds of one request's size and computation: the tables in docs/operations.md, "Limits". Only
bounds without a test elsewhere (test_limits.py names the test of each)."""

import concurrent.futures
import http.client
import json
import os

import pytest

from client import Client, q
from federation import authority
from restoring import locked, psql, uri_of
from test_user_directory import rename
from test_user_directory import search as find_users

KIB, MIB = 1 << 10, 1 << 20
FED = "/_matrix/federation/v1"


def of_size(size, n=0):
    """JSON of so many bytes with few values."""
    return b'{"x":"' + b"y" * (size - 8 - n) + b'"}' + b" " * n


# ---- bodies ----


@pytest.mark.parametrize("method, path, limit", [
    ("POST", "/login", 16 * KIB), ("POST", "/refresh", 16 * KIB), ("POST", "/register", 16 * KIB),
    ("POST", "/register/email/requestToken", 16 * KIB),
    ("PUT", "/rooms/{room}/send/m.x/1", 2 * MIB), ("POST", "/createRoom", 2 * MIB),
    ("POST", "/keys/query", 2 * MIB), ("POST", "/keys/upload", 2 * MIB),
    ("PUT", "/rooms/{room}/state/m.x", 256 * KIB), ("PUT", "/user/{user}/account_data/x", 512 * KIB),
    ("PUT", "/sendToDevice/m.x/1", 8 * MIB), ("PUT", "/room_keys/keys?version=1", 16 * MIB),
    ("POST", "/user_directory/search", 64 * KIB), ("POST", "/join/{room}", 64 * KIB),
])
def test_bodies(alice, method, path, limit):
    """A body one byte smaller is not refused for its size."""
    path = path.format(room=q(alice.create_room()), user=q(alice.user_id))
    r = alice.request(method, path, content=of_size(limit + 1))
    assert r.status_code == 413 and r.json()["errcode"] == "M_TOO_LARGE", r.text
    assert "body" in r.json()["error"].lower()
    r = alice.request(method, path, content=of_size(limit))
    assert r.status_code != 413 or "body" not in r.json()["error"].lower(), r.text


def test_bodies_of_servers(remote, two):
    """They are refused by Content-Length, before the body is sent."""
    server, uri = two[0], f"{FED}/send/1"
    limits = {f"{FED}/send/1": 10 * MIB, f"{FED}/user/keys/query": 2 * MIB, f"{FED}/user/keys/claim": 2 * MIB}
    for uri, limit in limits.items():
        for size, refused in (limit + 1, True), (limit, False):
            c = http.client.HTTPSConnection(*server.name.split(":"), context=authority().client_context())
            c.putrequest("PUT" if "send" in uri else "POST", uri)
            for header in ("Content-Length", str(size)), ("Expect", "100-continue"), (
                    "Authorization", remote.authorization("PUT", uri, server.name)):
                c.putheader(*header)
            c.endheaders()
            line = c.sock.recv(100).split(b"\r\n")[0]
            assert (b" 413" in line) == refused and (refused or b" 100 " in line), line
            c.close()


def test_nesting(alice):
    room = alice.create_room()
    for depth, errcode in (98, None), (101, "M_NOT_JSON"):
        content = b'{"x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"
        r = alice.request("PUT", f"/rooms/{q(room)}/send/m.x/depth{depth}", content=content)
        assert r.json().get("errcode") == errcode, r.text


def test_keys_of_one_backup_request(alice):
    version = alice.post("/room_keys/version", {"algorithm": "m.megolm_backup.v1", "auth_data": {}})["version"]
    key = ('"s{}":{{"first_message_index":0,"forwarded_count":0,"is_verified":false,"session_data":{{"a":"b"}}}}')
    body = '{"rooms":{"!a:b":{"sessions":{' + ",".join(key.format(n) for n in range(50001)) + "}}}}"
    r = alice.request("PUT", f"/room_keys/keys?version={version}", content=body.encode())
    assert r.status_code == 413 and r.json()["errcode"] == "M_TOO_LARGE", r.text
    assert alice.get("/room_keys/version")["count"] == 0


# ---- computation ----


@pytest.mark.parametrize("path, member, item", [
    ("/keys/query", "device_keys", []), ("/keys/claim", "one_time_keys", {"D": "a"})])
def test_users_of_one_question(alice, path, member, item):
    ask = {f"@u{n}:test.example": item for n in range(10000)}
    assert alice.post(path, {member: ask})["failures"] == {}
    alice.fails(400, "M_INVALID_PARAM", "POST", path, {member: {**ask, "@more:test.example": item}})


def test_pools(fresh_server):
    """Workers and each source's share are as in the table; test_http_fair.c tests their effect."""
    text = Client(fresh_server()).request("GET", "/metrics").text

    def value(name, pool):
        return int(next(l for l in text.splitlines() if l.startswith(f'{name}{{pool="{pool}"}} ')).split()[1])
    processors = os.cpu_count()
    initial = max(2, processors)
    sizes = {"client": (64, 16, 1000), "federation": (32, 8, 200), "slow": (8, 2, 200),
             "password": (processors + max(1, processors // 4), 2, 200), "search": (4, 1, 20),
             "initial": (initial, 1 if initial < 4 else 2, 50), "remote": (128, 6, 100), "watch": (4, 2, 20)}
    for pool, wanted in sizes.items():
        assert wanted == tuple(value(f"concorde_http_{what}", pool)
                               for what in ("workers", "source_running_max", "source_held_max")), pool


@pytest.fixture(scope="module")
def long_room(server):
    """A room, its owner, and its first two events, behind which there are 2,050 more."""
    alice = Client(server).register("long-room")
    room = alice.create_room(preset="public_chat")
    rare = alice.send(room, {"n": 1}, type="org.rare")
    first = alice.send(room, "needle needle needle")
    headers = {"Authorization": f"Bearer {alice.token}"}

    def send(n):
        r = alice.http.put(f"/_matrix/client/v3/rooms/{q(room)}/send/m.room.message/long{n}", headers=headers,
                           json={"msgtype": "m.text", "body": "needle"})
        assert r.status_code == 200, r.text
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(send, range(2050)))
    yield alice, room, rare, first
    alice.close()


def test_events_of_a_sync(long_room):
    alice, room, _, _ = long_room
    only = json.dumps({"room": {"timeline": {"types": ["org.rare"]}}})
    line = alice.sync(filter=only)["rooms"]["join"][room]["timeline"]
    assert line["limited"] is True and line["events"] == []


def test_events_of_a_page(long_room):
    alice, room, rare, _ = long_room
    only = json.dumps({"types": ["org.rare"]})
    page = alice.messages(room, filter=only)
    assert page["chunk"] == []
    rest = alice.messages(room, filter=only, **{"from": page["end"]})
    assert [e["event_id"] for e in rest["chunk"]] == [rare]


def test_ranking_and_counts(long_room, server):
    alice, room, _, first = long_room
    last = alice.send(room, "needle needle needle")

    def search(order):
        r = alice.post("/search", {"search_categories": {"room_events": {
            "search_term": "needle", "order_by": order, "filter": {"limit": 2, "rooms": [room]}}}})
        found = r["search_categories"]["room_events"]
        return [hit["result"]["event_id"] for hit in found["results"]], found["count"]
    hits, count = search("rank")
    assert hits[0] == last and first not in hits and count == 2052
    psql(uri_of(server), "INSERT INTO search_index (event, room, key, words) SELECT -n, s.room, s.key, s.words FROM "
         "search_index s, generate_series(1, 8000) n WHERE s.event = (SELECT position FROM events e JOIN rooms r "
         f"ON r.id = e.room WHERE r.room_id = '{room}' ORDER BY position DESC LIMIT 1)")
    assert search("recent") == ([last, search("recent")[0][1]], 10000)


def test_a_name_that_more_have_than_are_looked_at(fresh_server):
    """Users who share a room, and the user with this id, are found all the same."""
    server = fresh_server()
    alice, bob, meant = (Client(server).register(n) for n in ("alice", "bob", "dupont"))
    psql(uri_of(server), "INSERT INTO users (id, user_id) SELECT 100000 + n, '@many' || n || ':test.example' "
         "FROM generate_series(1, 3000) n")
    psql(uri_of(server), "INSERT INTO accounts (\"user\", created_ts) SELECT id, 0 FROM users WHERE id > 100000")
    psql(uri_of(server), "INSERT INTO profiles (\"user\", fields, position, search_name) SELECT id, '{}', 0, "
         "'dupont' FROM users WHERE id > 100000")
    rename(bob, "Dupont")
    bob.join(alice.create_room(preset="public_chat"))
    meant.join(meant.create_room(preset="public_chat"))
    assert set(find_users(alice, "dupont", limit=50)[0]) == {bob.user_id, meant.user_id}


def test_notifications_have_a_time_limit(fresh_server):
    server = fresh_server()
    alice = Client(server).register("alice")
    assert alice.get("/notifications")["notifications"] == []
    with locked(server, "push_actions"):
        alice.fails(503, "M_UNKNOWN", "GET", "/notifications")
    assert alice.get("/notifications")["notifications"] == []


def test_rooms_of_a_page(fresh_server):
    alice = Client(fresh_server()).register("alice")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda n: alice.create_room(visibility="public", creation_content={"n": n}), range(501)))
    page = alice.post("/publicRooms", {"limit": 1000})
    assert len(page["chunk"]) == 500
    rest = alice.post("/publicRooms", {"limit": 1000, "since": page["next_batch"]})
    assert {r["room_id"] for r in page["chunk"] + rest["chunk"]} == made and len(rest["chunk"]) == 1

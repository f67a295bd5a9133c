"""Routes that may ask other servers (`concorde routes`: MOVES-TO, or POOL, is remote): while the
requests of one user, address or server wait for a server that never answers, others are answered,
on the same route too, and only workers of the remote pool wait. A new route that asks needs a row in
ASKING."""

import contextlib
import json
import re
import socket
import time
from urllib.parse import urlsplit

import pytest

import pdus
from client import q
from e2ee import SigningKey, b64, canonical
from federation import Ministry
from link import listen_at_new_port
from remote import FED, Remote
from server import metrics, run_cli
from waiting import eventually

AS_MANY = 110  # more than the queue holds of one source
EVIL, GOOD = "192.0.2.66", "192.0.2.7"
OTHER_POOLS = "client", "federation", "slow", "password", "search", "initial"


def asking_routes():
    lines = [line.split() for line in run_cli("routes").stdout.splitlines()[1:]]
    return [(method, path, who) for method, path, who, *pools in lines if "remote" in pools[:2]]


# ---- the servers and users ----


class Silent:
    """A server that accepts connections and never answers."""

    def __init__(self):
        self.listener = listen_at_new_port()
        self.name = f"localhost:{self.listener.getsockname()[1]}"

    def close(self):
        self.listener.close()


class World:
    def __init__(self, network):
        self.a = Ministry(network, {"trusted_proxies": "127.0.0.1",
                                    "enable_authenticated_media": "false"}).start()
        self.alice, self.mallory = self.a.user("alice"), self.a.user("mallory")
        self.alice.http.headers["X-Forwarded-For"] = GOOD
        self.good, self.evil = Remote(), Remote()
        self.hall = self.alice.create_room(
            preset="public_chat", room_alias_name="hall", room_version="11")
        self.there = self.evil.join(self.a.name, self.hall, self.evil.user("eve"))
        self.good.join(self.a.name, self.hall, self.good.user("gwen"))
        self.room = self.mallory.create_room()
        self.file = self.alice.http.post(
            "/_matrix/media/v3/upload", content=b"text", headers={
                "Authorization": f"Bearer {self.alice.token}", "Content-Type": "text/plain"},
        ).json()["content_uri"].rsplit("/", 1)[1]
        self.before_join = 0
        self.alice.sync()

    def close(self):
        self.a.close()
        self.good.close()
        self.evil.close()


@pytest.fixture(scope="module")
def world(network):
    w = World(network)
    yield w
    assert "outside of the remote pool" not in w.a.log_text()
    w.close()


@pytest.fixture
def silent():
    s = Silent()
    yield s
    s.close()


@pytest.fixture
def turning_silent():
    """A server that answers until silence() is called."""
    r = Remote()
    r.silence = r.link.mute
    yield r
    r.link.cut()
    r.close()


# ---- what makes each route ask, and what does not ----


class Ask:
    """Values for the path's parameters, the query and the body: of requests that ask the server, {n}
    differing each time, and of requests that do not. who: "server" is one whose key must be fetched."""

    def __init__(self, params, here, query="", body=None, here_query="", here_body=None,
                 statuses=(200,), before=None):
        self.params, self.here = params, here
        self.query, self.here_query = query, here_query
        self.body, self.here_body = body, here_body
        self.statuses, self.before = statuses, before


def invites(w, remote):
    """Mallory is invited to rooms of the silent server."""
    rooms = []
    for _ in range(3):
        carol = remote.user("carol")
        rooms.append(remote.create_room(carol, "11", join_rule="invite"))
        remote.invite(rooms[-1], carol, w.mallory.user_id)
    remote.silence()
    return {"room": lambda n: rooms[n % len(rooms)].id}


def old_history(w, remote):
    """Mallory is in a room of the silent server, whose history is missing here."""
    carol = remote.user("carol")
    room = remote.create_room(carol, "11")
    for n in range(5):
        remote.event(room, carol, "m.room.message", {"msgtype": "m.text", "body": f"{n}"})
    w.before_join = int(time.time() * 1000)
    w.mallory.join(room.id, via=[remote.name])
    remote.silence()
    return {"room": lambda n: room.id}


def space(w, silent):
    room = w.mallory.create_room(creation_content={"type": "m.space"})
    w.mallory.send_state(room, "m.space.child", {"via": [silent.name]}, f"!c:{silent.name}")
    return {"room": lambda n: room}


def any_status(**here):
    return {"here": here, "statuses": (200, 400, 403, 404)}


ROOM, MINE = {"room": "!r{n}:{silent}"}, {"room": "{hall}"}
FILE = Ask({"server": "{silent}", "media": "m{n}"}, {"server": "{a}", "media": "{file}"},
           statuses=(200, 404))  # 404: the old paths do not serve new media
THUMBNAIL = Ask({"server": "{silent}", "media": "m{n}"}, {"server": "{a}", "media": "{file}"},
                query="?width=32&height=32", here_query="?width=32&height=32",
                statuses=(200, 400, 404))
SUMMARY = Ask({"room_or_alias": "!r{n}:{silent}"}, {"room_or_alias": "{hall}"}, "?via={silent}")
PUBLIC = Ask({}, {}, "?server={silent}&limit={n}", body={}, here_body={})
KEYS = Ask({"serverName": "{silent}", "key": "ed25519:{n}"},
           {"serverName": "{a}", "key": "ed25519:1"})

# by the method and the path without its prefix; routes for other servers are all alike
ASKING = {
    "GET profile/{user}": Ask({"user": "@u{n}:{silent}"}, {"user": "{alice}"}),
    "GET profile/{user}/{key}": Ask({"user": "@u{n}:{silent}", "key": "displayname"},
                                    {"user": "{alice}", "key": "displayname"}),
    "POST keys/query": Ask({}, {}, body={"device_keys": {"@u{n}:{silent}": []}},
                           here_body={"device_keys": {"{alice}": []}}),
    "POST keys/claim": Ask(
        {}, {}, body={"one_time_keys": {"@u{n}:{silent}": {"D": "signed_curve25519"}}},
        here_body={"one_time_keys": {"{alice}": {"D": "signed_curve25519"}}}),
    "POST createRoom": Ask({}, {}, body={"invite": ["@u{n}:{silent}"]}, here_body={}),
    "POST join/{room_or_alias}": Ask({"room_or_alias": "!r{n}:{silent}"},
                                     {"room_or_alias": "{hall}"}, body={}, here_body={}),
    "POST rooms/{room}/join": Ask(ROOM, MINE, body={}, here_body={}),
    "POST knock/{room_or_alias}": Ask({"room_or_alias": "!r{n}:{silent}"},
                                      {"room_or_alias": "{hall}"}, body={}, here_body={},
                                      statuses=(403,)),
    "POST rooms/{room}/leave": Ask({}, {"room": "{left}"}, body={}, here_body={}, before=invites),
    "POST rooms/{room}/invite": Ask({"room": "{room}"}, MINE, body={"user_id": "@u{n}:{silent}"},
                                    here_body={"user_id": "{mallory}"}, statuses=(200, 403)),
    "PUT rooms/{room}/state/{type}": Ask(
        {"room": "{room}", "type": "m.room.canonical_alias"}, {**MINE, "type": "m.room.topic"},
        body={"alias": "#r{n}:{silent}"}, here_body={"topic": "new"}),
    "PUT rooms/{room}/state/{type}/{key}": Ask(
        {"room": "{room}", "type": "m.room.member", "key": "@u{n}:{silent}"},
        {**MINE, "type": "a.test", "key": "x"}, body={"membership": "invite"}, here_body={}),
    "GET directory/room/{alias}": Ask({"alias": "#r{n}:{silent}"}, {"alias": "#hall:{a}"}),
    "GET publicRooms": PUBLIC,
    "POST publicRooms": PUBLIC,
    "GET room_summary/{room_or_alias}": SUMMARY,
    "GET summary/{room_or_alias}": SUMMARY,
    "GET rooms/{room_or_alias}/summary": SUMMARY,
    "GET rooms/{room}/hierarchy": Ask({}, MINE, "?limit={n}", before=space),
    "GET rooms/{room}/messages": Ask({}, MINE, "?dir=b&limit=100", here_query="?dir=b&limit=5",
                                     before=old_history),
    "GET rooms/{room}/timestamp_to_event": Ask(
        {}, MINE, "?ts={before_join}&dir=b", here_query="?ts=1&dir=f", before=old_history),
    "GET media/download/{server}/{media}": FILE,
    "GET media/download/{server}/{media}/{file}": FILE,
    "GET media/thumbnail/{server}/{media}": THUMBNAIL,
    "GET query/{serverName}": KEYS,
    "GET query/{serverName}/{key}": KEYS,
    "POST query": Ask({}, {}, body={"server_keys": {"{silent}": {}}},
                      here_body={"server_keys": {"{a}": {}}}),
    "PUT 3pid/onbind": Ask({}, {}, body={"mxid": "{mallory}", "invites": [{
        "room_id": "!r{n}:{silent}", "sender": "@u:{silent}",
        "signed": {"mxid": "{mallory}", "token": "t"}}]},
        here_body={"mxid": "{alice}", "invites": []}),
}
OF_A_SERVER = Ask({}, {"room": "{hall}"}, body={}, here_body={}, statuses=(200, 400, 403, 404))


def row_of(method, path, who):
    if who == "server":
        return OF_A_SERVER
    short = re.sub(r"^/_matrix/(client|federation|key|media)/(v\d|r0|unstable/[^/]+)/", "", path)
    if path.startswith("/_matrix/media/"):
        short = "media/" + short
    return ASKING.get(f"{method} {short}")


# ---- asking ----


def fill(value, names):
    """The {names} in a text, or in all texts of a tree."""
    if isinstance(value, dict):
        return {fill(k, names): fill(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return [fill(v, names) for v in value]
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda m: str(names.get(m[1], m[0])), value)
    return value


def uri_of(path, params, query, names):
    """Parameters without a value get a well-formed one that does not exist."""
    absent = {"room": "!absent:{a}", "user": "@absent:{a}", "event": "$absent", "type": "a.type"}

    def value(m):
        one = params.get(m[1], absent.get(m[1], "absent"))
        return q(fill(one(names["n"]) if callable(one) else one, names))

    return re.sub(r"\{(\w+)(?:\.\.\.)?\}", value, path) + fill(query, names)


def send_bytes(w, method, uri, body, headers):
    """A connection on which a request was sent; its reply is not read."""
    at = urlsplit(w.a.url)
    data = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {uri} HTTP/1.1", "Host: x", f"Content-Length: {len(data)}",
             *(f"{k}: {v}" for k, v in headers.items())]
    s = socket.create_connection((at.hostname, at.port))
    s.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
    return s


def evil_headers(w, silent, who):
    headers = {"X-Forwarded-For": EVIL}
    if who == "server":  # no other server knows its key
        headers["Authorization"] = (
            f'X-Matrix origin="{silent.name}",destination="{w.a.name}",key="ed25519:1",'
            f'sig="{b64(bytes(64))}"')
    elif who != "anybody":
        headers["Authorization"] = f"Bearer {w.mallory.token}"
    return headers


def ask_here(w, method, uri, body, who):
    """A request that asks no other server."""
    if method == "GET":
        body = None
    if who == "server":
        return w.good.client.request(method, w.a.url + uri, headers={
            "Authorization": w.good.authorization(method, uri, w.a.name, body),
            "X-Forwarded-For": GOOD}, content=None if body is None else canonical(body))
    return w.alice.request(method, uri, body)


def at_work(w):
    """Requests that are with a worker or wait for one, by pool."""
    text = "\n".join(metrics(w.a))
    found = re.findall(r'^concorde_http_(?:workers_busy|queue_depth){pool="(\w+)"} (\d+)$', text, re.M)
    return {pool: sum(int(n) for p, n in found if p == pool) for pool, _ in found}


def waits_only_elsewhere(w):
    now = at_work(w)
    assert now["remote"] and not any(now[pool] for pool in OTHER_POOLS), now
    return True


def others_are_served(w):
    event = w.alice.send(w.hall, "undisturbed")
    assert event in str(w.alice.next_sync(timeout=0))
    login = {"type": "m.login.password", "password": w.alice.password,
             "identifier": {"type": "m.id.user", "user": w.alice.user_id}}
    assert w.alice.post("/login", login)["user_id"] == w.alice.user_id
    w.good.put_transaction(w.a.name)


@contextlib.contextmanager
def asked(w, requests):
    sockets = [send_bytes(w, *one) for one in requests]
    try:
        yield
    finally:
        for s in sockets:
            s.close()


# ---- tests ----


@pytest.mark.parametrize("method, path, who", asking_routes(), ids=lambda v: v)
def test_waiting_for_a_silent_server(world, silent, turning_silent, method, path, who):
    w, row = world, row_of(method, path, who)
    assert row, f"{method} {path} asks: what makes it ask?"
    if row.before and row.before is not space:
        silent = turning_silent
    names = {"silent": silent.name, "a": w.a.name, "hall": w.hall, "room": w.room, "file": w.file,
             "alice": w.alice.user_id, "mallory": w.mallory.user_id, "n": 1}
    if "{left}" in row.here.values():
        names["left"] = w.alice.create_room()
    eventually(lambda: not at_work(w)["remote"], 60)  # of the previous test
    params = row.before(w, silent) if row.before else row.params
    names["before_join"] = w.before_join
    headers = evil_headers(w, silent, who)
    requests = []
    for n in range(1, AS_MANY + 1):
        names["n"] = n
        body = None if method == "GET" else fill(row.body, names)
        requests.append((method, uri_of(path, params, row.query, names), body, headers))
    with asked(w, requests):
        eventually(lambda: waits_only_elsewhere(w))
        here = uri_of(path, row.here, row.here_query, names)
        r = ask_here(w, method, here, fill(row.here_body, names), who)
        assert r.status_code in row.statuses, r.text
        others_are_served(w)
        eventually(lambda: waits_only_elsewhere(w))  # they still do


def signed_by(w, silent, room):
    """An event of a server in the room whose key is not known."""
    event = room.build(f"@u:{silent.name}", "m.room.message", {"body": "x", "msgtype": "m.text"})
    return pdus.sign(event, room.version, silent.name, SigningKey(), "ed25519:1")


def transaction_of_an_unknown_server(w, silent):
    return {"origin": w.evil.name, "origin_server_ts": 1, "pdus": [signed_by(w, silent, w.there)]}


def test_events_of_a_silent_server(world, silent):
    """A known server sends events that others must have signed: their keys are fetched."""
    w = world
    eventually(lambda: not at_work(w)["remote"], 60)
    body, requests = transaction_of_an_unknown_server(w, silent), []
    for n in range(AS_MANY):
        uri = f"{FED}/v1/send/of-others-{n}"
        headers = {"X-Forwarded-For": EVIL, "Authorization": w.evil.authorization(
            "PUT", uri, w.a.name, body)}
        requests.append(("PUT", uri, body, headers))
    with asked(w, requests):
        eventually(lambda: waits_only_elsewhere(w))
        others_are_served(w)
        eventually(lambda: waits_only_elsewhere(w))


def test_a_gap_that_a_silent_server_does_not_close(world, turning_silent):
    """Other threads close it: no worker waits."""
    w, loud = world, turning_silent
    room = loud.join(w.a.name, w.hall, loud.user("lou"))
    loud.event(room, loud.user("lou"), "m.room.message", {"body": "lost", "msgtype": "m.text"})
    _, last = loud.event(room, loud.user("lou"), "m.room.message", {"body": "x", "msgtype": "m.text"})
    eventually(lambda: not at_work(w)["remote"], 60)
    connections = loud.link.connections
    loud.silence()
    loud.put_transaction(w.a.name, [last])
    eventually(lambda: loud.link.connections > connections or loud.seen("POST", f"{FED}/v1/get_"))
    eventually(lambda: not any(at_work(w)[pool] for pool in (*OTHER_POOLS, "remote")))
    others_are_served(w)

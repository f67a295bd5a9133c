"""Hostile and broken input on every route that takes a body: a 4xx with an errcode, never a 5xx,
and nothing is stored."""

import json
import socket

import pytest

from client import Client, q
from server import run_cli

MIB = 1 << 20

BODIES = {
    "an array": b"[]",
    "a string": b'"x"',
    "a number": b"1",
    "null": b"null",
    "cut short": b"{",
    "two values": b"{}{}",
    "not UTF-8": b'{"body":"\xff\xfe"}',
    "a lone surrogate": b'{"body":"\\ud800"}',
    "a bare NUL": b'{"body":"a\x00b"}',
    "201 levels deep": b'{"a":' * 200 + b"1" + b"}" * 200,
    "many levels of arrays": b"[" * 100_000,
    "a key twice without an end": b'{"a":1,"a":2',
}

# Uploads are any bytes, the fallback takes a form, the others take no body at all.
NOT_JSON = (
    "/upload", "/upload/{server}/{media}", "/auth/{stage}/fallback/web", "/logout", "/logout/all",
    "/media/v1/create", "/fi.mau.msc2246/create",
)


def routes(*methods):
    """The routes; where a handler has several paths, the stable one."""
    for line in run_cli("routes").stdout.splitlines()[1:]:
        method, path = line.split()[:2]
        if method in methods and not any(old in path for old in ("/unstable/", "/media/r0/")):
            yield method, path


ROUTES = [r for r in routes("POST", "PUT") if not r[1].endswith(NOT_JSON)]
BY_NAME = pytest.mark.parametrize("method,path", ROUTES)


@pytest.fixture(scope="module")
def victim(server):
    """A user with a room, named by the paths; made anew when a route ended the token or the user
    left the room."""

    class Victim:
        def __init__(self):
            self.n = 0
            self.admin = None
            self.renew()

        def renew(self):
            self.n += 1
            self.user = Client(server).register(f"bad-input-{self.n}")
            self.room = self.user.create_room()
            self.event = self.user.send(self.room, "a message")

        def alive(self):
            r = self.user.request("GET", "/joined_rooms")
            if r.status_code != 200 or self.room not in r.json()["joined_rooms"]:
                self.renew()
            return self.user

        def path(self, pattern):
            values = {
                "user": self.user.user_id, "room": self.room, "room_or_alias": self.room,
                "event": self.event, "device": self.user.device_id, "type": "m.room.message",
                "txn": f"bad{id(pattern)}", "key": "", "kind": "override", "rule": "mine",
                "alias": f"#bad-{self.n}:test.example", "tag": "u.tag", "session": "s",
                "version": "1", "token": "t", "server": "test.example", "media": "m",
                "serverName": "test.example", "stage": "m.login.dummy", "filter": "0", "rel_type": "m.thread", "file": "f.png",
                "protocol": "irc", "root": self.room, "path...": "global/override/mine",
            }
            for name, value in values.items():
                pattern = pattern.replace("{" + name + "}", q(value))
            assert "{" not in pattern, pattern
            return pattern

    return Victim()


def stored(user, room):
    """Every event of the room, and which of them are state."""
    events = user.messages(room, limit=100)["chunk"]
    return [e["event_id"] for e in events], sorted(e["event_id"] for e in user.state(room))


def is_unreachable(r):
    """A well-formed name may be that of a server that does not exist."""
    return r.status_code == 502 and r.json().get("errcode") == "M_CONNECTION_FAILED"


def is_error(r):
    return (
        400 <= r.status_code < 500
        and r.headers["content-type"].startswith("application/json")
        and isinstance(r.json().get("errcode"), str)
        and isinstance(r.json().get("error"), str)
    )


@BY_NAME
def test_broken_bodies_are_refused(victim, method, path):
    user = victim.alive()
    before = stored(user, victim.room)
    for what, body in BODIES.items():
        r = user.request(
            method, victim.path(path), content=body, headers={"Content-Type": "application/json"}
        )
        assert is_error(r), f"{what}: {r.status_code} {r.text[:300]}"
    assert stored(user, victim.room) == before


# Members that occur in some request body.
FIELDS = """
    user_id room_id reason name topic invite room_version preset initial_state creation_content
    visibility room_alias_name power_level_content_override is_direct invite_3pid identifier type
    password user token device_id username auth initial_device_display_name refresh_token
    inhibit_login logout_devices new_password erase devices display_name displayname avatar_url
    device_keys one_time_keys fallback_keys messages master_key self_signing_key user_signing_key
    rooms sessions first_message_index forwarded_count is_verified session_data algorithm auth_data
    next_batch events limit since filter include_all_networks third_party_instance_id
    m.fully_read m.read m.read.private typing timeout presence status_msg conditions actions
    pattern enabled order search_categories search_term new_version third_party_signed kind app_id
    pushkey data lang app_display_name device_display_name append thread_id score
    room_alias canonical_alias locked suspended uses_allowed expiry_time length msgtype body
    membership event_fields event_format account_data room users users_default events_default ban
    join_rule allow history_visibility m.relates_to
""".split()
VALUES = [
    -1, 2**53, 1.5, True, "", "x", "a\0b", "\U0001f642" * 300, [], {}, None, [None], ["x"], [[[]]],
    {"x": None}, {"": {"": {"": {}}}}, {"@a:b": {"x": [1]}}, {"limit": -1, "type": 7},
]


@BY_NAME
def test_wrong_types_are_survived(victim, method, path):
    """Whatever a member's type, the answer is never a server error."""
    for value in VALUES:
        r = victim.alive().request(method, victim.path(path), {f: value for f in FIELDS})
        assert r.status_code == 200 or is_error(r) or "flows" in r.json(), f"{value}: {r.text}"


# No room, user or event has such a name.
BAD_IDS = [
    "x", "!", "@", "$", "#", "!:", "@:", "%00", "a%00b", "%FF", "%2e%2e", "%F0%9F%99%82", "!no:where",
    "@no:where", "$no", "%21" + "a" * 255 + "%3Atest.example", "@" + "a" * 300 + ":test.example",
    "b" * 5000, "' OR 1=1 --", "-1", "99999999999999999999",
]
EVERY_PATH = [r for r in routes("GET", "PUT", "POST", "DELETE") if "{" in r[1]]


@pytest.mark.parametrize("method,path", EVERY_PATH)
def test_bad_ids_in_paths_are_survived(victim, method, path):
    for parameter in {part.strip("{}") for part in path.split("/") if part.startswith("{")}:
        for value in BAD_IDS:
            url = victim.path(path.replace("{" + parameter + "}", value))
            body = None if method in ("GET", "DELETE") else {}
            r = victim.alive().request(method, url, body)
            assert (r.status_code < 400 or "flows" in r.text or is_error(r)
                    or is_unreachable(r)), f"{url}: {r.text}"


BAD_QUERY = [
    "limit=-1", "limit=x", "limit=99999999999999999999", "limit=", "from=x", "from=s-1",
    "from=s99999999999999999999", "to=%00", "since=s1_", "since=_", "since=s1_1_1_1", "since=t1-2",
    "since=%FF", "dir=x", "dir=", "filter={", "filter=7x", "filter={\"room\":7}", "filter=[]",
    "filter={\"room\":{\"timeline\":{\"limit\":-5}}}", "timeout=-1", "timeout=x", "full_state=2",
    "set_presence=asleep", "ts=x", "ts=-9", "at=x", "membership=x", "width=-1&height=x",
    "server=%00", "user_id=x", "use_state_after=maybe", "recurse=7", "max_depth=-2", "order_by=x",
]
EVERY_GET = [r[1] for r in routes("GET") if not r[1].startswith(("/health", "/ready", "/metrics"))]


@pytest.mark.parametrize("path", EVERY_GET)
def test_bad_queries_are_survived(victim, path):
    for query in BAD_QUERY:
        r = victim.alive().request("GET", victim.path(path) + "?" + query)
        assert r.status_code < 400 or is_error(r), f"{query}: {r.status_code} {r.text}"


# ---- sizes -------------------------------------------------------------------------------------


def test_bodies_over_the_limit(victim):
    user, room = victim.alive(), victim.room
    huge = b'{"body":"' + b"x" * (11 * MIB) + b'"}'
    for path in (f"/rooms/{q(room)}/send/m.room.message/huge", f"/rooms/{q(room)}/state/a.b"):
        r = user.request("PUT", path, content=huge)
        assert is_error(r) and r.json()["errcode"] == "M_TOO_LARGE", r.text


def test_events_over_65536_bytes(victim):
    user, room = victim.alive(), victim.room
    before = stored(user, room)
    for n in 65_536, 70_000, 1_000_000:
        body = {"body": "x" * n}
        user.fails(413, "M_TOO_LARGE", "PUT", f"/rooms/{q(room)}/send/m.room.message/big{n}", body)
        user.fails(413, "M_TOO_LARGE", "PUT", f"/rooms/{q(room)}/state/a.b/", body)
    assert stored(user, room) == before
    event = user.send(room, {"body": "x" * 64_000})
    assert len(user.event(room, event)["content"]["body"]) == 64_000


@pytest.mark.parametrize(
    "path",
    [
        "send/{long}/t1", "state/{long}/", "state/m.test/{long}", "state/{long}/{long}",
        "send/{emoji}/t2", "state/m.test/{emoji}",
    ],
)
def test_types_and_keys_over_255_bytes(victim, path):
    user, room = victim.alive(), victim.room
    before = stored(user, room)
    path = path.format(long="k" * 256, emoji=q("\U0001f642" * 64))  # 256 bytes, 64 characters
    r = user.request("PUT", f"/rooms/{q(room)}/{path}", {})
    assert is_error(r) and r.json()["errcode"] in ("M_TOO_LARGE", "M_INVALID_PARAM"), r.text
    assert stored(user, room) == before


@pytest.mark.parametrize("number", ["1.5", "1e3", "9007199254740992", "-9007199254740992", "1e400"])
def test_numbers_that_canonical_json_cannot_have(victim, number):
    """Room versions 6 and later: integers within plus or minus 2^53 - 1."""
    user, room = victim.alive(), victim.room
    before = stored(user, room)
    for path in "send/m.room.message/n", "state/m.test/":
        for body in f'{{"n":{number}}}', f'{{"a":[{{"n":{number}}}]}}':
            r = user.request("PUT", f"/rooms/{q(room)}/{path}", content=body)
            assert is_error(r) and r.json()["errcode"] in ("M_BAD_JSON", "M_NOT_JSON"), r.text
    assert stored(user, room) == before
    user.put(f"/rooms/{q(room)}/state/m.test/", {"n": 9007199254740991, "m": -9007199254740991})


BAD_STATE = {
    "m.room.power_levels": [
        {"users": {"@a:b": "100"}}, {"users": {"unknown": 1}}, {"users": []}, {"ban": 1.5},
        {"users_default": None}, {"events": {"m.room.message": "x"}}, {"notifications": {"room": []}},
    ],
    "m.room.member": [{}, {"membership": "ruler"}, {"membership": 7}, {"membership": None}],
    "m.room.create": [{}, {"room_version": "1"}],
}


@pytest.mark.parametrize("type", ["m.room.power_levels", "m.room.member", "m.room.create"])
def test_state_that_the_rules_refuse(victim, type):
    user, room = victim.alive(), victim.room
    before = stored(user, room)
    key = user.user_id if type == "m.room.member" else ""
    for content in BAD_STATE[type]:
        r = user.request("PUT", f"/rooms/{q(room)}/state/{type}/{q(key)}", content)
        assert is_error(r), f"{content}: {r.status_code} {r.text}"
    assert stored(user, room) == before


# ---- connections -------------------------------------------------------------------------------


def connect(server):
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def head(victim, path, length):
    return (
        f"PUT /_matrix/client/v3/rooms/{q(victim.room)}/{path} HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {victim.user.token}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def test_a_body_that_ends_early_is_not_stored(server, victim):
    """The peer hangs up, or only stops writing, in the middle of a body."""
    user = victim.alive()
    before = stored(user, victim.room)
    for half_close in True, False:
        with connect(server) as s:
            s.sendall(head(victim, f"send/m.room.message/cut{half_close}", 100) + b'{"body":"x"}')
            if half_close:
                s.shutdown(socket.SHUT_WR)
                s.settimeout(1)
                try:
                    assert b" 200 " not in s.recv(4096)
                except OSError:
                    pass
    assert stored(user, victim.room) == before


def test_a_half_closed_connection_gets_its_answer(server, victim):
    user = victim.alive()
    body = b'{"msgtype":"m.text","body":"half closed"}'
    with connect(server) as s:
        s.sendall(head(victim, "send/m.room.message/half", len(body)) + body)
        s.shutdown(socket.SHUT_WR)
        reply = s.recv(65536)
    newest = user.messages(victim.room, limit=1)["chunk"][0]["content"]
    assert not reply or (b" 200 " in reply and newest == json.loads(body))


def test_slow_bodies_do_not_delay_others(server, victim):
    """Many clients that trickle their bodies do not stop others."""
    user = victim.alive()
    slow = [connect(server) for _ in range(200)]
    try:
        for i, s in enumerate(slow):
            s.sendall(head(victim, f"send/m.room.message/slow{i}", 1000) + b"{")
        for _ in range(5):
            user.send(victim.room, "quick")
        for i, s in enumerate(slow[:3]):
            body = json.dumps({"msgtype": "m.text", "body": "x" * 1000})[1:1000]
            s.sendall(body.encode()[:500])
            s.sendall(body.encode()[500:])
            assert s.recv(4096).startswith(b"HTTP/1.1 400")
    finally:
        for s in slow:
            s.close()

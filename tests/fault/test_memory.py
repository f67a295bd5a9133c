"""Bodies designed to use much memory: 64 of each kind at once, and the server stays small."""

import collections
import concurrent.futures
import pathlib

import httpx
import pytest

from client import Client, q
from federation import Ministry, Network
from remote import FED, Remote, b64, canonical
from waiting import eventually

AT_ONCE = 64
PEAK_MAX = 512 << 20
REST_MAX = 64 << 20  # above its use at the start


def repeated(unit, size):
    """A list of so many bytes that repeats one value."""
    return b"[" + b",".join([unit] * (size // (len(unit) + 1))) + b"]"


def keys(size):
    """An object of short keys."""
    return b"{" + b",".join(b'"%x":1' % i for i in range(size // 10)) + b"}"


SHAPES = {
    "objects": lambda size: repeated(b"{}", size),
    "lists": lambda size: repeated(b"[]", size),
    "numbers": lambda size: repeated(b"1", size),
    "strings": lambda size: repeated(b'""', size),
    "keys": keys,
    "nested": lambda size: repeated(b"[" * 90 + b"]" * 90, size),
    "too_deep": lambda size: b"[" * (size // 2) + b"]" * (size // 2),
    "long_number": lambda size: b"1" * size,
    "long_string": lambda size: b'"' + b"x" * (size - 2) + b'"',
}


def memory(server, what):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    line = next(l for l in status.splitlines() if l.startswith(what + ":"))
    return int(line.split()[1]) << 10


def forget_peak(server):
    pathlib.Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")


def at_once(send, bodies):
    """Sends all requests at once; the statuses. A closed connection is an answer, too."""
    def one(i):
        try:
            return send(i, bodies[i % len(bodies)])
        except httpx.TransportError:
            return 0
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, range(AT_ONCE)))


def stays_small(server, send, bodies, allowed):
    before = memory(server, "VmRSS")
    forget_peak(server)
    for body in bodies:
        statuses = at_once(send, [body])
        print(collections.Counter(statuses), end=" ")
        assert set(statuses) <= {0, 413, 429, 503} | allowed, statuses
    at_once(send, bodies)
    peak = memory(server, "VmHWM")
    print(f"peak {peak >> 20} MiB, before {before >> 20}")
    assert peak < PEAK_MAX, f"{peak >> 20} MiB"
    eventually(lambda: memory(server, "VmRSS") < before + REST_MAX, seconds=60)


@pytest.fixture
def server():
    s = Ministry(Network(), {"trusted_proxies": "127.0.0.1", "cache_size": "32M"})
    try:
        yield s.start()
    finally:
        s.close()


@pytest.fixture
def http():
    with httpx.Client(timeout=120, limits=httpx.Limits(max_connections=AT_ONCE)) as c:
        yield c


def from_many_addresses(i):
    """Each address is a source."""
    return {"X-Forwarded-For": f"192.0.{2 + i // 200}.{1 + i % 200}"}


@pytest.mark.parametrize("size", [16_000, 2_000_000])
@pytest.mark.parametrize("path", ["/_matrix/client/v3/refresh", "/_matrix/client/v3/login",
                                  "/_matrix/key/v2/query"])
def test_anybodys_bodies(server, http, path, size):
    bodies = [b'{"refresh_token":"x","type":"x","server_keys":' + make(size - 100) + b"}"
              for make in SHAPES.values()]
    send = lambda i, body: http.post(server.url + path, content=body,
                                     headers=from_many_addresses(i)).status_code
    stays_small(server, send, bodies, {200, 400, 401, 403, 404})


@pytest.fixture
def users(server):
    made = [Client(server).register(f"user{i}") for i in range(16)]
    yield made
    for u in made:
        u.close()


def sender_of(users, http, method, path):
    def send(i, body):
        u = users[i % len(users)]
        return http.request(method, u.server.url + path, content=body,
                            headers={"Authorization": f"Bearer {u.token}"}).status_code
    return send


def backup(data):
    """A backup of one key of one room, or of another value in its place."""
    return (b'{"rooms":{"!a:b":{"sessions":{"s":{"first_message_index":0,"forwarded_count":0,'
            b'"is_verified":false,"session_data":' + data + b"}}}}}")


def backup_of_many(size):
    session = (b'"s%d":{"first_message_index":0,"forwarded_count":0,"is_verified":false,'
               b'"session_data":{"a":"b"}}')
    return (b'{"rooms":{"!a:b":{"sessions":{'
            + b",".join(session % i for i in range(size // 110)) + b"}}}}")


def test_key_backups(server, users, http):
    version = [u.post("/room_keys/version", {"algorithm": "m.megolm_backup.v1", "auth_data": {}})
               ["version"] for u in users][0]
    size = (16 << 20) - 1000
    bodies = [backup(SHAPES[k](size)) for k in ("objects", "numbers", "keys", "long_string")]
    bodies += [b'{"rooms":' + SHAPES["keys"](size) + b"}", backup_of_many(size // 3)]
    send = sender_of(users, http, "PUT", f"/_matrix/client/v3/room_keys/keys?version={version}")
    stays_small(server, send, bodies, {200, 400, 404})


@pytest.mark.parametrize("path, member", [
    ("/keys/query", b"device_keys"), ("/keys/claim", b"one_time_keys"),
    ("/keys/upload", b"one_time_keys"), ("/keys/signatures/upload", b"@user0:x"),
    ("/createRoom", b"initial_state"), ("/user/{}/account_data/a", b"a"),
])
def test_users_bodies(server, users, http, path, member):
    size = 2_000_000 if "account_data" not in path else 500_000
    bodies = [b'{"' + member + b'":' + make(size) + b"}" for make in SHAPES.values()]
    method = "PUT" if "account_data" in path else "POST"
    user = q(users[0].user_id)
    send = sender_of(users[:1] if "account_data" in path else users, http, method,
                     "/_matrix/client/v3" + path.format(user))
    stays_small(server, send, bodies, {200, 400, 403, 500})


def test_to_device_messages(server, users, http):
    size = 8_000_000
    bodies = [b'{"messages":{"@a:b":{"c":' + SHAPES[k](size) + b"}}}"
              for k in ("objects", "numbers", "keys", "long_string")]
    bodies += [b'{"messages":' + SHAPES["keys"](size) + b"}"]
    send = sender_of(users, http, "PUT", "/_matrix/client/v3/sendToDevice/m.x/txn")
    stays_small(server, send, bodies, {200, 400})


def transaction(remote, edu_content):
    return (b'{"edus":[{"content":' + edu_content + b',"edu_type":"m.direct_to_device"}],'
            b'"origin":"' + remote.name.encode() + b'","origin_server_ts":1,"pdus":[]}')


def signature(remote, uri, server, body):
    parts = canonical({"content": 0, "destination": server, "method": "PUT", "origin": remote.name,
                       "uri": uri})
    return b64(remote.key.private.sign(parts.replace(b'"content":0', b'"content":' + body, 1)))


@pytest.fixture
def played():
    made = [Remote() for _ in range(4)]
    yield made
    for r in made:
        r.close()


@pytest.mark.parametrize("signed", [True, False])
def test_transactions(server, played, http, signed):
    """Of four servers, signed or in their name only."""
    for r in played:
        r.put_transaction(server.name)  # so that its key is known
    size = 10_000_000
    contents = [SHAPES[k](size) for k in ("objects", "numbers", "keys", "long_string")]
    made = {}

    def prepared(remote, n):
        uri = f"{FED}/v1/send/large{n}"
        body = transaction(remote, contents[n])
        sig = signature(remote, uri, server.name, body) if signed else "A" * 86
        return uri, body, remote.authorization("PUT", uri, server.name, {}, sig=sig)
    for i, r in enumerate(played):
        for n in range(len(contents)):
            made[i, n] = prepared(r, n)

    def send(i, n):
        uri, body, header = made[i % len(played), n]
        return http.put(server.url + uri, content=body,
                        headers={"Authorization": header, **from_many_addresses(i % 4)}).status_code
    stays_small(server, send, list(range(len(contents))), {200, 400, 401})

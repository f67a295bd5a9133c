"""End-to-end encryption: server-side key backups."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from client import q
from restoring import psql, uri_of

ALGORITHM = "m.megolm_backup.v1.curve25519-aes-sha2"
AUTH = {"public_key": "abcdefg", "signatures": {}}
ROOM = "!room:test.example"
serial = itertools.count()


def create(client, **auth):
    return client.post("/room_keys/version", {"algorithm": ALGORITHM, "auth_data": {**AUTH, **auth}})[
        "version"
    ]


def key(first=0, forwarded=0, verified=False, **data):
    return {
        "first_message_index": first,
        "forwarded_count": forwarded,
        "is_verified": verified,
        "session_data": {"ephemeral": "e", "ciphertext": "c", "mac": "m", "n": next(serial), **data},
    }


def path(room=None, session=None):
    return "/room_keys/keys" + "".join("/" + q(p) for p in (room, session) if p)


def put(client, version, body, room=None, session=None):
    return client.put(path(room, session), body, params={"version": version})


def get(client, version, room=None, session=None):
    return client.get(path(room, session), params={"version": version})


def delete(client, version, room=None, session=None):
    return client.delete(path(room, session), params={"version": version})


@pytest.fixture
def version(alice):
    return create(alice)


# ---- versions ----


def test_no_backup_yet(alice):
    alice.fails(404, "M_NOT_FOUND", "GET", "/room_keys/version")
    alice.fails(404, "M_NOT_FOUND", "GET", "/room_keys/version/1")
    alice.fails(404, "M_NOT_FOUND", "GET", path() + "?version=1")
    alice.fails(404, "M_NOT_FOUND", "PUT", path() + "?version=1", {"rooms": {}})


def test_a_new_backup_is_the_current_one(alice, bob):
    first = create(alice)
    second = create(alice, public_key="second")
    assert first != second
    current = alice.get("/room_keys/version")
    assert current == {
        "algorithm": ALGORITHM, "auth_data": {**AUTH, "public_key": "second"}, "count": 0,
        "etag": current["etag"], "version": second,
    }
    assert isinstance(current["etag"], str)
    assert alice.get(f"/room_keys/version/{first}")["auth_data"] == AUTH
    bob.fails(404, "M_NOT_FOUND", "GET", f"/room_keys/version/{first}")


def test_auth_data_can_be_changed_alone(alice, version):
    where = f"/room_keys/version/{version}"
    new = {"algorithm": ALGORITHM, "auth_data": {"public_key": "new"}}
    assert alice.put(where, new) == {}
    assert alice.put(where, {**new, "version": version}) == {}
    assert alice.get(where)["auth_data"] == {"public_key": "new"}
    alice.fails(400, "M_INVALID_PARAM", "PUT", where, {**new, "algorithm": "other"})
    alice.fails(400, "M_INVALID_PARAM", "PUT", where, {**new, "version": version + "1"})
    alice.fails(404, "M_NOT_FOUND", "PUT", "/room_keys/version/99", new)
    alice.fails(404, "M_NOT_FOUND", "PUT", "/room_keys/version/junk", new)


def test_deleting_a_version(alice, version):
    put(alice, version, key(), ROOM, "s")
    newer = create(alice)
    assert alice.delete(f"/room_keys/version/{newer}") == {}
    assert alice.get("/room_keys/version")["version"] == version
    assert alice.delete(f"/room_keys/version/{newer}") == {}
    assert alice.delete(f"/room_keys/version/{version}") == {}
    alice.fails(404, "M_NOT_FOUND", "GET", "/room_keys/version")
    alice.fails(404, "M_NOT_FOUND", "GET", f"/room_keys/version/{version}")
    alice.fails(404, "M_NOT_FOUND", "GET", path() + f"?version={version}")
    alice.fails(404, "M_NOT_FOUND", "PUT", path(ROOM, "s") + f"?version={version}", key())
    alice.fails(404, "M_NOT_FOUND", "DELETE", "/room_keys/version/99")
    assert create(alice) not in (version, newer)


def test_versions_made_at_once_differ(alice):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: create(alice), range(8)))
    assert len(set(made)) == 8


@pytest.mark.parametrize("body", [{}, {"algorithm": ALGORITHM}, {"auth_data": {}},
                                  {"algorithm": 1, "auth_data": {}},
                                  {"algorithm": ALGORITHM, "auth_data": []}])
def test_malformed_versions_are_refused(alice, body):
    assert alice.request("POST", "/room_keys/version", body).status_code == 400


# ---- keys ----


def test_keys_of_every_scope(alice, version):
    a, b, c = key(), key(), key()
    r = put(alice, version, a, ROOM, "one/with ünicode")
    assert r["count"] == 1
    r2 = put(alice, version, {"sessions": {"two": b}}, ROOM)
    assert r2["count"] == 2 and r2["etag"] != r["etag"]
    r3 = put(alice, version, {"rooms": {"!other:test.example": {"sessions": {"three": c}}}})
    assert r3["count"] == 3
    assert get(alice, version) == {
        "rooms": {
            ROOM: {"sessions": {"one/with ünicode": a, "two": b}},
            "!other:test.example": {"sessions": {"three": c}},
        }
    }
    assert get(alice, version, ROOM) == {"sessions": {"one/with ünicode": a, "two": b}}
    assert get(alice, version, ROOM, "two") == b
    info = alice.get("/room_keys/version")
    assert (info["count"], info["etag"]) == (3, r3["etag"])


def test_nothing_found(alice, version):
    assert get(alice, version) == {"rooms": {}}
    assert get(alice, version, ROOM) == {"sessions": {}}
    alice.fails(404, "M_NOT_FOUND", "GET", path(ROOM, "s") + f"?version={version}")
    alice.fails(404, "M_NOT_FOUND", "GET", path() + "?version=99")
    alice.fails(400, "M_MISSING_PARAM", "GET", path())


def test_deleting_keys(alice, version):
    rooms = {r: {"sessions": {s: key() for s in "abc"}} for r in ("!1:x", "!2:x", "!3:x")}
    before = put(alice, version, {"rooms": rooms})
    assert before["count"] == 9
    r = delete(alice, version, "!1:x", "a")
    assert r["count"] == 8 and r["etag"] != before["etag"]
    assert delete(alice, version, "!2:x")["count"] == 5
    assert {r: set(v["sessions"]) for r, v in get(alice, version)["rooms"].items()} == {
        "!1:x": {"b", "c"}, "!3:x": {"a", "b", "c"}
    }
    r = delete(alice, version)
    assert r["count"] == 0
    assert delete(alice, version) == r
    alice.fails(404, "M_NOT_FOUND", "DELETE", path() + "?version=99")


def test_only_the_current_version_is_written_to(alice, version):
    put(alice, version, key(), ROOM, "s")
    newer = create(alice)
    for body, where in ((key(), path(ROOM, "s")), ({"sessions": {}}, path(ROOM)), ({"rooms": {}}, path())):
        r = alice.fails(403, "M_WRONG_ROOM_KEYS_VERSION", "PUT", f"{where}?version={version}", body)
        assert r["current_version"] == newer
    assert get(alice, newer) == {"rooms": {}}
    assert len(get(alice, version)["rooms"]) == 1
    assert delete(alice, version)["count"] == 0


BETTER = [  # (stored, uploaded, is it replaced?)
    ((5, 5, False), (0, 0, True), True),
    ((0, 0, True), (0, 0, False), False),
    ((5, 0, False), (4, 9, False), True),
    ((5, 9, True), (6, 0, True), False),
    ((5, 5, False), (5, 4, False), True),
    ((5, 5, False), (5, 6, False), False),
    ((5, 5, False), (5, 5, False), False),
    ((0, 0, False), (9, 9, True), True),
]


@pytest.mark.parametrize("stored, uploaded, replaced", BETTER)
def test_the_better_key_is_kept(alice, version, stored, uploaded, replaced):
    old, new = key(*stored), key(*uploaded)
    before = put(alice, version, old, ROOM, "s")
    after = put(alice, version, {"sessions": {"s": new}}, ROOM)
    assert get(alice, version, ROOM, "s") == (new if replaced else old)
    assert after["count"] == 1
    assert (after["etag"] != before["etag"]) == replaced


def test_concurrent_uploads_count_right(alice, version):
    def upload(i):
        return put(alice, version, {"sessions": {f"s{i % 10}-{n}": key(i) for n in range(20)}}, ROOM)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(upload, range(40)))
    assert alice.get("/room_keys/version")["count"] == 200
    assert len(get(alice, version, ROOM)["sessions"]) == 200


def test_a_large_backup_is_returned_completely(alice, version):
    rooms = {
        f"!{r}:test.example": {"sessions": {f"{s:04}": key(pad="x" * 400) for s in range(257)}}
        for r in range(11)
    }
    assert put(alice, version, {"rooms": rooms})["count"] == 11 * 257
    assert get(alice, version) == {"rooms": rooms}
    assert get(alice, version, "!3:test.example") == rooms["!3:test.example"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda k: k.pop("first_message_index"),
        lambda k: k.update(forwarded_count="1"),
        lambda k: k.update(is_verified=None),
        lambda k: k.update(session_data="text"),
        lambda k: k["session_data"].update(x="y" * 70000),
    ],
)
def test_malformed_keys_are_refused(alice, version, spoil):
    k = key()
    spoil(k)
    where = path(ROOM, "s") + f"?version={version}"
    assert alice.request("PUT", where, k).status_code in (400, 413)
    assert get(alice, version) == {"rooms": {}}


def test_needs_a_token(anonymous):
    anonymous.fails(401, "M_MISSING_TOKEN", "GET", "/room_keys/version")


def test_the_backups_of_a_user_are_bounded(fresh_server, register):
    alice = register("alice", on=fresh_server(max_key_backup_bytes_per_user="200K"))
    first = create(alice)
    for i in range(3):
        put(alice, first, key(x="y" * 60000), "!r:x", f"s{i}")
    for _ in range(5):  # replacing a key adds none
        put(alice, first, key(x="z" * 60000, verified=True), "!r:x", "s0")
    alice.fails(413, "M_TOO_LARGE", "PUT", path("!r:x", "s3"), key(x="y" * 60000),
                params={"version": first})
    assert get(alice, first)["rooms"]["!r:x"]["sessions"].keys() == {"s0", "s1", "s2"}
    delete(alice, first, "!r:x", "s1")
    put(alice, first, key(x="y" * 60000), "!r:x", "s3")
    second = create(alice)  # all of a user's backups count together
    alice.fails(413, "M_TOO_LARGE", "PUT", path("!r:x", "s"), key(x="y" * 60000),
                params={"version": second})
    alice.delete(f"/room_keys/version/{first}")
    put(alice, second, key(x="y" * 60000), "!r:x", "s")


def test_backups_from_before_they_were_counted_count(fresh_server, register):
    server = fresh_server(max_key_backup_bytes_per_user="100K")
    alice = register("alice", on=server)
    first = create(alice)
    put(alice, first, key(x="y" * 60000), "!r:x", "s")
    psql(uri_of(server), "UPDATE key_backups SET bytes = NULL")
    alice.fails(413, "M_TOO_LARGE", "PUT", path("!r:x", "t"), key(x="y" * 60000),
                params={"version": first})
    put(alice, first, key(), "!r:x", "t")


def test_backups_of_a_user_are_bounded(alice):
    versions = [create(alice) for _ in range(100)]
    alice.fails(413, "M_TOO_LARGE", "POST", "/room_keys/version",
                {"algorithm": "m.megolm_backup.v1", "auth_data": {}})
    for v in versions[-3:]:
        alice.delete(f"/room_keys/version/{v}")
    assert int(create(alice)) == int(versions[-1]) + 1  # no number is reused


def test_thousands_of_keys_at_once(alice, version):
    """They are stored in several statements, all or none."""
    rooms = {f"!r{r}:test.example": {"sessions": {f"s{i}": key(ciphertext="x" * 900) for i in range(300)}}
             for r in range(20)}
    assert put(alice, version, {"rooms": rooms})["count"] == 6000
    assert get(alice, version)["rooms"] == rooms
    rooms["!r5:test.example"]["sessions"]["s299"]["is_verified"] = "no"
    rooms = {"!new:test.example": {"sessions": {"new": key()}}, **rooms}
    alice.fails(400, "M_MISSING_PARAM", "PUT", path() + f"?version={version}", {"rooms": rooms})
    assert alice.get("/room_keys/version")["count"] == 6000


def test_a_repeated_key(alice, version):
    one, two = key(ciphertext="first"), key(ciphertext="second")
    body = ('{"rooms":{"%s":{"sessions":{"s":%s,"s":%s}}}}' %
            (ROOM, json.dumps(one), json.dumps(two)))
    r = alice.request("PUT", path() + f"?version={version}", content=body)
    assert r.status_code == 200 and r.json()["count"] == 1, r.text
    assert get(alice, version, ROOM, "s") == two


@pytest.mark.parametrize("body", ['', '[]', '{', '{"rooms":[]}', '{"rooms":{"!a:b":1}}',
                                  '{"rooms":{"!a:b":{"sessions":{"s":[]}}}}', '{"rooms":null}'])
def test_malformed_bodies_are_refused(alice, version, body):
    r = alice.request("PUT", path() + f"?version={version}", content=body)
    assert r.status_code == 400, r.text

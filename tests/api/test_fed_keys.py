"""Keys of servers: published, fetched, pinned, fetched from notaries and served as a notary
(server-server API, "Retrieving server keys")."""

import base64
import time
from types import SimpleNamespace

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from e2ee import SigningKey, b64, canonical
from federation import authority
from remote import FED, q, unb64

KEY = "/_matrix/key/v2"
PUBLICATION = f"{KEY}/server"
# A request that must be authenticated; the user does not exist.
ASK = f"{FED}/v1/user/devices/%40unknown%3Anowhere"


@pytest.fixture
def web():
    with httpx.Client(verify=authority().client_context()) as c:
        yield c


def is_signed(answer, server, key_id, key):
    bare = {k: v for k, v in answer.items() if k not in ("signatures", "unsigned")}
    Ed25519PublicKey.from_public_bytes(unb64(key)).verify(
        unb64(answer["signatures"][server][key_id]), canonical(bare))
    return True


def is_let_in(remote, server, **options):
    """Does the server accept the remote's signature?"""
    status = remote.request(server, "GET", ASK, **options).status_code
    assert status in (400, 401), status
    return status != 401


def publication(remote, keys=None, old=None, valid_for=3600, signed_by=None):
    """The remote's published keys: {id: SigningKey}; old: {id: (SigningKey, expired)}."""
    keys = keys or {remote.key_id: remote.key}
    answer = {
        "server_name": remote.name,
        "valid_until_ts": int((time.time() + valid_for) * 1000),
        "verify_keys": {i: {"key": k.public} for i, k in keys.items()},
        "old_verify_keys": {i: {"key": k.public, "expired_ts": t} for i, (k, t) in (old or {}).items()},
    }
    answer["signatures"] = {remote.name: {
        i: b64(k.private.sign(canonical(answer))) for i, k in (signed_by or keys).items()}}
    return answer


# ---- our keys ----

def test_own_keys_are_published_and_signed(two, web):
    a, _ = two
    for path in (PUBLICATION, PUBLICATION + "/ed25519:any"):
        answer = web.get(f"https://{a.name}{path}").json()
        assert answer["server_name"] == a.name and answer["old_verify_keys"] == {}
        ahead = answer["valid_until_ts"] / 1000 - time.time()
        assert 23 * 3600 < ahead < 25 * 3600
        [(key_id, key)] = answer["verify_keys"].items()
        assert is_signed(answer, a.name, key_id, key["key"])


def test_keys_are_changed_without_a_gap(ministries, web):
    a = ministries(key_refresh_interval="2h")
    before = web.get(f"https://{a.name}{PUBLICATION}").json()
    [(old_id, old)] = before["verify_keys"].items()
    file = a.data / "signing.key"
    seed = base64.b64encode(bytes(range(32))).decode().rstrip("=")
    file.write_text(f"ed25519 new {seed}\n" + file.read_text())
    a.restart()
    both = web.get(f"https://{a.name}{PUBLICATION}").json()
    assert set(both["verify_keys"]) == {"ed25519:new", old_id}
    assert abs(both["valid_until_ts"] / 1000 - time.time() - 7200) < 60
    for key_id, key in both["verify_keys"].items():
        assert is_signed(both, a.name, key_id, key["key"])

    file.write_text(f"ed25519 new {seed}\n")
    a.settings["old_signing_keys"] = f"{old_id}:{old['key']}:1700000000000"
    a.restart()
    after = web.get(f"https://{a.name}{PUBLICATION}").json()
    assert set(after["verify_keys"]) == {"ed25519:new"}
    assert after["old_verify_keys"] == {old_id: {"key": old["key"], "expired_ts": 1700000000000}}


def test_events_outlive_the_key_that_signed_them(ministries, two, web):
    a, (b, c) = ministries(), two
    room = a.user("alice").create_room(preset="public_chat")
    [(old_id, old)] = web.get(f"https://{a.name}{PUBLICATION}").json()["verify_keys"].items()
    replaced = int(time.time() * 1000)
    seed = base64.b64encode(bytes(range(32))).decode().rstrip("=")
    (a.data / "signing.key").write_text(f"ed25519 new {seed}\n")

    def status_of_joining_from(m):
        r = m.user("bob").request("POST", f"/join/{q(room)}", {}, params={"via": a.name})
        return r.status_code

    a.restart()
    assert status_of_joining_from(b) != 200
    a.settings["old_signing_keys"] = f"{old_id}:{old['key']}:{replaced}"
    a.restart()
    assert status_of_joining_from(c) == 200


# ---- keys of others ----

def test_keys_are_fetched_once_and_kept(ministries, remote):
    a = ministries()
    assert all(is_let_in(remote, a.name) for _ in range(3))
    a.restart()
    assert is_let_in(remote, a.name)
    assert len(remote.seen("GET", PUBLICATION)) == 1


WRONG = {
    "the name of another": lambda r: {**publication(r), "server_name": "other.example"},
    "no validity": lambda r: {k: v for k, v in publication(r).items() if k != "valid_until_ts"},
    "keys that have expired": lambda r: publication(r, valid_for=-10),
    "a signature by none of its keys": lambda r: publication(r, signed_by={"ed25519:x": SigningKey()}),
    "a wrong signature": lambda r: publication(r, signed_by={r.key_id: SigningKey()}),
    "no signature": lambda r: {**publication(r), "signatures": {}},
    "a key that is none": lambda r: {**publication(r), "verify_keys": {r.key_id: {"key": "AAAA"}}},
    "the key among the old ones": lambda r: publication(
        r, {"ed25519:new": SigningKey()}, {r.key_id: (r.key, int(time.time() * 1000) - 1000)}),
    "a list": lambda r: [],
    "no JSON": lambda r: b"<html>",
    "too much": lambda r: {**publication(r), "padding": "x" * 100000},
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_publication_is_not_believed(two, remote, what):
    remote.on("GET", PUBLICATION, lambda request: (200, WRONG[what](remote)))
    assert not is_let_in(remote, two[0].name)


def test_a_server_that_does_not_answer_is_left_alone(two, remote):
    remote.on("GET", PUBLICATION, 500)
    assert not any(is_let_in(remote, two[0].name) for _ in range(5))
    assert len(remote.seen("GET", PUBLICATION)) == 1


def test_a_server_that_has_recovered_is_believed_soon(two, remote):
    failing = remote.on("GET", PUBLICATION, 500)
    assert not is_let_in(remote, two[0].name)
    remote.answers.remove(failing)
    remote.wait_for(lambda: is_let_in(remote, two[0].name))


def test_a_new_key_is_asked_for(two, remote):
    assert is_let_in(remote, two[0].name)
    remote.key, remote.key_id = SigningKey(), "ed25519:2"
    # A server that was just asked is not asked again at once.
    assert not is_let_in(remote, two[0].name)
    assert len(remote.seen("GET", PUBLICATION)) == 1


# ---- pins ----

def test_only_the_pinned_key_is_accepted_and_no_server_is_asked(ministries, remotes):
    good, bad = remotes(), remotes()
    a = ministries(federation_pinned_keys=f"{good.name}={good.key_id}:{good.key.public},"
                                          f"{bad.name}=ed25519:1:{SigningKey().public}")
    assert is_let_in(good, a.name)
    assert not is_let_in(bad, a.name)
    assert not good.seen(path=KEY) and not bad.seen(path=KEY)


def test_closed_federation_asks_no_other_server(ministries, remotes):
    allowed, denied = remotes(), remotes()
    a = ministries(federation_domain_whitelist=allowed.name)
    assert is_let_in(allowed, a.name)
    denied.fails(a.name, 403, "M_FORBIDDEN", "GET", ASK)
    answer = allowed.client.get(f"https://{a.name}{KEY}/query/{denied.name}")
    assert answer.json() == {"server_keys": []}
    assert not denied.requests


# ---- asking notaries ----

def notarised(notary, answer, key=None):
    """The publication, signed by the notary, too."""
    bare = {k: v for k, v in answer.items() if k != "signatures"}
    signature = b64((key or notary.key).private.sign(canonical(bare)))
    return {**answer, "signatures": {**answer["signatures"], notary.name: {notary.key_id: signature}}}


def test_a_notary_is_asked_for_keys_that_a_server_does_not_publish(ministries, remotes):
    quiet, notary = remotes(), remotes()
    quiet.on("GET", PUBLICATION, 500)
    notary.on("POST", f"{KEY}/query", lambda request: (
        200, {"server_keys": [notarised(notary, publication(quiet))]}))
    a = ministries(trusted_key_servers=notary.name)
    assert is_let_in(quiet, a.name)
    [asked] = notary.seen("POST", f"{KEY}/query")
    assert list(asked.body["server_keys"]) == [quiet.name]
    assert quiet.key_id in asked.body["server_keys"][quiet.name]


def test_a_notary_must_sign(ministries, remotes):
    notary = remotes()
    say = {
        "not signed": lambda keys: keys,
        "signed with another key": lambda keys: notarised(notary, keys, SigningKey()),
        "not signed by the server": lambda keys: notarised(notary, {**keys, "signatures": {}}),
        "signed by both": lambda keys: notarised(notary, keys),
    }
    quiet = {what: remotes() for what in say}
    for r in quiet.values():
        r.on("GET", PUBLICATION, 500)
    notary.on("POST", f"{KEY}/query", lambda request: (200, {"server_keys": [
        say[what](publication(r)) for what, r in quiet.items() if r.name in request.body["server_keys"]]}))
    a = ministries(trusted_key_servers=f"{notary.name}={notary.key_id}:{notary.key.public}")
    assert [what for what, r in quiet.items() if is_let_in(r, a.name)] == ["signed by both"]
    assert not notary.seen("GET", PUBLICATION)


def test_many_are_asked_of_a_notary_at_once(ministries, remotes, web):
    notary = remotes()
    gone = {f"localhost:{n}": SimpleNamespace(name=f"localhost:{n}", key=SigningKey(), key_id="ed25519:1")
            for n in range(1, 13)}

    def answer(request):
        return 200, {"server_keys": [notarised(notary, publication(gone[s]))
                                     for s in request.body["server_keys"] if s != "localhost:3"]}

    notary.on("POST", f"{KEY}/query", answer)
    a = ministries(trusted_key_servers=notary.name)
    body = {"server_keys": {s: {} for s in gone}}
    answers = web.post(f"https://{a.name}{KEY}/query", json=body).json()["server_keys"]
    assert {k["server_name"] for k in answers} == set(gone) - {"localhost:3"}
    assert all(notary.name in k["signatures"] and a.name in k["signatures"] for k in answers)
    assert max(len(r.body["server_keys"]) for r in notary.seen("POST", f"{KEY}/query")) == 12


# ---- as a notary ----

def test_a_notary_asks_and_signs(two, remote, web):
    a, _ = two
    [(key_id, key)] = web.get(f"https://{a.name}{PUBLICATION}").json()["verify_keys"].items()
    for path in ("", f"/{remote.key_id}"):
        [answer] = web.get(f"https://{a.name}{KEY}/query/{remote.name}{path}").json()["server_keys"]
        assert answer["verify_keys"] == {remote.key_id: {"key": remote.key.public}}
        assert is_signed(answer, a.name, key_id, key["key"])
        assert is_signed(answer, remote.name, remote.key_id, remote.key.public)
    assert len(remote.seen("GET", PUBLICATION)) == 1


def test_a_notary_answers_for_unreachable_servers(two, remotes, web):
    a, _ = two
    here, away, unknown = remotes(), remotes(), remotes()
    assert is_let_in(away, a.name)
    away.link.cut()
    unknown.link.cut()
    soon = int(time.time() * 1000) + 100
    body = {"server_keys": {
        here.name: {}, away.name: {"ed25519:1": {"minimum_valid_until_ts": soon}},
        unknown.name: {}, a.name: {}, "not a server": {}}}
    answers = web.post(f"https://{a.name}{KEY}/query", json=body).json()["server_keys"]
    assert sorted(k["server_name"] for k in answers) == sorted([here.name, away.name, a.name])
    for answer in answers:
        assert a.name in answer["signatures"]


def test_a_notary_asks_again_for_keys_that_are_valid_longer(two, remote, web):
    a, _ = two
    remote.on("GET", PUBLICATION, lambda request: (200, publication(remote, valid_for=60)))
    url = f"https://{a.name}{KEY}/query/{remote.name}"
    [answer] = web.get(url).json()["server_keys"]
    remote.on("GET", PUBLICATION, lambda request: (200, publication(remote, valid_for=600)))
    later = answer["valid_until_ts"] + 1
    [again] = web.get(f"{url}?minimum_valid_until_ts={later}").json()["server_keys"]
    assert again["valid_until_ts"] >= later
    assert len(remote.seen("GET", PUBLICATION)) == 2
    assert web.get(f"{url}?minimum_valid_until_ts={later}").json()["server_keys"] == [again]
    assert len(remote.seen("GET", PUBLICATION)) == 2


def test_a_notary_asks_again_for_another_key(two, remote, web):
    a, _ = two
    url = f"https://{a.name}{KEY}/query"
    [answer] = web.get(f"{url}/{remote.name}").json()["server_keys"]
    assert list(answer["verify_keys"]) == [remote.key_id]
    for ask in (lambda key: web.get(f"{url}/{remote.name}/{key}"),
                lambda key: web.post(url, json={"server_keys": {remote.name: {key: {}}}})):
        remote.key, remote.key_id = SigningKey(), f"ed25519:{remote.key_id[8:]}x"
        [answer] = ask(remote.key_id).json()["server_keys"]
        assert list(answer["verify_keys"]) == [remote.key_id]
    asked = len(remote.seen("GET", PUBLICATION))
    web.get(f"{url}/{remote.name}/{remote.key_id}")
    assert len(remote.seen("GET", PUBLICATION)) == asked == 3


@pytest.mark.parametrize("body, status", [
    ({}, 400), ({"server_keys": []}, 400), ({"server_keys": {"a.example": 1}}, 400),
    ({"server_keys": {"a.example": {"ed25519:1": {"minimum_valid_until_ts": "x"}}}}, 400),
    ({"server_keys": {f"s{n}.example": {} for n in range(201)}}, 413),
    ({"server_keys": {}}, 200),
])
def test_a_notary_is_asked_wrongly(two, web, body, status):
    r = web.post(f"https://{two[0].name}{KEY}/query", json=body)
    assert r.status_code == status
    assert r.json() == {"server_keys": []} if status == 200 else r.json()["errcode"]


def test_a_notary_is_asked_for_no_server(two, web):
    r = web.get(f"https://{two[0].name}{KEY}/query/not%20a%20server")
    assert (r.status_code, r.json()["errcode"]) == (400, "M_INVALID_PARAM")

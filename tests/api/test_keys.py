"""End-to-end encryption: device keys, one-time keys, fallback keys, device lists."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from client import Client
from e2ee import Device, SigningKey, query


def counts(reply):
    return reply["device_one_time_keys_count"]


def claim(client, *devices, algorithm="signed_curve25519"):
    wanted = {}
    for d in devices:
        wanted.setdefault(d.user_id, {})[d.id] = algorithm
    return client.post("/keys/claim", {"one_time_keys": wanted})


def claim_one(client, device):
    """The id of the claimed key, or None."""
    got = claim(client, device)["one_time_keys"].get(device.user_id, {}).get(device.id, {})
    assert len(got) <= 1
    return next(iter(got), None)


# ---- device keys ----


def test_uploaded_device_keys_are_found(alice, bob):
    d = Device(alice)
    keys = d.keys()
    assert alice.post("/keys/upload", {"device_keys": keys}) == {
        "one_time_key_counts": {"signed_curve25519": 0}
    }
    r = query(bob, alice.user_id)
    found = r["device_keys"][alice.user_id][d.id]
    found.pop("unsigned", None)
    assert found == keys
    assert r["failures"] == {}


def test_display_name_is_served(register, bob):
    carol = register("carol", initial_device_display_name="Carol's ☎")
    d = Device(carol)
    d.upload()
    found = query(bob, carol.user_id)["device_keys"][carol.user_id][d.id]
    assert found["unsigned"] == {"device_display_name": "Carol's ☎"}
    carol.put(f"/devices/{d.id}", {"display_name": "renamed"})
    found = query(bob, carol.user_id)["device_keys"][carol.user_id][d.id]
    assert found["unsigned"]["device_display_name"] == "renamed"


def test_query_of_single_devices(alice, bob):
    first, second = Device(alice), Device(alice.another_device())
    first.upload()
    second.upload()
    ask = {"device_keys": {alice.user_id: [second.id, "NOSUCH"]}}
    assert list(bob.post("/keys/query", ask)["device_keys"][alice.user_id]) == [second.id]
    assert set(query(bob, alice.user_id)["device_keys"][alice.user_id]) == {first.id, second.id}


def test_users_without_keys(alice, bob):
    unknown = "@unknown-here:" + alice.server.name
    r = query(bob, alice.user_id, unknown, "not a user id")
    assert r["device_keys"] == {alice.user_id: {}, unknown: {}}


def test_unreachable_servers_are_failures(alice):
    r = alice.post("/keys/query", {"device_keys": {"@x:nowhere.invalid": []}, "timeout": 100})
    assert list(r["failures"]) == ["nowhere.invalid"]
    assert r["device_keys"] == {}
    ask = {"one_time_keys": {"@x:nowhere.invalid": {"D": "signed_curve25519"}}, "timeout": 100}
    r = alice.post("/keys/claim", ask)
    assert list(r["failures"]) == ["nowhere.invalid"]
    assert r["one_time_keys"] == {}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda k: k.update(user_id="@someone-else:test.example"),
        lambda k: k.update(device_id="OTHER"),
        lambda k: k.pop("keys"),
        lambda k: k.update(algorithms="m.olm"),
        lambda k: k["keys"].update(x=1),
        lambda k: k.update(signatures={"@a:b": "text"}),
    ],
)
def test_malformed_device_keys_are_refused(alice, spoil):
    keys = Device(alice).keys()
    spoil(keys)
    assert alice.request("POST", "/keys/upload", {"device_keys": keys}).status_code == 400


def test_wrong_signature_is_refused(alice):
    keys = Device(alice).keys()
    SigningKey().sign(keys, alice.user_id, alice.device_id)
    alice.fails(400, "M_INVALID_SIGNATURE", "POST", "/keys/upload", {"device_keys": keys})
    assert query(alice, alice.user_id)["device_keys"][alice.user_id] == {}


def test_upload_needs_a_token(anonymous):
    anonymous.fails(401, "M_MISSING_TOKEN", "POST", "/keys/upload")
    anonymous.fails(401, "M_MISSING_TOKEN", "POST", "/keys/query", {"device_keys": {}})


def test_keys_go_with_the_device(alice, bob):
    phone = alice.another_device()
    d = Device(phone)
    d.upload(one_time=3, fallback="F")
    phone.post("/logout")
    assert query(bob, alice.user_id)["device_keys"][alice.user_id] == {}
    assert claim_one(bob, d) is None


def test_new_identity_of_a_device_drops_its_one_time_keys(alice, bob):
    old = Device(alice)
    old.upload(one_time=5, fallback="F")
    new = Device(alice)
    assert new.upload(one_time=1)["one_time_key_counts"] == {"signed_curve25519": 1}
    got = claim(bob, new)["one_time_keys"][alice.user_id][new.id]
    assert list(got) == ["signed_curve25519:AA0001"]
    assert claim_one(bob, new) is None


# ---- one-time keys ----


def test_counts_after_upload(alice):
    d = Device(alice)
    assert d.upload(one_time=10)["one_time_key_counts"] == {"signed_curve25519": 10}
    more = {**d.one_time_keys(5), "my_algorithm:1": "a+plain+string"}
    r = alice.post("/keys/upload", {"one_time_keys": more})
    assert r["one_time_key_counts"] == {"signed_curve25519": 15, "my_algorithm": 1}
    assert alice.post("/keys/upload", {}) == r


def test_same_key_again_is_ignored_and_another_refused(alice):
    d = Device(alice)
    keys = d.one_time_keys(2)
    alice.post("/keys/upload", {"one_time_keys": keys})
    r = alice.post("/keys/upload", {"one_time_keys": keys})
    assert r["one_time_key_counts"]["signed_curve25519"] == 2
    name = next(iter(keys))
    clash = {name: d.one_time_key(), **d.one_time_keys(1)}
    assert alice.request("POST", "/keys/upload", {"one_time_keys": clash}).status_code == 400
    assert counts(alice.sync())["signed_curve25519"] == 2


@pytest.mark.parametrize("key", [1, None, [], {"key": "x"}, {"signatures": {}}, "x" * 300])
def test_malformed_one_time_keys_are_refused(alice, key):
    body = {"one_time_keys": {"signed_curve25519:A": key}}
    assert alice.request("POST", "/keys/upload", body).status_code == 400


@pytest.mark.parametrize("name", ["signed_curve25519", "signed_curve25519:", ":x", "a:" + "x" * 300])
def test_malformed_key_names_are_refused(alice, name):
    alice.fails(400, "M_BAD_JSON", "POST", "/keys/upload", {"one_time_keys": {name: "k"}})


def test_too_many_keys_are_refused(alice):
    keys = {f"a:{i}": "k" for i in range(1001)}
    alice.fails(400, "M_INVALID_PARAM", "POST", "/keys/upload", {"one_time_keys": keys})


def test_claim_gives_the_uploaded_key_once(alice, bob):
    d = Device(alice)
    keys = d.one_time_keys(1)
    alice.post("/keys/upload", {"device_keys": d.keys(), "one_time_keys": keys})
    r = claim(bob, d)
    assert r["one_time_keys"] == {alice.user_id: {d.id: keys}}
    assert r["failures"] == {}
    assert claim(bob, d)["one_time_keys"] == {}


def test_oldest_first(alice, bob):
    d = Device(alice)
    uploaded = []
    for _ in range(4):
        keys = d.one_time_keys(3)
        uploaded.append(set(keys))
        alice.post("/keys/upload", {"one_time_keys": keys})
    for batch in uploaded:
        assert {claim_one(bob, d) for _ in range(3)} == batch


def test_claims_for_many_devices_at_once(alice, bob, register):
    devices = [Device(alice), Device(alice.another_device()), Device(bob)]
    empty = Device(register("carol"))
    for d in devices:
        d.upload(one_time=2)
    r = claim(bob, *devices, empty)["one_time_keys"]
    assert {u: set(of) for u, of in r.items()} == {
        alice.user_id: {devices[0].id, devices[1].id}, bob.user_id: {bob.device_id}
    }


def test_no_two_claims_get_the_same_key(alice, register):
    d = Device(alice)
    d.upload(one_time=100, fallback="F")
    claimers = [register(f"claimer{i}") for i in range(16)]
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda c: [claim_one(c, d) for _ in range(8)], claimers))
    names = [name for of_one in got for name in of_one]
    given = [n for n in names if n != "signed_curve25519:F"]
    assert len(names) == 128 and None not in names
    assert len(given) == len(set(given)) <= 100
    # A key that another claim has locked is skipped for the fallback key, but none is lost.
    left = [claim_one(claimers[0], d) for _ in range(100 - len(given))]
    assert len(set(given) | set(left)) == 100
    assert claim_one(claimers[0], d) == "signed_curve25519:F"
    assert counts(alice.sync())["signed_curve25519"] == 0


def test_sync_has_the_number_left(alice, bob):
    d = Device(alice)
    assert counts(alice.next_sync()) == {"signed_curve25519": 0}
    d.upload(one_time=3)
    assert counts(alice.next_sync(timeout=5000)) == {"signed_curve25519": 3}
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            alice.sync_until, lambda r: counts(r)["signed_curve25519"] == 2, seconds=10
        )
        claim_one(bob, d)
        waiting.result()


# ---- fallback keys ----


def test_fallback_key_is_given_out_again_and_again(alice, bob):
    d = Device(alice)
    d.upload(one_time=1, fallback="F1")
    assert claim_one(bob, d) == "signed_curve25519:AA0001"
    assert alice.sync()["device_unused_fallback_key_types"] == ["signed_curve25519"]
    first = claim(bob, d)["one_time_keys"][alice.user_id][d.id]
    assert list(first) == ["signed_curve25519:F1"]
    assert first["signed_curve25519:F1"]["fallback"] is True
    assert alice.sync()["device_unused_fallback_key_types"] == []
    assert claim(bob, d)["one_time_keys"][alice.user_id][d.id] == first
    d.upload(fallback="F2")
    assert alice.sync()["device_unused_fallback_key_types"] == ["signed_curve25519"]
    assert claim_one(bob, d) == "signed_curve25519:F2"


def test_used_fallback_key_stays_used_when_uploaded_again(alice, bob):
    d = Device(alice)
    key = {"signed_curve25519:F": d.one_time_key(fallback=True)}
    alice.post("/keys/upload", {"device_keys": d.keys(), "fallback_keys": key})
    claim_one(bob, d)
    alice.post("/keys/upload", {"fallback_keys": key})
    assert alice.sync()["device_unused_fallback_key_types"] == []


# ---- device lists ----


def shared_room(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    return room


def test_new_keys_are_in_sync_of_users_who_share_a_room(alice, bob, register):
    outsider = register("outsider")
    shared_room(alice, bob)
    for c in (alice, bob, outsider):
        c.next_sync()
    Device(alice).upload()
    bob.sync_until(lambda r: alice.user_id in r.get("device_lists", {}).get("changed", []))
    alice.sync_until(lambda r: alice.user_id in r.get("device_lists", {}).get("changed", []))
    assert alice.user_id not in outsider.next_sync().get("device_lists", {}).get("changed", [])


def test_same_keys_again_are_no_change(alice, bob):
    shared_room(alice, bob)
    d = Device(alice)
    keys = d.keys()
    alice.post("/keys/upload", {"device_keys": keys})
    bob.next_sync()
    alice.post("/keys/upload", {"device_keys": keys})
    assert bob.next_sync().get("device_lists", {}).get("changed", []) == []


def test_logout_is_a_device_change(alice, bob):
    shared_room(alice, bob)
    phone = alice.another_device()
    Device(phone).upload()
    bob.next_sync()
    phone.post("/logout")
    bob.sync_until(lambda r: alice.user_id in r.get("device_lists", {}).get("changed", []))


def test_keys_changes(alice, bob, register):
    carol = register("carol")
    room = shared_room(alice, bob)
    since = bob.next_sync()["next_batch"]

    def changes():
        now = bob.next_sync()["next_batch"]
        found = bob.get("/keys/changes", params={"from": since, "to": now})
        return {**found, "changed": sorted(found["changed"])}

    assert changes() == {"changed": [], "left": []}
    Device(alice).upload()
    Device(carol).upload()
    assert changes() == {"changed": [alice.user_id], "left": []}
    since = bob.next_sync()["next_batch"]
    carol.join(room)
    assert changes() == {"changed": [carol.user_id], "left": []}
    since = bob.next_sync()["next_batch"]
    carol.leave(room)
    assert changes() == {"changed": [], "left": [carol.user_id]}
    since = bob.next_sync()["next_batch"]
    bob.leave(room)
    assert changes() == {"changed": [], "left": [alice.user_id]}
    since = bob.next_sync()["next_batch"]
    bob.join(room)
    assert changes() == {"changed": sorted([alice.user_id, bob.user_id]), "left": []}


def test_display_name_is_no_key_change(alice, bob):
    shared_room(alice, bob)
    since = bob.next_sync()["next_batch"]
    alice.put(f"/profile/{alice.user_id}/displayname", {"displayname": "Alice"})
    bob.put(f"/profile/{bob.user_id}/displayname", {"displayname": "Bob"})
    now = bob.next_sync()["next_batch"]
    assert bob.get("/keys/changes", params={"from": since, "to": now}) == {
        "changed": [], "left": []
    }


def test_keys_changes_refuses_invalid_tokens(alice):
    token = alice.next_sync()["next_batch"]
    alice.fails(400, "M_MISSING_PARAM", "GET", f"/keys/changes?from={token}")
    alice.fails(400, "M_INVALID_PARAM", "GET", f"/keys/changes?from=junk&to={token}")

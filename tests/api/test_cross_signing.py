"""End-to-end encryption: cross-signing keys and signatures."""

import copy

import pytest

from e2ee import Device, Identity, SigningKey, query

UPLOAD = "/keys/device_signing/upload"
SIGN = "/keys/signatures/upload"


@pytest.fixture
def identity(alice):
    i = Identity(alice.user_id)
    assert alice.post(UPLOAD, i.body()) == {}
    return i


def confirmed(client, body, session):
    auth = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": client.user_id},
        "password": client.password,
        "session": session,
    }
    return {**body, "auth": auth}


def replace(client, body):
    """Uploads keys that must be confirmed with the password."""
    r = client.call("POST", UPLOAD, body, status=401)
    assert {"stages": ["m.login.password"]} in r["flows"]
    client.post(UPLOAD, confirmed(client, body, r["session"]))


def without_signatures(key):
    return {k: v for k, v in key.items() if k != "signatures"}


# ---- publishing keys ----


def test_first_keys_need_no_confirmation(alice, bob, identity):
    body = identity.body()
    mine, theirs = query(alice, alice.user_id), query(bob, alice.user_id)
    for r in (mine, theirs):
        assert without_signatures(r["master_keys"][alice.user_id]) == body["master_key"]
        assert r["self_signing_keys"] == {alice.user_id: body["self_signing_key"]}
    assert mine["user_signing_keys"] == {alice.user_id: body["user_signing_key"]}
    assert theirs["user_signing_keys"] == {}


def test_same_keys_again_need_no_confirmation(alice, identity):
    assert alice.post(UPLOAD, identity.body()) == {}
    assert alice.post(UPLOAD, {"master_key": identity.master_key()}) == {}


def test_new_keys_must_be_confirmed(alice, bob, identity):
    other = Identity(alice.user_id)
    replace(alice, other.body())
    r = query(bob, alice.user_id)
    assert list(r["master_keys"][alice.user_id]["keys"]) == [f"ed25519:{other.master.public}"]


def test_unconfirmed_keys_are_not_stored(alice, bob, identity):
    alice.call("POST", UPLOAD, Identity(alice.user_id).body(), status=401)
    r = query(bob, alice.user_id)
    assert list(r["master_keys"][alice.user_id]["keys"]) == [f"ed25519:{identity.master.public}"]


def test_wrong_password_does_not_confirm(alice, identity):
    body = Identity(alice.user_id).body()
    session = alice.call("POST", UPLOAD, body, status=401)["session"]
    body = confirmed(alice, body, session)
    body["auth"]["password"] = "wrong"
    assert alice.request("POST", UPLOAD, body).status_code in (401, 403)


def test_new_self_signing_key_of_the_same_master(alice, bob, identity):
    other = copy.copy(identity)
    other.self_signing = SigningKey()
    replace(alice, {"self_signing_key": other.self_signing_key()})
    r = query(bob, alice.user_id)
    assert r["self_signing_keys"][alice.user_id] == other.self_signing_key()
    assert f"ed25519:{identity.master.public}" in r["master_keys"][alice.user_id]["keys"]


def test_new_master_key_alone_takes_the_others_with_it(alice, identity):
    replace(alice, {"master_key": Identity(alice.user_id).master_key()})
    r = query(alice, alice.user_id)
    assert r["self_signing_keys"] == r["user_signing_keys"] == {}


def test_keys_must_be_signed_by_the_master_key(alice):
    i = Identity(alice.user_id)
    body = i.body()
    body["self_signing_key"]["signatures"][alice.user_id] = {}
    alice.fails(400, "M_INVALID_SIGNATURE", "POST", UPLOAD, body)
    body = i.body()
    body["user_signing_key"]["signatures"] = Identity(alice.user_id).user_signing_key()["signatures"]
    alice.fails(400, "M_INVALID_SIGNATURE", "POST", UPLOAD, body)
    assert query(alice, alice.user_id)["master_keys"] == {}


def test_without_any_master_key(alice):
    body = {"self_signing_key": Identity(alice.user_id).self_signing_key()}
    alice.fails(400, "M_MISSING_PARAM", "POST", UPLOAD, body)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda k: k.update(user_id="@other:test.example"),
        lambda k: k.update(usage=["self_signing"]),
        lambda k: k.pop("usage"),
        lambda k: k.update(keys={}),
        lambda k: k.update(keys={"ed25519:abc": "def"}),
        lambda k: k["keys"].update(SigningKey() and {"ed25519:x": "x"}),
        lambda k: k.update(keys={"ed25519:short": "short"}),
        lambda k: k.update(keys="text"),
    ],
)
def test_malformed_keys_are_refused(alice, spoil):
    key = Identity(alice.user_id).master_key()
    spoil(key)
    assert alice.request("POST", UPLOAD, {"master_key": key}).status_code == 400


def test_a_key_named_like_a_device_is_refused(alice):
    i = Identity(alice.user_id)
    alice.another_device(device_id=i.master.public)
    alice.fails(403, "M_FORBIDDEN", "POST", UPLOAD, i.body())


def test_new_keys_are_notified(alice, bob):
    bob.join(alice.create_room(preset="public_chat"))
    bob.next_sync()
    alice.post(UPLOAD, Identity(alice.user_id).body())
    bob.sync_until(lambda r: alice.user_id in r.get("device_lists", {}).get("changed", []))


# ---- signatures ----


def sign(client, *keys):
    """Uploads signed keys of devices (by id) or users (by public key); the failures."""
    body = {}
    for key in keys:
        name = key.get("device_id") or next(iter(key["keys"].values()))
        body.setdefault(key["user_id"], {})[name] = key
    return client.post(SIGN, body)["failures"]


def signed_device(device, identity):
    keys = device.keys()
    del keys["signatures"]
    return identity.self_signing.sign(keys, device.user_id, identity.self_signing.public)


def test_own_device_signed_by_the_self_signing_key(alice, bob, identity):
    d = Device(alice)
    d.upload()
    assert sign(alice, signed_device(d, identity)) == {}
    for c in (alice, bob):
        found = query(c, alice.user_id)["device_keys"][alice.user_id][d.id]
        signatures = found["signatures"][alice.user_id]
        assert set(signatures) == {f"ed25519:{d.id}", f"ed25519:{identity.self_signing.public}"}
        found.pop("unsigned", None)
        assert found["signatures"] == {
            alice.user_id: {
                **d.keys()["signatures"][alice.user_id],
                **signed_device(d, identity)["signatures"][alice.user_id],
            }
        }


def test_signature_that_came_with_the_device_keys(alice, bob, identity):
    d = Device(alice)
    keys = identity.self_signing.sign(d.keys(), alice.user_id, identity.self_signing.public)
    alice.post("/keys/upload", {"device_keys": keys})
    found = query(bob, alice.user_id)["device_keys"][alice.user_id][d.id]
    assert found["signatures"] == keys["signatures"]


def test_master_key_signed_by_a_device(alice, bob, identity):
    d = Device(alice)
    d.upload()
    assert sign(alice, d.key.sign(identity.master_key(), alice.user_id, d.id)) == {}
    found = query(bob, alice.user_id)["master_keys"][alice.user_id]
    assert f"ed25519:{d.id}" in found["signatures"][alice.user_id]


def test_other_users_master_key_is_signed_for_the_signer_alone(alice, bob, register, identity):
    carol = register("carol")
    bobs = Identity(bob.user_id)
    bob.post(UPLOAD, bobs.body())
    key = identity.user_signing.sign(
        bobs.master_key(), alice.user_id, identity.user_signing.public
    )
    assert sign(alice, key) == {}
    found = query(alice, bob.user_id)["master_keys"][bob.user_id]
    assert found["signatures"][alice.user_id] == key["signatures"][alice.user_id]
    for c in (bob, carol):
        assert alice.user_id not in query(c, bob.user_id)["master_keys"][bob.user_id].get(
            "signatures", {}
        )


def test_signers_other_devices_are_notified(alice, bob, identity):
    phone = alice.another_device()
    bobs = Identity(bob.user_id)
    bob.post(UPLOAD, bobs.body())
    phone.next_sync()
    bob.next_sync()
    sign(alice, identity.user_signing.sign(
        bobs.master_key(), alice.user_id, identity.user_signing.public
    ))
    phone.sync_until(lambda r: bob.user_id in r.get("device_lists", {}).get("changed", []))
    assert bob.next_sync().get("device_lists", {}).get("changed", []) == []


def failure(failures, user_id, name):
    assert list(failures) == [user_id] and list(failures[user_id]) == [name]
    return failures[user_id][name]["errcode"]


def test_wrong_signature_is_a_failure(alice, identity):
    d = Device(alice)
    d.upload()
    key = signed_device(d, identity)
    key["signatures"] = signed_device(d, Identity(alice.user_id))["signatures"]
    assert failure(sign(alice, key), alice.user_id, d.id) == "M_INVALID_SIGNATURE"
    name = f"ed25519:{identity.self_signing.public}"
    key["signatures"] = {alice.user_id: {name: d.key.sign({}, "x", "y")["signatures"]["x"]["ed25519:y"]}}
    assert failure(sign(alice, key), alice.user_id, d.id) == "M_INVALID_SIGNATURE"
    found = query(alice, alice.user_id)["device_keys"][alice.user_id][d.id]
    assert list(found["signatures"][alice.user_id]) == [f"ed25519:{d.id}"]


def test_other_key_than_the_known_one_is_a_failure(alice, identity):
    d = Device(alice)
    d.upload()
    d.curve = "x" * 43
    assert failure(sign(alice, signed_device(d, identity)), alice.user_id, d.id) == "M_INVALID_PARAM"


def test_unknown_keys_are_failures(alice, bob, identity):
    d = Device(alice)  # not uploaded
    bobs = Device(bob)
    bobs.upload()
    theirs = bobs.keys()
    identity.user_signing.sign(theirs, alice.user_id, identity.user_signing.public)
    failures = sign(alice, signed_device(d, identity), theirs)
    assert failures[alice.user_id][d.id]["errcode"] == "M_NOT_FOUND"
    assert failures[bob.user_id][bobs.id]["errcode"] == "M_NOT_FOUND"


def test_good_signatures_beside_bad_ones_are_kept(alice, bob, identity):
    first, second = Device(alice), Device(alice.another_device())
    first.upload()
    second.upload()
    bad = signed_device(second, identity)
    bad["algorithms"] = []
    assert failure(sign(alice, signed_device(first, identity), bad), alice.user_id, second.id)
    found = query(bob, alice.user_id)["device_keys"][alice.user_id]
    assert len(found[first.id]["signatures"][alice.user_id]) == 2
    assert len(found[second.id]["signatures"][alice.user_id]) == 1


def test_signature_by_a_replaced_key_is_dropped(alice, bob, identity):
    d = Device(alice)
    d.upload()
    sign(alice, signed_device(d, identity))
    replace(alice, Identity(alice.user_id).body())
    found = query(bob, alice.user_id)["device_keys"][alice.user_id][d.id]
    assert list(found["signatures"][alice.user_id]) == [f"ed25519:{d.id}"]


def test_own_signature_is_notified(alice, bob, identity):
    bob.join(alice.create_room(preset="public_chat"))
    d = Device(alice)
    d.upload()
    bob.next_sync()
    sign(alice, signed_device(d, identity))
    bob.sync_until(lambda r: alice.user_id in r.get("device_lists", {}).get("changed", []))
    sign(alice, signed_device(d, identity))
    assert bob.next_sync().get("device_lists", {}).get("changed", []) == []

"""Each one-time key is claimed at most once, even if it is uploaded again (end-to-end encryption,
"One-time and fallback keys")."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2ee import Device
from test_dehydrated_device import BASE, Dehydrated
from test_keys import claim, claim_one, counts


@pytest.fixture
def device(alice):
    d = Device(alice)
    d.upload()
    return d


def upload(device, keys, member="one_time_keys"):
    return device.client.request("POST", "/keys/upload", {member: keys})


def test_a_claimed_key_is_not_taken_again(device, bob):
    keys = device.one_time_keys(2)
    assert upload(device, keys).status_code == 200
    first = claim_one(bob, device)
    r = upload(device, keys)
    assert r.status_code == 200 and r.json() == {"one_time_key_counts": {"signed_curve25519": 1}}
    assert {first, claim_one(bob, device)} == set(keys)
    assert claim_one(bob, device) is None
    assert counts(device.client.sync())["signed_curve25519"] == 0


def test_another_value_under_a_claimed_id_is_refused(device, bob):
    keys = device.one_time_keys(1)
    upload(device, keys)
    (name,) = keys
    assert claim_one(bob, device) == name
    r = upload(device, {name: device.one_time_key(), **device.one_time_keys(1)})
    assert r.status_code == 400 and r.json()["errcode"] == "M_UNKNOWN"
    assert claim_one(bob, device) is None


def test_uploads_and_claims_at_once_give_each_key_once(device, bob):
    keys = device.one_time_keys(30)
    upload(device, keys)

    def act(_):
        if random.random() < 0.5:
            assert upload(device, keys).status_code == 200
            return None
        return claim_one(bob, device)

    with ThreadPoolExecutor(8) as pool:
        given = [name for name in pool.map(act, range(120)) if name]
    assert len(given) == len(set(given)) and given


def test_a_claimed_key_is_no_fallback_key(device, bob):
    keys = device.one_time_keys(2)
    upload(device, keys)
    assert claim_one(bob, device)
    for name, key in keys.items():  # one claimed, one waiting
        r = upload(device, {name: {**key}}, "fallback_keys")
        assert r.status_code == 400 and r.json()["errcode"] == "M_UNKNOWN"


def test_a_fallback_key_may_be_called_as_another_one_time_key(device, bob):
    """vodozemac (Element) counts both from 0."""
    keys = device.one_time_keys(2)
    upload(device, keys)
    first = claim_one(bob, device)
    for name in keys:  # one claimed, one waiting
        other = {name: device.one_time_key(fallback=True)}
        assert upload(device, other, "fallback_keys").status_code == 200
    assert {first, claim_one(bob, device)} == set(keys)
    assert claim_one(bob, device) == name


def test_a_fallback_key_is_no_one_time_key(device, bob):
    first, second = ({f"signed_curve25519:F{n}": device.one_time_key(fallback=True)} for n in "12")
    upload(device, first, "fallback_keys")
    assert claim_one(bob, device) == "signed_curve25519:F1"
    assert upload(device, first).json()["one_time_key_counts"]["signed_curve25519"] == 0
    upload(device, second, "fallback_keys")
    assert upload(device, first).json()["one_time_key_counts"]["signed_curve25519"] == 0
    assert upload(device, {"signed_curve25519:F1": device.one_time_key()}).status_code == 400
    # A device may upload an old fallback key again.
    assert upload(device, first, "fallback_keys").status_code == 200
    assert claim_one(bob, device) == "signed_curve25519:F1"


def test_another_identity_of_the_device_begins_anew(alice, bob):
    old = Device(alice)
    old.upload(one_time=1)
    assert claim_one(bob, old) == "signed_curve25519:AA0001"
    new = Device(alice)
    new.upload(one_time=1)
    assert claim_one(bob, new) == "signed_curve25519:AA0001"
    assert claim_one(bob, new) is None


def test_the_next_device_of_that_name_begins_anew(alice, bob):
    phone = alice.another_device(device_id="PHONE")
    d = Device(phone)
    d.upload(one_time=1)
    assert claim_one(bob, d)
    phone.post("/logout")
    d = Device(alice.another_device(device_id="PHONE"))
    d.upload(one_time=1)
    assert claim_one(bob, d) == "signed_curve25519:AA0001"


def test_a_dehydrated_device_repeats_its_keys_in_vain(alice, bob):
    d = Dehydrated(alice)
    body = d.body()
    alice.put(BASE, body)
    given = [claim_one(bob, d) for _ in range(2)]
    alice.put(BASE, body)
    assert claim_one(bob, d) == "signed_curve25519:F" and set(given) == set(body["one_time_keys"])

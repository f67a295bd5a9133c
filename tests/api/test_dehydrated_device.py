"""Dehydrated devices (MSC3814)."""

import json

import pytest

from client import q, transactions
from e2ee import Device, query

BASE = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"


class Dehydrated(Device):
    """A device that no client is signed in on."""

    def __init__(self, client):
        super().__init__(client)
        self.id = self.curve

    def body(self, **more):
        return {
            "device_id": self.id,
            "device_data": {"algorithm": "org.matrix.msc3814.v2", "device_pickle": "x", "nonce": "y"},
            "initial_device_display_name": "Dehydrated",
            "device_keys": self.keys(),
            "one_time_keys": self.one_time_keys(2),
            "fallback_keys": {"signed_curve25519:F": self.one_time_key(fallback=True)},
            **more,
        }


@pytest.fixture
def dehydrated(alice):
    d = Dehydrated(alice)
    assert alice.put(BASE, d.body()) == {"device_id": d.id}
    return d


def devices(client):
    return {d["device_id"] for d in client.get("/devices")["devices"]}


def test_none_yet(alice):
    alice.fails(404, "M_NOT_FOUND", "GET", BASE)
    alice.fails(404, "M_NOT_FOUND", "DELETE", BASE)
    alice.fails(403, "M_FORBIDDEN", "GET", BASE + "/X/events")


def test_it_is_a_device_with_keys(alice, bob, dehydrated):
    assert alice.get(BASE) == {
        "device_id": dehydrated.id, "device_data": dehydrated.body()["device_data"]
    }
    assert dehydrated.id in devices(alice)
    found = query(bob, alice.user_id)["device_keys"][alice.user_id][dehydrated.id]
    assert found["unsigned"] == {"device_display_name": "Dehydrated"}
    claim = {"one_time_keys": {alice.user_id: {dehydrated.id: "signed_curve25519"}}}
    names = [next(iter(bob.post("/keys/claim", claim)["one_time_keys"][alice.user_id][dehydrated.id]))
             for _ in range(3)]
    assert names[2] == "signed_curve25519:F" and len(set(names)) == 3


def test_a_new_one_replaces_it(alice, bob, dehydrated):
    newer = Dehydrated(alice)
    alice.put(BASE, newer.body())
    assert alice.get(BASE)["device_id"] == newer.id
    assert devices(alice) == {alice.device_id, newer.id}
    assert set(query(bob, alice.user_id)["device_keys"][alice.user_id]) == {newer.id}


def test_deleting_it(alice, bob, dehydrated):
    assert alice.delete(BASE) == {"device_id": dehydrated.id}
    alice.fails(404, "M_NOT_FOUND", "GET", BASE)
    assert devices(alice) == {alice.device_id}
    assert query(bob, alice.user_id)["device_keys"][alice.user_id] == {}


def test_events_come_in_batches_and_stay(alice, bob, dehydrated):
    for n in range(150):
        bob.put(f"/sendToDevice/m.test/dh{next(transactions)}",
                {"messages": {alice.user_id: {dehydrated.id: {"n": n}}}})
    where = f"{BASE}/{q(dehydrated.id)}/events"
    for _ in range(2):
        first = alice.get(where)
        assert len(first["events"]) == 100
        second = alice.get(where, params={"from": first["next_batch"]})
        assert "next_batch" not in second
        assert [e["content"]["n"] for e in first["events"] + second["events"]] == list(range(150))
        assert first["events"][0]["sender"] == bob.user_id
    # Clients of the older draft ask until the reply is empty.
    got, body = [], {}
    while True:
        r = alice.post(where, body)
        if not r["events"]:
            break
        got += r["events"]
        body = {"next_batch": r["next_batch"]}
    assert len(got) == 150
    alice.fails(400, "M_INVALID_PARAM", "GET", where + "?from=junk")
    alice.fails(403, "M_FORBIDDEN", "GET", f"{BASE}/{alice.device_id}/events")


def test_malformed_ones_leave_nothing_behind(alice, dehydrated):
    d = Dehydrated(alice)
    for spoil in ("device_id", "device_data", "device_keys"):
        body = d.body()
        del body[spoil]
        assert alice.request("PUT", BASE, body).status_code == 400
    assert alice.request("PUT", BASE, d.body(device_id="other")).status_code == 400
    assert alice.request("PUT", BASE, d.body(one_time_keys={"junk": 1})).status_code == 400
    assert devices(alice) == {alice.device_id, dehydrated.id}
    assert alice.get(BASE)["device_id"] == dehydrated.id


def test_a_device_in_use_cannot_be_one(alice):
    d = Dehydrated(alice)
    d.id = alice.device_id
    alice.fails(400, "M_INVALID_PARAM", "PUT", BASE, d.body())
    assert devices(alice) == {alice.device_id}


def test_its_data_is_bounded(alice):
    d = Dehydrated(alice)
    data = {"algorithm": "org.matrix.msc3814.v2", "device_pickle": "", "nonce": "y"}
    room = 262144 - len(json.dumps(data, separators=(",", ":")))
    for size, status in (room + 1, 413), (room, 200):
        r = alice.request("PUT", BASE, d.body(device_data={**data, "device_pickle": "x" * size}))
        assert r.status_code == status, r.text

"""Client-server API, "Device Management"."""

import time

import pytest

from client import Client, q
from test_uia import password


def ids(c):
    return {d["device_id"] for d in c.get("/devices")["devices"]}


def test_list_and_get(alice):
    other = alice.another_device(device_id="PHONE", initial_device_display_name="A phone")
    assert ids(alice) == {alice.device_id, "PHONE"}
    d = alice.get("/devices/PHONE")
    assert d["device_id"] == "PHONE" and d["display_name"] == "A phone"
    assert "display_name" not in other.get(f"/devices/{alice.device_id}")
    alice.fails(404, "M_NOT_FOUND", "GET", "/devices/NOSUCH")


def test_devices_are_ones_own(alice, bob):
    bob.fails(404, "M_NOT_FOUND", "GET", f"/devices/{alice.device_id}")
    bob.fails(404, "M_NOT_FOUND", "PUT", f"/devices/{alice.device_id}", {"display_name": "Mine"})
    bob.delete(f"/devices/{alice.device_id}", {"auth": password(bob)})
    assert alice.get("/account/whoami")["device_id"] == alice.device_id


def test_rename(alice):
    path = f"/devices/{alice.device_id}"
    assert alice.put(path, {"display_name": "Laptop ☕"}) == {}
    assert alice.get(path)["display_name"] == "Laptop ☕"
    alice.put(path, {})  # unchanged
    assert alice.get(path)["display_name"] == "Laptop ☕"
    alice.fails(400, "M_INVALID_PARAM", "PUT", path, {"display_name": "x" * 256})
    alice.fails(400, "M_BAD_JSON", "PUT", path, {"display_name": 5})
    alice.fails(404, "M_NOT_FOUND", "PUT", "/devices/NOSUCH", {"display_name": "x"})


def test_delete(alice):
    other = alice.another_device(device_id="TABLET")
    r = alice.call("DELETE", "/devices/TABLET", {}, status=401)
    assert r["flows"] == [{"stages": ["m.login.password"]}]
    assert "TABLET" in ids(alice)
    assert alice.delete("/devices/TABLET", {"auth": password(alice, r["session"])}) == {}
    assert ids(alice) == {alice.device_id}
    other.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")
    alice.delete("/devices/TABLET", {"auth": password(alice)})  # removed before


def test_delete_this_device(alice):
    alice.delete(f"/devices/{alice.device_id}", {"auth": password(alice)})
    alice.fails(401, "M_UNKNOWN_TOKEN", "GET", "/devices")


def test_delete_many(alice):
    others = [alice.another_device(device_id=f"D{i}") for i in range(5)]
    body = {"devices": ["D0", "D1", "D2", "D3", "NOSUCH"]}
    r = alice.call("POST", "/delete_devices", body, status=401)
    alice.post("/delete_devices", {**body, "auth": password(alice, r["session"])})
    assert ids(alice) == {alice.device_id, "D4"}
    for c in others[:4]:
        c.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")
    assert others[4].get("/account/whoami")["device_id"] == "D4"


@pytest.mark.parametrize("body, errcode", [
    ({}, "M_MISSING_PARAM"), ({"devices": "D0"}, "M_BAD_JSON"), ({"devices": [5]}, "M_BAD_JSON"),
    ({"devices": ["D"] * 1001}, "M_INVALID_PARAM"),
])
def test_delete_many_bad_bodies(alice, body, errcode):
    alice.fails(400, errcode, "POST", "/delete_devices", body)


def test_when_a_device_was_last_seen_is_stored(fresh_server):
    s = fresh_server()
    before = int(time.time() * 1000)
    c = Client(s).register("ann")
    c.get("/account/whoami")
    assert "last_seen_ts" not in c.get(f"/devices/{c.device_id}")  # not in the request's path
    s.restart()  # the last-seen data are stored at the stop
    d = Client(s, token=c.token).get(f"/devices/{c.device_id}")
    assert before <= d["last_seen_ts"] <= int(time.time() * 1000)
    assert d["last_seen_ip"] == "127.0.0.1"


def test_odd_device_ids(alice):
    odd = alice.another_device(device_id="a/b?c=d e%")
    path = f"/devices/{q(odd.device_id)}"
    assert alice.get(path)["device_id"] == "a/b?c=d e%"
    alice.delete(path, {"auth": password(alice)})
    assert ids(alice) == {alice.device_id}


def changed(reply):
    return reply.get("device_lists", {}).get("changed", [])


def test_others_learn_of_changed_devices(alice, bob, register):
    outsider = register("outsider")
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    other = alice.another_device()
    bob.next_sync(), outsider.next_sync()
    alice.put(f"/devices/{other.device_id}", {"display_name": "Renamed"})
    assert alice.user_id in bob.sync_until(changed)
    other.post("/logout")
    assert alice.user_id in bob.sync_until(changed)
    assert changed(outsider.next_sync()) == []

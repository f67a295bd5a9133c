"""Server-server API, "Device Management": changes of devices between servers. With users who
leave and rejoin meanwhile: test_fed_e2ee_moves.py."""

import threading

import pytest

from device_lists import Carol, devices_of, share_room, device_change_of
from e2ee import Device, Identity, query
from remote import FED
from test_to_device import received
from waiting import eventually


def test_changes_of_devices_reach_the_other_side(two):
    alice, bob = two[0].user("alice"), two[1].user("bob")
    first = Device(bob)
    first.upload()
    share_room(alice, bob)
    assert list(devices_of(alice, bob)) == [first.id]
    alice.next_sync()

    second = Device(bob.another_device())
    second.upload()
    alice.sync_until(device_change_of(bob))  # perhaps only of the sign-in, before the keys
    eventually(lambda: set(devices_of(alice, bob)) == {first.id, second.id})

    bob.post("/delete_devices", {"devices": [second.id], "auth": {
        "type": "m.login.password", "password": bob.password,
        "identifier": {"type": "m.id.user", "user": bob.user_id}}})
    alice.sync_until(device_change_of(bob))
    assert set(devices_of(alice, bob)) == {first.id}

    identity = Identity(bob.user_id)
    bob.post("/keys/device_signing/upload", identity.body())
    alice.sync_until(device_change_of(bob))
    eventually(lambda: query(alice, bob.user_id)["master_keys"][bob.user_id]["keys"]
               == identity.master_key()["keys"])

    signed = identity.self_signing.sign(first.keys(), bob.user_id, identity.self_signing.public)
    bob.post("/keys/signatures/upload", {bob.user_id: {first.id: signed}})
    alice.sync_until(device_change_of(bob))
    eventually(lambda: devices_of(alice, bob)[first.id] == signed)


def test_changes_are_heard_of_after_an_outage(two):
    alice, bob = two[0].user("alice"), two[1].user("bob")
    first = Device(bob)
    first.upload()
    share_room(alice, bob)
    devices_of(alice, bob)
    alice.next_sync()
    two[0].link.cut()
    try:
        more = [Device(bob.another_device()) for _ in range(3)]
        for d in more:
            d.upload()
    finally:
        two[0].link.heal()
    alice.sync_until(device_change_of(bob), seconds=60)
    eventually(lambda: set(devices_of(alice, bob)) == {d.id for d in [first, *more]})


def test_joining_users_are_queried(two):
    alice, bob = two[0].user("alice"), two[1].user("bob")
    d = Device(bob)
    d.upload()
    alice.next_sync()
    bob.next_sync()
    room = share_room(alice, bob)
    alice.sync_until(device_change_of(bob))
    bob.sync_until(device_change_of(alice))
    assert list(devices_of(alice, bob)) == [d.id]
    bob.leave(room)
    alice.sync_until(lambda r: bob.user_id in r.get("device_lists", {}).get("left", []))


@pytest.fixture
def met(two, remote):
    """alice, and carol of a remote server whose device list alice's server follows."""
    alice, carol = two[0].user("alice"), Carol(remote)
    room = alice.create_room(preset="public_chat")
    remote.join(two[0].name, room, carol.user_id)
    carol.change("ONE")
    assert list(devices_of(alice, carol)) == ["ONE"]
    alice.next_sync()
    # The answer to a query has no stream_id: the first update makes our server ask for the list.
    carol.change("TWO", to=two[0].name)
    alice.sync_until(device_change_of(carol))
    assert set(devices_of(alice, carol)) == {"ONE", "TWO"}
    return alice, carol, two[0].name


def test_known_lists_are_not_queried_again(met):
    alice, carol, server = met
    asked = carol.asked()
    for n in range(3):
        carol.change(f"D{n}", to=server)
        alice.sync_until(device_change_of(carol))
        assert devices_of(alice, carol) == carol.devices
    assert carol.asked() == asked


def test_a_missed_change_is_asked_for(met):
    alice, carol, server = met
    asked = carol.asked()
    carol.change("LOST")
    carol.change("HEARD", to=server)
    alice.sync_until(device_change_of(carol))
    assert devices_of(alice, carol) == carol.devices
    assert carol.asked() == asked + 1
    carol.change("AFTER", to=server)
    alice.sync_until(device_change_of(carol))
    assert devices_of(alice, carol) == carol.devices
    assert carol.asked() == asked + 1


def test_a_deleted_device_is_gone(met):
    alice, carol, server = met
    before = carol.stream
    carol.stream += 1
    del carol.devices["ONE"]
    carol.send_update()
    carol.remote.send_edu(server, "m.device_list_update", {
        "user_id": carol.user_id, "device_id": "ONE", "stream_id": carol.stream,
        "prev_id": [before], "deleted": True})
    alice.sync_until(device_change_of(carol))
    assert set(devices_of(alice, carol)) == {"TWO"}


@pytest.mark.parametrize("type", ["m.signing_key_update", "org.matrix.signing_key_update"])
def test_new_cross_signing_keys_are_heard_of(met, type):
    alice, carol, server = met
    identity = Identity(carol.user_id)
    carol.remote.send_edu(server, type, {
        "user_id": carol.user_id, "master_key": identity.master_key(),
        "self_signing_key": identity.self_signing_key()})
    alice.sync_until(device_change_of(carol))
    r = query(alice, carol.user_id)
    assert r["self_signing_keys"][carol.user_id] == identity.self_signing_key()
    assert r["master_keys"][carol.user_id]["keys"] == identity.master_key()["keys"]


def test_clients_need_not_wait_for_a_stale_list(met):
    alice, carol, server = met
    failing = carol.remote.on("GET", f"{FED}/v1/user/devices/", (404, {"errcode": "M_NOT_FOUND"}))
    carol.change("LOST")
    carol.change("HEARD", to=server)
    eventually(lambda: len(carol.remote.seen("GET", f"{FED}/v1/user/devices/")) > 1)
    # Meanwhile clients get the remote server's current answer, not the stored list.
    assert devices_of(alice, carol) == carol.devices
    carol.remote.answers.remove(failing)
    alice.sync_until(device_change_of(carol), seconds=60)
    asked = carol.asked()
    assert devices_of(alice, carol) == carol.devices
    assert carol.asked() == asked


def test_a_stale_list_survives_a_restart(ministries, remote):
    a, carol = ministries(), Carol(remote)
    alice = a.user("alice")
    remote.join(a.name, alice.create_room(preset="public_chat"), carol.user_id)
    devices_of(alice, carol)
    alice.next_sync()
    path = f"{FED}/v1/user/devices/"
    failing = remote.on("GET", path, 500)
    carol.change("ONE", to=a.name)
    eventually(lambda: remote.seen("GET", path))
    alice.sync_until(device_change_of(carol))  # the list is outdated before the new one arrives
    a.stop()
    remote.answers.remove(failing)
    a.start()
    alice.sync_until(device_change_of(carol), seconds=60)
    asked = len(remote.seen("POST", f"{FED}/v1/user/keys/query"))
    assert devices_of(alice, carol) == carol.devices
    assert len(remote.seen("POST", f"{FED}/v1/user/keys/query")) == asked


def test_updates_of_another_servers_users_are_ignored(met, remotes):
    alice, carol, server = met
    evil = remotes()
    mallory = Carol(evil, "mallory")
    evil.join(server, alice.create_room(preset="public_chat"), mallory.user_id)
    alice.next_sync()
    asked = carol.asked()
    fake = {"user_id": carol.user_id, "device_id": "FAKE", "stream_id": carol.stream + 1,
            "prev_id": [carol.stream], "keys": carol.keys("FAKE")}
    evil.send_edu(server, "m.device_list_update", fake)
    evil.send_edu(server, "m.signing_key_update", {
        "user_id": carol.user_id, "master_key": Identity(carol.user_id).master_key()})
    evil.send_edu(server, "m.direct_to_device", {
        "sender": carol.user_id, "type": "m.test", "message_id": "x",
        "messages": {alice.user_id: {"*": {"n": 1}}}})
    r = alice.next_sync()
    assert not device_change_of(carol)(r) and received(r) == []
    assert devices_of(alice, carol) == carol.devices
    assert carol.asked() == asked


def test_nonsense_is_left_out(met):
    alice, carol, server = met
    good = {"user_id": carol.user_id, "device_id": "BAD", "stream_id": 99, "prev_id": [carol.stream]}
    wrong_keys = {**carol.keys("BAD"), "device_id": "OTHER"}
    for bad in ({"user_id": 1}, {"device_id": None}, {"stream_id": "x"}, {"prev_id": {}},
                {"prev_id": list(range(5000))}, {"device_id": "D" * 300}, {"stream_id": -5}):
        carol.remote.send_edu(server, "m.device_list_update", {**good, **bad})
    assert devices_of(alice, carol) == carol.devices
    before = dict(carol.devices)
    carol.change("BAD", to=server, keys=wrong_keys)
    carol.change("HUGE", to=server, keys={**carol.keys("HUGE"), "more": "x" * 40000})
    carol.change("FINE", to=server)
    eventually(lambda: devices_of(alice, carol) == {**before, "FINE": carol.devices["FINE"]})


def test_keys_before_the_member_list_is_known(two, remote):
    a, _ = two
    alice, carol, member = a.user("alice"), Carol(remote), Carol(remote, "member-3")
    asked, opened = threading.Event(), threading.Event()
    remote.on("GET", f"{FED}/v1/state/", lambda r: asked.set() or opened.wait(60) and None)
    room = remote.create_room(carol.user_id, "11", members=10)
    member.change("ONE")
    alice.next_sync()
    alice.join(room.id, via=[remote.name])
    asked.wait(20)
    assert devices_of(alice, member) == member.devices
    member.change("TWO", to=a.name)  # their membership is not known here yet
    assert devices_of(alice, member) == member.devices
    changed = set(alice.next_sync().get("device_lists", {}).get("changed", []))
    opened.set()

    def everyone(reply):
        changed.update(reply.get("device_lists", {}).get("changed", []))
        return set(room.members()) <= changed | {alice.user_id}

    alice.sync_until(everyone)
    devices_of(alice, member)
    member.change("THREE", to=a.name)
    alice.sync_until(device_change_of(member))
    before = member.asked()
    assert devices_of(alice, member) == member.devices
    assert member.asked() == before


def test_users_who_share_no_room_are_ignored(two, remote):
    alice, carol = two[0].user("alice"), Carol(remote)
    carol.change("ONE")
    assert list(devices_of(alice, carol)) == ["ONE"]
    asked = carol.asked()
    alice.next_sync()
    carol.change("TWO", to=two[0].name)
    assert not device_change_of(carol)(alice.next_sync())
    assert carol.asked() == asked
    assert set(devices_of(alice, carol)) == {"ONE", "TWO"}  # queried each time
    assert carol.asked() == asked + 1


def test_more_devices_than_are_taken(two, remote):
    alice, carol = two[0].user("alice"), Carol(remote)
    remote.join(two[0].name, alice.create_room(preset="public_chat"), carol.user_id)
    carol.devices = {f"D{n}": carol.keys(f"D{n}") for n in range(501)}
    carol.send_update()
    found = devices_of(alice, carol)
    assert len(found) == 500 and found.items() < carol.devices.items()

"""End-to-end encryption across servers: keys, device lists, messages to devices."""

import time

from client import q
from device_lists import devices_of
from e2ee import Device, Identity, query
from remote import FED
from test_to_device import received, send


def claim(client, device, timeout=10000):
    return client.post("/keys/claim", {
        "one_time_keys": {device.user_id: {device.id: "signed_curve25519"}}, "timeout": timeout})


# ---- queries of keys ----


def test_keys_of_another_server_are_found(two):
    alice, bob = two[0].user("alice"), two[1].user("bob", initial_device_display_name="secret")
    phone, laptop = Device(bob), Device(bob.another_device())
    keys = {d.id: d.keys() for d in (phone, laptop)}
    for d in phone, laptop:
        d.client.post("/keys/upload", {"device_keys": keys[d.id]})
    assert devices_of(alice, bob) == keys
    wanted = {"device_keys": {bob.user_id: [phone.id]}}
    assert list(alice.post("/keys/query", wanted)["device_keys"][bob.user_id]) == [phone.id]
    unknown = f"@unknown:{two[1].name}"
    assert devices_of(alice, unknown) == {}


def test_device_names_are_sent_if_configured(ministries):
    a, b = ministries(), ministries(allow_device_name_lookup_over_federation="true")
    alice, bob = a.user("alice"), b.user("bob", initial_device_display_name="Bob's ☎")
    Device(bob).upload()
    (found,) = devices_of(alice, bob).values()
    assert found["unsigned"] == {"device_display_name": "Bob's ☎"}


def test_keys_are_claimed_from_another_server(two):
    alice, bob = two[0].user("alice"), two[1].user("bob")
    d = Device(bob)
    d.upload(one_time=1, fallback="FB")
    first = claim(alice, d)
    assert first["failures"] == {}
    (name,) = first["one_time_keys"][bob.user_id][d.id]
    assert name.startswith("signed_curve25519:AA")
    (name,) = claim(alice, d)["one_time_keys"][bob.user_id][d.id]
    assert name == "signed_curve25519:FB"


def test_cross_signing_keys_travel(two):
    alice, bob = two[0].user("alice"), two[1].user("bob")
    d, identity = Device(bob), Identity(bob.user_id)
    d.upload()
    bob.post("/keys/device_signing/upload", identity.body())
    keys = identity.self_signing.sign(d.keys(), bob.user_id, identity.self_signing.public)
    assert bob.post("/keys/signatures/upload", {bob.user_id: {d.id: keys}}) == {"failures": {}}
    r = query(alice, bob.user_id)
    assert r["master_keys"][bob.user_id] == identity.master_key()
    assert r["self_signing_keys"][bob.user_id] == identity.self_signing_key()
    assert r["user_signing_keys"] == {}
    assert r["device_keys"][bob.user_id][d.id] == {**keys, "unsigned": {}}


def test_a_user_of_another_server_is_verified(two):
    alice, bob = two[0].user("alice"), two[1].user("bob")
    mine, theirs = Identity(alice.user_id), Identity(bob.user_id)
    alice.post("/keys/device_signing/upload", mine.body())
    bob.post("/keys/device_signing/upload", theirs.body())
    master = query(alice, bob.user_id)["master_keys"][bob.user_id]
    mine.user_signing.sign(master, alice.user_id, mine.user_signing.public)
    body = {bob.user_id: {theirs.master.public: master}}
    assert alice.post("/keys/signatures/upload", body) == {"failures": {}}
    # The signature is kept when the keys are queried again; other users do not see it.
    for _ in range(2):
        found = query(alice, bob.user_id)["master_keys"][bob.user_id]
        assert found["signatures"][alice.user_id] == master["signatures"][alice.user_id]
    other = two[0].user("other")
    assert alice.user_id not in str(query(other, bob.user_id)["master_keys"][bob.user_id])


def test_servers_that_do_not_answer_are_failures(two, remotes):
    alice, bob = two[0].user("alice"), two[1].user("bob")
    d = Device(bob)
    d.upload(one_time=1)
    slow, gone = remotes(), remotes()
    slow.link.mute()
    gone.link.cut()
    users = [bob.user_id, slow.user("x"), gone.user("y")]
    start = time.monotonic()
    r = alice.post("/keys/query", {"device_keys": {u: [] for u in users}, "timeout": 1500})
    assert set(r["failures"]) == {slow.name, gone.name}
    assert list(r["device_keys"]) == [bob.user_id]
    wanted = {bob.user_id: {d.id: "signed_curve25519"}, users[2]: {"D": "signed_curve25519"}}
    r = alice.post("/keys/claim", {"one_time_keys": wanted, "timeout": 1500})
    assert list(r["failures"]) == [gone.name]
    assert list(r["one_time_keys"]) == [bob.user_id]
    assert time.monotonic() - start < 8


def test_devices_sent_to_another_server(two, remote):
    bob = two[1].user("bob", initial_device_display_name="secret")
    d, identity = Device(bob), Identity(bob.user_id)
    d.upload(one_time=2)
    bob.post("/keys/device_signing/upload", identity.body())
    path = f"{FED}/v1/user/devices/{q(bob.user_id)}"
    r = remote.get(two[1].name, path)
    assert r["user_id"] == bob.user_id and isinstance(r["stream_id"], int)
    assert r["devices"] == [{"device_id": d.id, "keys": d.keys()}]
    assert r["master_key"]["keys"] == identity.master_key()["keys"]
    assert r["self_signing_key"] == identity.self_signing_key()
    assert "user_signing_key" not in r
    Device(bob.another_device()).upload()
    later = remote.get(two[1].name, path)
    assert later["stream_id"] > r["stream_id"] and len(later["devices"]) == 2

    elsewhere = q(remote.user("carol"))
    remote.fails(two[1].name, 400, "M_INVALID_PARAM", "GET", f"{FED}/v1/user/devices/{elsewhere}")
    query_path, claim_path = f"{FED}/v1/user/keys/query", f"{FED}/v1/user/keys/claim"
    ask = {"device_keys": {bob.user_id: [], remote.user("carol"): []}}
    assert list(remote.call(two[1].name, "POST", query_path, ask)["device_keys"]) == [bob.user_id]
    ask = {"one_time_keys": {bob.user_id: {d.id: "signed_curve25519"}}}
    given = [remote.call(two[1].name, "POST", claim_path, ask)["one_time_keys"] for _ in range(3)]
    assert given[0] != given[1] and given[2] == {}
    for path, body in (query_path, {}), (query_path, {"device_keys": {bob.user_id: 1}}), (
            claim_path, {"one_time_keys": {bob.user_id: []}}):
        assert remote.request(two[1].name, "POST", path, body).status_code == 400
    assert remote.request(two[1].name, "POST", query_path, ask, sign=False).status_code == 401


def test_closed_federation_covers_keys_and_messages(ministries, remotes):
    allowed, denied = remotes(), remotes()
    a = ministries(federation_domain_whitelist=allowed.name)
    alice = a.user("alice")
    alice.next_sync()
    users = [allowed.user("x"), denied.user("y")]
    r = query(alice, *users)
    assert r["failures"][denied.name]["errcode"] == "M_FORBIDDEN"
    assert list(r["failures"]) == [denied.name] and list(r["device_keys"]) == [users[0]]
    r = alice.post("/keys/claim", {"one_time_keys": {users[1]: {"D": "signed_curve25519"}}})
    assert list(r["failures"]) == [denied.name]
    send(alice, {u: {"D": {"n": 1}} for u in users})
    (edu,) = allowed.wait_for(lambda: allowed.edus_of("m.direct_to_device"))
    assert list(edu["messages"]) == [users[0]]
    path = f"{FED}/v1/user/devices/{q(alice.user_id)}"
    assert allowed.get(a.name, path)["devices"] == []
    denied.fails(a.name, 403, "M_FORBIDDEN", "GET", path)
    assert denied.link.connections == 0


# ---- messages to devices ----


def test_messages_go_to_devices_of_the_other_server(two):
    alice, bob = two[0].user("alice"), two[1].user("bob")
    phone = bob.another_device()
    for d in bob, phone, alice:
        d.next_sync()
    send(alice, {bob.user_id: {phone.device_id: {"n": 1}}})
    assert phone.sync_until(received) == [
        {"type": "m.test", "sender": alice.user_id, "content": {"n": 1}}]
    send(alice, {bob.user_id: {"*": {"n": 2}}})
    for d in bob, phone:
        assert [e["content"]["n"] for e in d.sync_until(received)] == [2]
    send(bob, {alice.user_id: {alice.device_id: {"n": 3}}})
    assert [e["content"]["n"] for e in alice.sync_until(received)] == [3]


def collect(client, n, seconds=60):
    """The numbers in the next n messages to the device."""
    got = []

    def enough(reply):
        got.extend(e["content"]["n"] for e in received(reply))
        return len(got) >= n

    client.sync_until(enough, seconds)
    return got


def test_after_an_outage_all_messages_come_in_order(two):
    alice, bob = two[0].user("alice"), two[1].user("bob")
    bob.next_sync()
    two[1].link.cut()
    try:
        for n in range(150):
            send(alice, {bob.user_id: {bob.device_id: {"n": n}}})
    finally:
        two[1].link.heal()
    assert collect(bob, 150) == list(range(150))
    assert received(bob.next_sync(timeout=500)) == []


def test_messages_survive_kills_on_both_sides(ministries):
    a, b = ministries(), ministries()
    alice, bob = a.user("alice"), b.user("bob")
    bob.next_sync()
    numbers = iter(range(90))
    for server in a, b, a:
        for _ in range(30):
            n = next(numbers)
            send(alice, {bob.user_id: {bob.device_id: {"n": n}}}, txn=f"kill-{n}")
        server.kill()
        server.start()
    assert collect(bob, 90) == list(range(90))
    assert received(bob.next_sync(timeout=1000)) == []


def test_large_messages_to_many_devices_are_parted(two):
    alice, bob = two[0].user("alice"), two[1].user("bob")
    devices = [bob, *(bob.another_device() for _ in range(5))]
    for d in devices:
        d.next_sync()
    send(alice, {bob.user_id: {d.device_id: {"n": i, "x": "x" * 30000}
                               for i, d in enumerate(devices)}})
    for i, d in enumerate(devices):
        assert collect(d, 1) == [i]
    r = alice.request("PUT", "/sendToDevice/m.test/large", json={
        "messages": {bob.user_id: {bob.device_id: {"x": "x" * 70000}}}})
    assert r.status_code == 413 and r.json()["errcode"] == "M_TOO_LARGE"


def test_a_message_that_comes_twice_is_delivered_once(two, remote):
    alice, carol = two[0].user("alice"), remote.user("carol")
    alice.next_sync()
    message = lambda n, i: {
        "edu_type": "m.direct_to_device", "content": {
            "sender": carol, "type": "m.test", "message_id": i,
            "messages": {alice.user_id: {alice.device_id: {"n": n}}}}}
    for i in "one", "one", "two":
        remote.put_transaction(two[0].name, edus=[message(i, i)])
    remote.put_transaction(two[0].name, edus=[message("again", "two"), message("three", "three")])
    assert collect(alice, 3) == ["one", "two", "three"]
    # Message ids are unique for each server only.
    assert received(alice.next_sync()) == []


def test_the_fake_remote_hears_of_changes_and_messages(two, remote):
    alice, carol = two[0].user("alice"), remote.user("carol")
    d = Device(alice)
    d.upload()
    remote.join(two[0].name, alice.create_room(preset="public_chat"), carol)
    second = Device(alice.another_device())
    sent = remote.get(two[0].name, f"{FED}/v1/user/devices/{q(alice.user_id)}")
    heard = lambda n: remote.wait_for(
        lambda: remote.edus_of("m.device_list_update")[n - 1:n] or None)[0]
    assert heard(1)["device_id"] == second.id and heard(1)["stream_id"] == sent["stream_id"]
    assert "keys" not in heard(1) and "deleted" not in heard(1)
    second.upload()
    first_edu = heard(2)
    alice.put(f"/devices/{q(second.id)}", {"display_name": "secret"})
    second_edu = heard(3)
    assert first_edu["prev_id"] == [sent["stream_id"]]
    assert second_edu["prev_id"] == [first_edu["stream_id"]]
    assert first_edu["device_id"] == second.id and first_edu["keys"] == second.keys()
    assert "device_display_name" not in second_edu
    send(alice, {carol: {"DEVICE": {"n": 1}, "OTHER": {"n": 2}}})
    (edu,) = remote.wait_for(lambda: remote.edus_of("m.direct_to_device"))
    assert edu["sender"] == alice.user_id and edu["type"] == "m.test"
    assert edu["messages"] == {carol: {"DEVICE": {"n": 1}, "OTHER": {"n": 2}}}
    assert 0 < len(edu["message_id"]) <= 32
    identity = Identity(alice.user_id)
    alice.post("/keys/device_signing/upload", identity.body())
    (edu,) = remote.wait_for(lambda: remote.edus_of("m.signing_key_update"))
    assert edu["self_signing_key"] == identity.self_signing_key()


def test_a_first_join_of_a_room_with_a_server_sends_it_the_devices(two, remote):
    """server-server API, "Device Management": "when that user joins a room which contains servers which
    are not already receiving updates for that user's device list"."""
    alice, bob = two[0].user("alice"), two[0].user("bob")
    devices = {}
    for user in alice, bob:
        devices[user.user_id] = Device(user)
        devices[user.user_id].upload()
    sent = lambda: [(e["user_id"], e["device_id"]) for e in remote.edus_of("m.device_list_update")]
    room = alice.create_room(preset="public_chat")
    remote.join(two[0].name, room, remote.user("carol"))
    bob.join(room)
    remote.wait_for(lambda: sent() == [(bob.user_id, devices[bob.user_id].id)])
    stream = remote.get(two[0].name, f"{FED}/v1/user/devices/{q(bob.user_id)}")["stream_id"]
    (edu,) = remote.edus_of("m.device_list_update")
    assert edu["stream_id"] == stream and edu["keys"] == devices[bob.user_id].keys()
    # A room of another server, and one with a server that gets updates already.
    dave = two[0].user("dave")
    devices[dave.user_id] = Device(dave)
    devices[dave.user_id].upload()
    there = remote.create_room(remote.user("carol"))
    bob.join(there.id, via=[remote.name])
    bob.put(f"/profile/{bob.user_id}/displayname", {"displayname": "Bob"})
    dave.join(there.id, via=[remote.name])
    remote.wait_for(lambda: sent()[1:] == [(dave.user_id, devices[dave.user_id].id)])

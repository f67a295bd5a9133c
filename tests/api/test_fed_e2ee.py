"""End-to-end encryption across servers: keys, device lists, messages to devices."""

import threading
import time

import pytest

from client import q
from e2ee import Device, Identity, SigningKey, b64, query
from federation import eventually
from remote import FED
from test_to_device import received, send


def share_room(host, guest):
    room = host.create_room(preset="public_chat")
    guest.join(room, via=[host.server.name])
    eventually(lambda: host.state(room, "m.room.member", guest.user_id)["membership"] == "join")
    return room


def devices_of(client, user):
    """The user's devices as they were uploaded."""
    r = query(client, getattr(user, "user_id", user))
    assert r["failures"] == {}
    found = r["device_keys"].get(getattr(user, "user_id", user), {})
    for keys in found.values():
        if not keys["unsigned"]:  # always there: the device's name, if it is told
            del keys["unsigned"]
    return found


def told_of(user):
    """For sync_until: the reply says that the keys of this user changed."""
    user = getattr(user, "user_id", user)
    return lambda reply: user in reply.get("device_lists", {}).get("changed", [])


def claim(client, device, timeout=10000):
    return client.post("/keys/claim", {
        "one_time_keys": {device.user_id: {device.id: "signed_curve25519"}}, "timeout": timeout})


# ---- asking and answering ----


def test_keys_of_another_server_are_found(two):
    alice, bob = two[0].user("alice"), two[1].user("bob", initial_device_display_name="secret")
    phone, laptop = Device(bob), Device(bob.another_device())
    keys = {d.id: d.keys() for d in (phone, laptop)}
    for d in phone, laptop:
        d.client.post("/keys/upload", {"device_keys": keys[d.id]})
    assert devices_of(alice, bob) == keys
    wanted = {"device_keys": {bob.user_id: [phone.id]}}
    assert list(alice.post("/keys/query", wanted)["device_keys"][bob.user_id]) == [phone.id]
    nobody = f"@nobody:{two[1].name}"
    assert devices_of(alice, nobody) == {}


def test_device_names_are_told_if_the_operator_says_so(ministries):
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
    # The signature stays when the keys are asked for again; others do not see it.
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


def test_what_another_server_is_told_of_a_user(two, remote):
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
    friend, stranger = remotes(), remotes()
    a = ministries(federation_domain_whitelist=friend.name)
    alice = a.user("alice")
    alice.next_sync()
    users = [friend.user("x"), stranger.user("y")]
    r = query(alice, *users)
    assert r["failures"][stranger.name]["errcode"] == "M_FORBIDDEN"
    assert list(r["failures"]) == [stranger.name] and list(r["device_keys"]) == [users[0]]
    r = alice.post("/keys/claim", {"one_time_keys": {users[1]: {"D": "signed_curve25519"}}})
    assert list(r["failures"]) == [stranger.name]
    send(alice, {u: {"D": {"n": 1}} for u in users})
    (edu,) = friend.wait_for(lambda: friend.edus_of("m.direct_to_device"))
    assert list(edu["messages"]) == [users[0]]
    path = f"{FED}/v1/user/devices/{q(alice.user_id)}"
    assert friend.get(a.name, path)["devices"] == []
    stranger.fails(a.name, 403, "M_FORBIDDEN", "GET", path)
    assert stranger.link.connections == 0


# ---- device lists ----


def test_changes_of_devices_reach_the_other_side(two):
    alice, bob = two[0].user("alice"), two[1].user("bob")
    first = Device(bob)
    first.upload()
    share_room(alice, bob)
    assert list(devices_of(alice, bob)) == [first.id]
    alice.next_sync()

    second = Device(bob.another_device())
    second.upload()
    alice.sync_until(told_of(bob))
    assert set(devices_of(alice, bob)) == {first.id, second.id}

    bob.post("/delete_devices", {"devices": [second.id], "auth": {
        "type": "m.login.password", "password": bob.password,
        "identifier": {"type": "m.id.user", "user": bob.user_id}}})
    alice.sync_until(told_of(bob))
    assert set(devices_of(alice, bob)) == {first.id}

    identity = Identity(bob.user_id)
    bob.post("/keys/device_signing/upload", identity.body())
    alice.sync_until(told_of(bob))
    eventually(lambda: query(alice, bob.user_id)["master_keys"][bob.user_id]["keys"]
               == identity.master_key()["keys"])

    signed = identity.self_signing.sign(first.keys(), bob.user_id, identity.self_signing.public)
    bob.post("/keys/signatures/upload", {bob.user_id: {first.id: signed}})
    alice.sync_until(told_of(bob))
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
    alice.sync_until(told_of(bob), seconds=60)
    eventually(lambda: set(devices_of(alice, bob)) == {d.id for d in [first, *more]})


def test_who_comes_is_asked_for(two):
    alice, bob = two[0].user("alice"), two[1].user("bob")
    d = Device(bob)
    d.upload()
    alice.next_sync()
    bob.next_sync()
    room = share_room(alice, bob)
    alice.sync_until(told_of(bob))
    bob.sync_until(told_of(alice))
    assert list(devices_of(alice, bob)) == [d.id]
    bob.leave(room)
    alice.sync_until(lambda r: bob.user_id in r.get("device_lists", {}).get("left", []))


class Carol:
    """A user of the fake remote server with devices that change."""

    def __init__(self, remote, name="carol"):
        self.remote, self.user_id = remote, remote.user(name)
        self.stream, self.devices = 1, {}
        self.tell()

    def tell(self, **more):
        self.remote.devices[self.user_id] = {
            "stream_id": self.stream, **more,
            "devices": [{"device_id": i, "keys": k} for i, k in self.devices.items()]}

    def change(self, device, to=None, prev=None, **more):
        """Has a new device, and tells the server so."""
        before, self.stream = self.stream, self.stream + 1
        self.devices[device] = self.keys(device)
        self.tell()
        if to:
            self.update(to, device, [before] if prev is None else prev, **more)

    def keys(self, device):
        key = SigningKey()
        return key.sign({
            "user_id": self.user_id, "device_id": device, "algorithms": ["m.olm.v1"],
            "keys": {f"ed25519:{device}": key.public, f"curve25519:{device}": b64(bytes(32))},
        }, self.user_id, device)

    def update(self, to, device, prev, **more):
        self.remote.send_edu(to, "m.device_list_update", {
            "user_id": self.user_id, "device_id": device, "stream_id": self.stream,
            "prev_id": prev, "keys": self.devices.get(device), **more})

    def asked(self):
        """How often the other side asked for the keys."""
        return len(self.remote.seen("POST", f"{FED}/v1/user/keys/query")) + len(
            self.remote.seen("GET", f"{FED}/v1/user/devices/"))


@pytest.fixture
def met(two, remote):
    """alice, and carol of a remote server whose keys alice's server follows."""
    alice, carol = two[0].user("alice"), Carol(remote)
    room = alice.create_room(preset="public_chat")
    remote.join(two[0].name, room, carol.user_id)
    carol.change("ONE")
    assert list(devices_of(alice, carol)) == ["ONE"]
    alice.next_sync()
    # The answer to a query has no stream_id: the first update makes our server ask for the list.
    carol.change("TWO", to=two[0].name)
    alice.sync_until(told_of(carol))
    assert set(devices_of(alice, carol)) == {"ONE", "TWO"}
    return alice, carol, two[0].name


def test_what_is_known_is_not_asked_for_again(met):
    alice, carol, server = met
    asked = carol.asked()
    for n in range(3):
        carol.change(f"D{n}", to=server)
        alice.sync_until(told_of(carol))
        assert devices_of(alice, carol) == carol.devices
    assert carol.asked() == asked


def test_a_missed_change_is_asked_for(met):
    alice, carol, server = met
    asked = carol.asked()
    carol.change("LOST")
    carol.change("HEARD", to=server)
    alice.sync_until(told_of(carol))
    assert devices_of(alice, carol) == carol.devices
    assert carol.asked() == asked + 1
    carol.change("AFTER", to=server)
    alice.sync_until(told_of(carol))
    assert devices_of(alice, carol) == carol.devices
    assert carol.asked() == asked + 1


def test_a_deleted_device_is_gone(met):
    alice, carol, server = met
    before = carol.stream
    carol.stream += 1
    del carol.devices["ONE"]
    carol.tell()
    carol.remote.send_edu(server, "m.device_list_update", {
        "user_id": carol.user_id, "device_id": "ONE", "stream_id": carol.stream,
        "prev_id": [before], "deleted": True})
    alice.sync_until(told_of(carol))
    assert set(devices_of(alice, carol)) == {"TWO"}


@pytest.mark.parametrize("type", ["m.signing_key_update", "org.matrix.signing_key_update"])
def test_new_cross_signing_keys_are_heard_of(met, type):
    alice, carol, server = met
    identity = Identity(carol.user_id)
    carol.remote.send_edu(server, type, {
        "user_id": carol.user_id, "master_key": identity.master_key(),
        "self_signing_key": identity.self_signing_key()})
    alice.sync_until(told_of(carol))
    r = query(alice, carol.user_id)
    assert r["self_signing_keys"][carol.user_id] == identity.self_signing_key()
    assert r["master_keys"][carol.user_id]["keys"] == identity.master_key()["keys"]


def test_clients_need_not_wait_for_a_stale_list(met):
    alice, carol, server = met
    failing = carol.remote.on("GET", f"{FED}/v1/user/devices/", (404, {"errcode": "M_NOT_FOUND"}))
    carol.change("LOST")
    carol.change("HEARD", to=server)
    eventually(lambda: len(carol.remote.seen("GET", f"{FED}/v1/user/devices/")) > 1)
    # Meanwhile clients get what the server says now, not what was known.
    assert devices_of(alice, carol) == carol.devices
    carol.remote.answers.remove(failing)
    alice.sync_until(told_of(carol), seconds=60)
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
    alice.sync_until(told_of(carol))  # that it is wrong is known before the right one is here
    a.stop()
    remote.answers.remove(failing)
    a.start()
    alice.sync_until(told_of(carol), seconds=60)
    asked = len(remote.seen("POST", f"{FED}/v1/user/keys/query"))
    assert devices_of(alice, carol) == carol.devices
    assert len(remote.seen("POST", f"{FED}/v1/user/keys/query")) == asked


def test_nobody_speaks_of_another_servers_users(met, remotes):
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
    assert not told_of(carol)(r) and received(r) == []
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
    member.change("TWO", to=a.name)  # of whom nobody here knows that they are in the room
    assert devices_of(alice, member) == member.devices
    changed = set(alice.next_sync().get("device_lists", {}).get("changed", []))
    opened.set()

    def everybody(reply):
        changed.update(reply.get("device_lists", {}).get("changed", []))
        return set(room.members()) <= changed | {alice.user_id}

    alice.sync_until(everybody)
    devices_of(alice, member)
    member.change("THREE", to=a.name)
    alice.sync_until(told_of(member))
    before = member.asked()
    assert devices_of(alice, member) == member.devices
    assert member.asked() == before


def test_who_shares_no_room_is_not_heeded(two, remote):
    alice, carol = two[0].user("alice"), Carol(remote)
    carol.change("ONE")
    assert list(devices_of(alice, carol)) == ["ONE"]
    asked = carol.asked()
    alice.next_sync()
    carol.change("TWO", to=two[0].name)
    assert not told_of(carol)(alice.next_sync())
    assert carol.asked() == asked
    assert set(devices_of(alice, carol)) == {"ONE", "TWO"}  # asked for each time
    assert carol.asked() == asked + 1


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
    # The message ids of one server are not those of another.
    assert received(alice.next_sync()) == []


def test_the_fake_remote_hears_of_changes_and_messages(two, remote):
    alice, carol = two[0].user("alice"), remote.user("carol")
    d = Device(alice)
    d.upload()
    remote.join(two[0].name, alice.create_room(preset="public_chat"), carol)
    second = Device(alice.another_device())
    told = remote.get(two[0].name, f"{FED}/v1/user/devices/{q(alice.user_id)}")
    heard = lambda n: remote.wait_for(
        lambda: remote.edus_of("m.device_list_update")[n - 1:n] or None)[0]
    assert heard(1)["device_id"] == second.id and heard(1)["stream_id"] == told["stream_id"]
    assert "keys" not in heard(1) and "deleted" not in heard(1)
    second.upload()
    first_edu = heard(2)
    alice.put(f"/devices/{q(second.id)}", {"display_name": "secret"})
    second_edu = heard(3)
    assert first_edu["prev_id"] == [told["stream_id"]]
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

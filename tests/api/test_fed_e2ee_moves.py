"""Clients never encrypt for outdated keys: users leave, change devices and rejoin, across servers
and with real keys. For each case: `device_lists` of /sync, and the answer of /keys/query."""

import pytest

from client import q
from device_lists import Carol, devices_of, lists_of, share_room, device_change_of
from e2ee import Device
from federation import has_event, membership
from remote import FED
from syncing import LAZY, inline, section, state_of
from test_fed_fast_join import Gate
from waiting import eventually


class Person:
    """A user with two devices, one of which is replaced."""

    def __init__(self, server, name):
        self.client = server.user(name)
        self.user_id, self.server = self.client.user_id, server
        self.first = Device(self.client)
        self.other = Device(self.client.another_device())
        for d in self.first, self.other:
            d.keys_now = d.keys()
            d.client.post("/keys/upload", {"device_keys": d.keys_now})

    def change_devices(self):
        self.other.client.post("/logout")
        self.other = Device(self.client.another_device())
        self.other.keys_now = self.other.keys()
        self.other.client.post("/keys/upload", {"device_keys": self.other.keys_now})
        return self

    def devices(self):
        return {d.id: d.keys_now for d in (self.first, self.other)}

    def leave(self, room):
        self.client.leave(room)

    def join(self, room, via):
        self.client.join(room, via=[via.name])


def sees(viewer, person):
    return devices_of(viewer, person) == person.devices()


def join_count(client, room, user):
    """How often the user has joined the room, as this client's server has it."""
    return sum(e["type"] == "m.room.member" and e["state_key"] == user.user_id
               and e["content"]["membership"] == "join"
               for e in client.messages(room, limit=100)["chunk"] if "state_key" in e)


def back(client, room, user, times=2):
    """The user's server left and rejoined, and the client's server has both events."""
    eventually(lambda: join_count(client, room, user) >= times
               and membership(client, room, user) == "join", seconds=60)


def gathered(client, done, **params):
    """The ids in `changed` and `left` of all replies until done(changed, left)."""
    changed, left = set(), set()

    def enough(reply):
        now_changed, now_left = lists_of(reply)
        changed.update(now_changed)
        left.difference_update(now_changed)
        left.update(now_left)
        changed.difference_update(now_left)
        return done(changed, left)

    client.sync_until(enough, 60, **params)
    return changed, left


# ---- leaving, changing devices, rejoining: while the client is offline ----


def test_they_leave_change_and_rejoin(two):
    alice, bob = two[0].user("alice"), Person(two[1], "bob")
    room = share_room(alice, bob.client)
    assert sees(alice, bob)
    alice.next_sync(), bob.client.next_sync()
    bob.leave(room)
    eventually(lambda: membership(alice, room, bob) == "leave")
    bob.change_devices().join(room, two[0])
    back(alice, room, bob)
    changed, left = lists_of(alice.next_sync())
    assert bob.user_id in changed and left == []
    assert sees(alice, bob)
    changed, left = lists_of(bob.client.next_sync())
    assert set(changed) == {alice.user_id, bob.user_id} and left == []


def test_we_leave_and_rejoin_after_they_have_changed(two):
    """The querying server left, and was sent no updates meanwhile."""
    alice, bob = two[0].user("alice"), Person(two[1], "bob")
    room = bob.client.create_room(preset="public_chat")
    alice.join(room, via=[two[1].name])
    assert sees(alice, bob)
    alice.next_sync()
    alice.leave(room)
    eventually(lambda: membership(bob.client, room, alice) == "leave")
    bob.change_devices()
    alice.join(room, via=[two[1].name])
    changed, left = lists_of(alice.next_sync())
    assert set(changed) == {alice.user_id, bob.user_id} and left == []
    assert sees(alice, bob)
    bob.change_devices()
    alice.sync_until(device_change_of(bob))
    eventually(lambda: sees(alice, bob))


def test_another_of_our_users_stayed(two):
    """The list was followed all the time for the user who stayed; the one who rejoined sees it too."""
    alice, anna, bob = two[0].user("alice"), two[0].user("anna"), Person(two[1], "bob")
    room = share_room(alice, bob.client)
    anna.join(room)
    assert sees(alice, bob) and sees(anna, bob)
    for c in alice, anna:
        c.next_sync()
    alice.leave(room)
    bob.change_devices()
    anna.sync_until(device_change_of(bob))
    eventually(lambda: sees(anna, bob))
    alice.join(room)
    changed, left = lists_of(alice.next_sync())
    assert {bob.user_id, anna.user_id} <= set(changed) and left == []
    assert sees(alice, bob)


def test_they_leave_for_good(two):
    alice, bob = two[0].user("alice"), Person(two[1], "bob")
    room = share_room(alice, bob.client)
    assert sees(alice, bob)
    alice.next_sync()
    bob.leave(room)
    eventually(lambda: membership(alice, room, bob) == "leave")
    assert lists_of(alice.next_sync()) == ([], [bob.user_id])
    bob.change_devices()
    assert sees(alice, bob)  # queried: the server gets no updates any more


# ---- while the server is offline ----


@pytest.fixture
def apart(ministries):
    """alice, and bob of another server, in a room of carol's at a third one."""
    a, b, c = ministries(), ministries(), ministries()
    alice, bob, carol = a.user("alice"), Person(b, "bob"), Person(c, "carol")
    room = carol.client.create_room(preset="public_chat")
    alice.join(room, via=[c.name])
    bob.join(room, c)
    eventually(lambda: membership(alice, room, bob) == "join")
    eventually(lambda: sees(alice, bob) and sees(alice, carol))
    alice.next_sync()
    return a, alice, bob, carol, room


@pytest.mark.parametrize("how", ["stopped", "killed", "cut off"])
def test_the_server_was_away_when_they_came_back(apart, network, how):
    a, alice, bob, carol, room = apart
    if how == "cut off":
        network.part([a], [bob.server, carol.server])
    else:
        a.stop() if how == "stopped" else a.kill()
    bob.leave(room)
    eventually(lambda: membership(carol.client, room, bob) == "leave")
    bob.change_devices().join(room, carol.server)
    back(carol.client, room, bob)
    carol.change_devices()
    if how == "cut off":
        network.heal()
    else:
        a.start()
    # Events of the room wake the servers, which may be backing off.
    last = bob.client.send(room, "back")
    eventually(lambda: has_event(alice, room, last), seconds=60)
    changed, left = gathered(alice, lambda changed, _: {bob.user_id, carol.user_id} <= changed)
    assert not left
    eventually(lambda: sees(alice, bob) and sees(alice, carol), seconds=60)


def test_their_server_was_away_when_we_came_back(apart, network):
    """bob changed devices while no update could be sent; alice left and rejoined meanwhile."""
    a, alice, bob, carol, room = apart
    network.part([bob.server], [a, carol.server])
    alice.leave(room)
    eventually(lambda: membership(carol.client, room, alice) == "leave")
    bob.change_devices()
    alice.join(room, via=[carol.server.name])
    assert {bob.user_id, carol.user_id} <= set(lists_of(alice.next_sync())[0])
    r = alice.post("/keys/query", {"device_keys": {bob.user_id: []}, "timeout": 1000})
    assert list(r["failures"]) == [bob.server.name]  # the client sees that the list is missing
    network.heal()
    eventually(lambda: sees(alice, bob), seconds=60)


# ---- a limited, lazily loading sync ----


def test_a_lazy_gap_between_servers(three):
    a, b, c = three
    alice, bob, carol, dave = (a.user("alice"), Person(b, "bob"), Person(c, "carol"),
                               Person(b, "dave"))
    room = alice.create_room(preset="public_chat")
    for person in bob, carol:
        person.join(room, a)
    eventually(lambda: membership(alice, room, carol) == "join")
    lazily = inline(room={**LAZY["room"], "timeline": {"limit": 1}})
    alice.next_sync(**lazily)
    bob.leave(room)
    dave.join(room, a)
    carol.leave(room)
    eventually(lambda: membership(alice, room, carol) == "leave")
    carol.change_devices().join(room, a)
    back(alice, room, carol)
    eventually(lambda: membership(alice, room, bob) == "leave")
    for n in range(5):
        alice.send(room, f"{n}")
    reply = alice.next_sync(**lazily)
    assert section(reply, room)["timeline"]["limited"]
    now = {k: e["content"]["membership"] for (t, k), e in state_of(reply, room).items()
           if t == "m.room.member" and k != alice.user_id}
    assert now == {bob.user_id: "leave", carol.user_id: "join", dave.user_id: "join"}
    changed, left = lists_of(reply)
    assert changed == sorted([carol.user_id, dave.user_id]) and left == [bob.user_id]
    assert sees(alice, carol) and sees(alice, dave)


# ---- an invite, an upgrade ----


def test_an_invited_user(two):
    alice, bob = two[0].user("alice"), Person(two[1], "bob")
    room = alice.create_room(preset="private_chat")
    alice.next_sync()
    alice.invite(room, bob.client)
    assert lists_of(alice.next_sync()) == ([bob.user_id], [])
    assert sees(alice, bob)
    bob.change_devices()  # no room is shared: no update is sent, and each query asks
    assert sees(alice, bob)
    bob.change_devices().join(room, two[0])
    alice.sync_until(device_change_of(bob))
    assert sees(alice, bob)
    bob.change_devices()
    alice.sync_until(device_change_of(bob))
    eventually(lambda: sees(alice, bob))


def test_an_upgraded_room(two):
    alice, bob = two[0].user("alice"), Person(two[1], "bob")
    old = share_room(alice, bob.client)
    assert sees(alice, bob)
    alice.next_sync()
    new = alice.post(f"/rooms/{q(old)}/upgrade", {"new_version": "11"})["replacement_room"]
    bob.join(new, two[0])
    eventually(lambda: membership(alice, new, bob) == "join")
    alice.sync_until(device_change_of(bob))
    bob.leave(old)
    eventually(lambda: membership(alice, old, bob) == "leave")
    assert lists_of(alice.next_sync()) == ([], [])  # the new room is shared
    bob.change_devices()
    alice.sync_until(device_change_of(bob))
    eventually(lambda: sees(alice, bob))
    bob.leave(new)
    eventually(lambda: membership(alice, new, bob) == "leave")
    assert gathered(alice, lambda _, left: bob.user_id in left)[1] == {bob.user_id}


# ---- while the state is partial ----


def test_membership_changes_while_the_member_list_is_incomplete(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), Carol(remote)
    carol.change("ONE")
    gate = Gate(remote)
    room = remote.create_room(carol.user_id, "11", members=3)
    known, came, gone = (Carol(remote, f"member-{n}") for n in range(3))
    for c in known, came, gone:
        c.change("ONE")
    alice.next_sync()
    alice.join(room.id, via=[remote.name])
    assert gate.asked.wait(20)
    changed = set(lists_of(alice.next_sync())[0])
    # Senders of events are queried before the member list has arrived.
    last = remote.send(room, known.user_id, "hello", to=[a.name])
    eventually(lambda: has_event(alice, room.id, last))
    assert devices_of(alice, known) == known.devices
    known.change("TWO", to=a.name)
    remote.set_member(room, came.user_id, came.user_id, "leave", to=[a.name])
    remote.set_member(room, gone.user_id, gone.user_id, "leave", to=[a.name])
    came.change("TWO")
    remote.set_member(room, came.user_id, came.user_id, "join", to=[a.name])
    eventually(lambda: membership(alice, room.id, came) == "join")
    gate.opened.set()
    want = {alice.user_id, carol.user_id, known.user_id, came.user_id}
    changed |= gathered(alice, lambda now, _: want <= changed | now)[0]
    assert gone.user_id not in changed
    for c in carol, known, came:
        eventually(lambda: devices_of(alice, c) == c.devices)
    eventually(lambda: set(alice.get(f"/rooms/{q(room.id)}/joined_members")["joined"]) == want)


# ---- updates of other implementations ----


def test_a_prev_id_chain_that_hides_missed_changes(two, remote):
    """Synapse's prev_id is the last update that it sent to this server: one from before the user
    left. Changes made meanwhile are not in prev_id, but they are in the answer to a query."""
    a, alice, carol = two[0], two[0].user("alice"), Carol(remote)
    room = remote.join(a.name, alice.create_room(preset="public_chat"), carol.user_id)
    carol.change("ONE", to=a.name)
    alice.sync_until(device_change_of(carol))
    carol.change("TWO", to=a.name)
    alice.sync_until(device_change_of(carol))
    assert devices_of(alice, carol) == carol.devices
    last_stream = carol.stream
    remote.set_member(room, carol.user_id, carol.user_id, "leave", to=[a.name])
    eventually(lambda: membership(alice, room.id, carol) == "leave")
    carol.change("MISSED")
    del carol.devices["ONE"]
    remote.set_member(room, carol.user_id, carol.user_id, "join", to=[a.name])
    eventually(lambda: membership(alice, room.id, carol) == "join")
    carol.change("NEW", to=a.name, prev=[last_stream])
    alice.sync_until(device_change_of(carol))
    eventually(lambda: devices_of(alice, carol) == carol.devices)
    carol.change("LATER", to=a.name)
    alice.sync_until(device_change_of(carol))
    eventually(lambda: devices_of(alice, carol) == carol.devices)


def test_the_first_update_of_a_user_is_asked_for(two, remote):
    a, alice, carol = two[0], two[0].user("alice"), Carol(remote)
    remote.join(a.name, alice.create_room(preset="public_chat"), carol.user_id)
    alice.next_sync()
    path = f"{FED}/v1/user/devices/{q(carol.user_id)}"
    carol.change("ONE", to=a.name)
    alice.sync_until(device_change_of(carol))
    assert len(remote.seen("GET", path)) == 1
    assert devices_of(alice, carol) == carol.devices
    assert not remote.seen("POST", f"{FED}/v1/user/keys/query")


def test_a_list_that_cannot_be_had_is_known_to_be_wrong(two, remote):
    a, alice, carol = two[0], two[0].user("alice"), Carol(remote)
    remote.join(a.name, alice.create_room(preset="public_chat"), carol.user_id)
    remote.on("GET", f"{FED}/v1/user/devices/", 500)
    for device in "ONE", "TWO":
        alice.next_sync()
        carol.change(device, to=a.name)
        alice.sync_until(device_change_of(carol))
        assert devices_of(alice, carol) == carol.devices


def test_updates_of_users_who_share_no_room_cause_no_query(two, remote):
    a, carol = two[0], Carol(remote)
    alice = a.user("alice")
    alice.next_sync()
    carol.change("ONE", to=a.name)
    room = remote.join(a.name, alice.create_room(preset="public_chat"), remote.user("dave"))
    last = remote.send(room, remote.user("dave"), "hello", to=[a.name])
    eventually(lambda: has_event(alice, room.id, last))
    assert carol.asked() == 0 and not device_change_of(carol)(alice.next_sync())

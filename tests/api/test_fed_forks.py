"""Servers that are disconnected from each other continue, and have the same state and history after
they are reconnected ("Room State Resolution")."""

import uuid

import pytest

from client import q
from federation import has_event, membership, same_history, same_state
from waiting import eventually

VERSIONS = ["6", "10", "11", "12"]
HEAL_SECONDS = 60


def settle(room, *clients):
    """One more message from each user: servers that get it see which events they lack."""
    for c in clients:
        if c.request("GET", f"/rooms/{q(room)}/state").status_code == 200:
            r = c.request("PUT", f"/rooms/{q(room)}/send/m.room.message/{uuid.uuid4()}",
                          {"msgtype": "m.text", "body": "whole again"})
            assert r.status_code in (200, 403), r.text


def agree(room, *clients):
    """All reach the same state; a server that got a third server's events late sends again."""
    for attempt in range(HEAL_SECONDS // 10):
        settle(room, *clients)
        try:
            return eventually(lambda: same_state(room, *clients), seconds=10)
        except AssertionError:
            if attempt + 1 == HEAL_SECONDS // 10:
                raise


def healed(room, *clients):
    agree(room, *clients)
    eventually(lambda: same_history(room, *clients), seconds=HEAL_SECONDS)


def reaches(room, sender, *others):
    """A message of one user reaches all others."""
    i = sender.send(room, "hello")
    for c in others:
        eventually(lambda: has_event(c, room, i))


@pytest.fixture
def shared(two):
    """shared(version) → alice of the first server, bob and bea of the second, in one room; bob has
    as much power as alice."""

    def make(version, **levels):
        a, b = two
        alice, bob, bea = a.user("alice"), b.user("bob"), b.user("bea")
        room = alice.create_room(preset="public_chat", room_version=version)
        bob.join(room, via=[a.name])
        bea.join(room, via=[a.name])
        power = alice.state(room, "m.room.power_levels")
        power["users"][bob.user_id] = 100  # in version 12 alice, as creator, has unlimited power
        alice.send_state(room, "m.room.power_levels", {**power, **levels})
        reaches(room, alice, bob, bea)
        reaches(room, bob, alice)
        eventually(lambda: same_state(room, alice, bob))
        return a, b, alice, bob, bea, room

    return make


@pytest.mark.parametrize("version", VERSIONS)
def test_messages_on_both_sides(shared, network, version):
    a, b, alice, bob, bea, room = shared(version)
    network.part([a], [b])
    ids = [alice.send(room, f"alice {n}") for n in range(30)]
    ids += [bob.send(room, f"bob {n}") for n in range(25)]
    ids += [bea.send(room, f"bea {n}") for n in range(5)]
    network.heal()
    healed(room, alice, bob, bea)
    for i in ids:
        assert has_event(alice, room, i) and has_event(bob, room, i)


@pytest.mark.parametrize("version", VERSIONS)
def test_state_on_both_sides(shared, network, version):
    a, b, alice, bob, bea, room = shared(version)
    network.part([a], [b])
    alice.send_state(room, "m.room.topic", {"topic": "alice's"})
    bob.send_state(room, "m.room.name", {"name": "bob's"})
    alice.send_state(room, "m.room.avatar", {"url": "mxc://x/alice"})
    bob.send_state(room, "m.room.avatar", {"url": "mxc://x/bob"})
    for n in range(10):
        alice.send_state(room, "test.count", {"n": n}, "alice")
        bob.send_state(room, "test.count", {"n": n}, "bob")
    network.heal()
    healed(room, alice, bob)
    for c in (alice, bob):
        assert c.state(room, "m.room.topic")["topic"] == "alice's"
        assert c.state(room, "m.room.name")["name"] == "bob's"
        assert c.state(room, "test.count", "alice")["n"] == 9
        assert c.state(room, "test.count", "bob")["n"] == 9


@pytest.mark.parametrize("version", VERSIONS)
def test_a_ban_wins_over_events_of_the_banned(shared, network, version):
    a, b, alice, bob, bea, room = shared(version, state_default=0)
    network.part([a], [b])
    alice.ban(room, bea)
    alice.send(room, "she is gone")
    bea.send_state(room, "m.room.topic", {"topic": "bea's"})
    for n in range(5):
        bea.send(room, f"bea {n}")
    network.heal()
    agree(room, alice, bob)
    for c in (alice, bob):
        assert membership(c, room, bea) == "ban"
        c.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(room)}/state/m.room.topic/")


@pytest.mark.parametrize("version", VERSIONS)
def test_power_levels_on_both_sides(shared, network, version):
    a, b, alice, bob, bea, room = shared(version)
    network.part([a], [b])
    power = alice.state(room, "m.room.power_levels")
    users = dict(power["users"])
    alice.send_state(room, "m.room.power_levels", {**power, "users": {**users, bea.user_id: 50}})
    bob.send_state(room, "m.room.power_levels", {**power, "events_default": 10})
    bob.send_state(room, "m.room.name", {"name": "by bob"})
    network.heal()
    healed(room, alice, bob)
    assert alice.state(room, "m.room.power_levels") == bob.state(room, "m.room.power_levels")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_user_demoted_meanwhile(shared, network, version):
    """A moderator is demoted on one side: their actions on the other side are reverted."""
    a, b, alice, bob, bea, room = shared(version)
    if int(version) < 12:  # a user cannot demote one of equal power
        power = bob.state(room, "m.room.power_levels")
        power["users"][bob.user_id] = 99
        bob.send_state(room, "m.room.power_levels", power)
        eventually(lambda: same_state(room, alice, bob))
    network.part([a], [b])
    power = alice.state(room, "m.room.power_levels")
    power["users"].pop(bob.user_id)
    alice.send_state(room, "m.room.power_levels", power)
    bob.send_state(room, "m.room.name", {"name": "by bob"})
    bob.ban(room, bea)
    network.heal()
    agree(room, alice, bob)
    for c in (alice, bob):
        assert c.state(room, "m.room.power_levels")["users"].get(bob.user_id) is None
        assert membership(c, room, bea) == "join"


@pytest.mark.parametrize("version", VERSIONS)
def test_joins_and_leaves_on_both_sides(shared, network, version):
    a, b, alice, bob, bea, room = shared(version)
    network.part([a], [b])
    ann, bill = a.user("ann"), b.user("bill")
    ann.join(room)
    bill.join(room)
    bea.leave(room)
    ann.send(room, "here I am")
    bill.send(room, "me too")
    network.heal()
    healed(room, alice, bob)
    for c in (alice, bob):
        assert membership(c, room, ann) == "join" and membership(c, room, bill) == "join"
        assert membership(c, room, bea) == "leave"


@pytest.mark.parametrize("version", ["10", "12"])
def test_closed_while_others_join(shared, network, version):
    """The join rule changed on one side: joins on the other side are reverted."""
    a, b, alice, bob, bea, room = shared(version)
    network.part([a], [b])
    alice.send_state(room, "m.room.join_rules", {"join_rule": "invite"})
    bill = b.user("bill")
    bill.join(room)
    bill.send(room, "hello")
    network.heal()
    agree(room, alice, bob)
    assert alice.state(room, "m.room.join_rules")["join_rule"] == "invite"


@pytest.mark.parametrize("version", VERSIONS)
def test_three_servers(three, network, version):
    a, b, c = three
    alice, bob, cora = a.user("alice"), b.user("bob"), c.user("cora")
    room = alice.create_room(preset="public_chat", room_version=version)
    bob.join(room, via=[a.name])
    eventually(lambda: cora.join(room, via=[b.name]))  # once it has the full state itself
    eventually(lambda: alice.state(room, "m.room.member", cora.user_id)["membership"] == "join")
    power = alice.state(room, "m.room.power_levels")
    power["users"].update({bob.user_id: 50, cora.user_id: 50})
    alice.send_state(room, "m.room.power_levels", power)
    for sender, others in ((alice, (bob, cora)), (bob, (alice, cora)), (cora, (alice, bob))):
        reaches(room, sender, *others)
    eventually(lambda: same_state(room, alice, bob, cora))
    network.part([a], [b], [c])
    for n in range(3):
        for who in (alice, bob, cora):
            who.send(room, f"{n}")
            who.send_state(room, "test.by", {"n": n}, who.user_id.replace("@", "_"))
    alice.send_state(room, "m.room.name", {"name": "alice's"})
    bob.send_state(room, "m.room.name", {"name": "bob's"})
    cora.send_state(room, "m.room.name", {"name": "cora's"})
    network.part([a, b], [c])  # first two of the three
    agree(room, alice, bob)
    alice.send(room, "two of us")
    cora.send(room, "alone")
    network.heal()
    healed(room, alice, bob, cora)


def test_hours_apart(shared, network):
    """A gap of hundreds of events, in many rooms."""
    a, b, alice, bob, bea, room = shared("12")
    more = [alice.create_room(preset="public_chat") for _ in range(5)]
    for r in more:
        bob.join(r, via=[a.name])
    network.part([a], [b])
    ids = [alice.send(room, f"{n}") for n in range(250)]
    others = [alice.send(r, "while you were away") for r in more]
    bob.send(room, "anybody there?")
    network.heal()
    healed(room, alice, bob)
    assert all(has_event(bob, room, i) for i in ids[::25])
    for r, i in zip(more, others):
        eventually(lambda: has_event(bob, r, i), seconds=HEAL_SECONDS)
        eventually(lambda: same_state(r, alice, bob))

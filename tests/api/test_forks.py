"""Servers that were disconnected agree again on the state and on the history."""

import pytest

from client import q
from federation import has_event, history, membership, same_history, same_state
from waiting import eventually

VERSIONS = ["6", "10", "11", "12"]


def meet(servers, version, moderators=()):
    """A public room with a user of each server; the room and the users."""
    users = [s.user(name) for s, name in zip(servers, ("alice", "bob", "carol"))]
    alice = users[0]
    levels = {users[n].user_id: 50 for n in moderators}
    if version != "12":
        levels[alice.user_id] = 100
    room = alice.create_room(preset="public_chat", room_version=version,
                             power_level_content_override={"users": levels})
    for u in users[1:]:
        u.join(room, via=[servers[0].name])
    for u in users:
        eventually(lambda: all(membership(u, room, other) == "join" for other in users))
    return room, users


def agree(room, users, sent, seconds=60, on_history=True):
    """A last message of each user, then all see the same."""
    sent = [*sent, *(u.send(room, f"{u.user_id} is back") for u in users)]
    for u in users:
        eventually(lambda: set(sent) <= set(history(u, room)), seconds)
    eventually(lambda: same_state(room, *users), seconds)
    return not on_history or eventually(lambda: same_history(room, *users), seconds)


@pytest.mark.parametrize("version", VERSIONS)
def test_messages_of_both_sides_are_read_by_both(two, network, version):
    room, users = meet(two, version)
    network.part([two[0]], [two[1]])
    sent = [u.send(room, f"{u.user_id} says {n}") for n in range(20) for u in users]
    network.heal()
    agree(room, users, sent)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_ban_holds_against_concurrent_events_of_the_banned(two, network, version):
    room, (alice, bob) = meet(two, version, moderators=[1])
    dave = two[1].user("dave")
    dave.join(room, via=[two[0].name])
    eventually(lambda: membership(alice, room, dave) == "join")
    network.part([two[0]], [two[1]])
    alice.ban(room, dave)
    alice.send_state(room, "m.room.topic", {"topic": "of here"})
    dave.send(room, "I am still here")
    bob.send_state(room, "m.room.name", {"name": "of there"})
    network.heal()
    for u in alice, bob:
        u.send(room, "again")
    for u in alice, bob:
        eventually(lambda: membership(u, room, dave) == "ban", 60)
    eventually(lambda: same_state(room, alice, bob), 60)
    assert alice.state(room, "m.room.name") == {"name": "of there"}
    assert bob.state(room, "m.room.topic") == {"topic": "of here"}
    dave.fails(403, "M_FORBIDDEN", "PUT", f"/rooms/{q(room)}/send/m.room.message/late{version}",
               {"msgtype": "m.text", "body": "no"})


@pytest.mark.parametrize("version", VERSIONS)
def test_power_that_was_taken_away_counts_on_both_sides(two, network, version):
    room, (alice, bob) = meet(two, version, moderators=[1])
    before = alice.state(room, "m.room.power_levels")
    network.part([two[0]], [two[1]])
    users = {k: v for k, v in before["users"].items() if k != bob.user_id}
    alice.send_state(room, "m.room.power_levels", {**before, "users": users})
    bob.send_state(room, "m.room.topic", {"topic": "of one who had the power"})
    sent = [bob.send(room, "a message"), alice.send(room, "another")]
    network.heal()
    agree(room, (alice, bob), sent, on_history=False)  # the topic is shown only where it was set
    for u in alice, bob:
        assert u.state(room, "m.room.power_levels")["users"] == users
        u.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(room)}/state/m.room.topic")


@pytest.mark.parametrize("version", VERSIONS)
def test_joins_on_one_side_reach_all(two, network, version):
    room, (alice, bob) = meet(two, version)
    network.part([two[0]], [two[1]])
    dave, eve = two[0].user("dave"), two[1].user("eve")
    dave.join(room)
    eve.join(room)
    sent = [u.send(room, "I have come") for u in (dave, eve)]
    network.heal()
    agree(room, (alice, bob), sent)
    for u in alice, bob:
        assert membership(u, room, dave) == membership(u, room, eve) == "join"


@pytest.mark.parametrize("version", ["6", "12"])
def test_three_sides_agree(three, network, version):
    room, users = meet(three, version, moderators=[1, 2])
    network.part(*([s] for s in three))
    sent = [u.send(room, f"{u.user_id} says {n}") for n in range(8) for u in users]
    for u in users:
        u.send_state(room, "m.room.topic", {"topic": f"of {u.user_id}"})
    network.heal()
    agree(room, users, sent)


def test_two_of_three_go_on_together(three, network):
    room, (alice, bob, carol) = meet(three, "11")
    network.part([three[0], three[1]], [three[2]])
    sent = []
    for n in range(10):
        sent.append(alice.send(room, f"{n}"))
        eventually(lambda: has_event(bob, room, sent[-1]))
        sent.append(bob.send(room, f"{n} too"))
        sent.append(carol.send(room, f"alone {n}"))
    network.heal()
    agree(room, (alice, bob, carol), sent)


def test_two_forks_in_a_row_heal(two, network):
    room, users = meet(two, "12", moderators=[1])
    sent = []
    for round in range(3):
        network.part([two[0]], [two[1]])
        for u in users:
            sent += [u.send(room, f"{round} {u.user_id} {n}") for n in range(5)]
            u.send_state(room, "m.room.topic", {"topic": f"{round} of {u.user_id}"})
        network.heal()
        agree(room, users, sent)


def test_a_long_gap_is_closed(two, network):
    """The gap is larger than one transaction and one answer."""
    room, users = meet(two, "12")
    network.part([two[0]], [two[1]])
    sent = [users[0].send(room, f"message {n}") for n in range(150)]
    sent.append(users[1].send(room, "meanwhile"))
    network.heal()
    agree(room, users, sent)

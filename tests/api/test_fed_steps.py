"""The log names the step that refused, rejected or soft-failed an event (rooms/accept/steps.def).
Each step of events by themselves and in their room: tests/unit/test_pdu_steps.c."""

import pytest

import pdus


@pytest.fixture
def scene(room_of):
    a, alice, remote, room, carol = room_of()

    def logged(event, *what):
        """The event's line in the log after it was received."""
        remote.put_transaction(a.name, [event])
        begin = pdus.event_id(event, "12") + " "
        lines = [line for line in a.log_text().splitlines() if begin in line]
        assert any(all(w in line for w in what) for line in lines), (what, lines)

    return alice, remote, room, carol, logged


def message(remote, room, sender, **options):
    return remote.event(room, sender, "m.room.message", {"body": "hi"}, **options)[1]


def test_of_a_room_that_is_not_known(scene):
    _, remote, room, carol, logged = scene
    event = message(remote, room, carol)
    event["room_id"] = "!" + "A" * 43
    logged(event, f"sent by {remote.name}, is refused: room: This server is not in the room")


def test_of_a_server_that_the_acl_denies(scene):
    alice, remote, room, carol, logged = scene
    event = message(remote, room, carol)
    alice.send_state(room.id, "m.room.server_acl", {"allow": ["*"], "deny": ["localhost"]})
    logged(event, f"in {room.id}, sent by {remote.name}, is refused: server ACL: ")


def test_with_a_wrong_signature(scene):
    _, remote, room, carol, logged = scene
    event = message(remote, room, carol)
    for key in event["signatures"][remote.name]:
        event["signatures"][remote.name][key] = "A" * 86
    logged(event, "is refused: signatures: The signature of ")


def test_that_the_rules_reject(scene):
    _, remote, room, carol, logged = scene
    _, event = remote.event(room, carol, "m.room.name", {"name": "mine"}, "")
    logged(event, f"of {carol} in {room.id} is rejected: auth events: ")


def test_of_a_user_who_was_banned_since(scene):
    alice, remote, room, carol, logged = scene
    heads = room.heads[:]
    alice.ban(room.id, carol)
    event = message(remote, room, carol, prev=heads)
    logged(event, f"of {carol} in {room.id} is soft-failed: current state: ")

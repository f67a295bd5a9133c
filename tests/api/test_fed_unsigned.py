"""`unsigned` of state events (client-server-api, "Room event format"): prev_content, replaces_state and
prev_sender are those of the state before the event, however the event arrived."""

import pytest

from federation import history, received
from remote import q
from waiting import eventually


def unsigned_of(client, room, event):
    return client.event(room, event)["unsigned"]


def said(events):
    """The unsigned members about replaced state, for a list of events."""
    keys = "prev_content", "replaces_state", "prev_sender"
    return {e["event_id"]: {k: e["unsigned"].get(k) for k in keys} for e in events
            if "state_key" in e}


def changes(client, room):
    """A chain of state events, and the unsigned members that each must have."""
    contents = [{"topic": str(n)} for n in range(3)]
    ids = [client.send_state(room, "m.room.topic", c) for c in contents]
    names = []
    for n in range(2):
        client.put(f"/profile/{q(client.user_id)}/displayname", {"displayname": f"Name {n}"})
        names.append(client.get(f"/rooms/{q(room)}/state/m.room.member/{q(client.user_id)}"
                                "?format=event")["event_id"])
    must = {i: {"prev_content": c, "replaces_state": before, "prev_sender": client.user_id}
            for i, before, c in zip(ids[1:], ids, contents)}
    must[ids[0]] = dict.fromkeys(("prev_content", "replaces_state", "prev_sender"))
    must[names[1]] = {"prev_content": {"membership": "join", "displayname": "Name 0"},
                      "replaces_state": names[0], "prev_sender": client.user_id}
    return must


@pytest.mark.parametrize("version", ["1", "10", "12"])
def test_history_that_came_by_backfill(two, version):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="public_chat", room_version=version)
    must = changes(alice, room)
    for n in range(30):
        alice.send(room, f"message {n}")
    bob.join(room, via=[a.name])
    eventually(lambda: must.keys() <= set(history(bob, room)))
    for client in alice, bob:
        page = client.messages(room, limit=100)["chunk"]
        shown = said(page)
        assert {i: shown[i] for i in must} == must
        for i in must:
            assert said([client.event(room, i)])[i] == must[i]
    # state from before the join and state with it form one chain
    latest = alice.send_state(room, "m.room.topic", {"topic": "latest"})
    received(bob, room, latest)
    assert unsigned_of(bob, room, latest)["prev_content"] == {"topic": "2"}


@pytest.fixture
def carols(two, remote):
    a = two[0]
    alice, carol = a.user("alice"), remote.user("carol")
    room_id = alice.create_room(preset="public_chat")
    return a, alice, remote, remote.join(a.name, room_id, carol), carol


def test_a_gap(carols):
    a, alice, remote, room, carol = carols
    member = lambda n: remote.event(room, carol, "m.room.member",
                                    {"membership": "join", "displayname": f"C{n}"}, carol)[0]
    ids = [member(n) for n in range(4)]
    received(alice, room.id, remote.send(room, carol, "last"))
    for n, i in enumerate(ids[1:]):
        unsigned = unsigned_of(alice, room.id, i)
        assert unsigned["prev_content"]["displayname"] == f"C{n}"
        assert unsigned["replaces_state"] == ids[n] and unsigned["prev_sender"] == carol


def test_a_fork(carols):
    """Two branches change the same name: each event refers to the one before it in its branch."""
    a, alice, remote, room, carol = carols
    name = lambda text, **more: remote.event(
        room, carol, "m.room.member", {"membership": "join", "displayname": text}, carol, **more)
    first, event = name("first")
    remote.put_transaction(a.name, [event])
    heads, state = room.heads[:], dict(room.state)
    left, left_event = name("left", prev=heads, state=state)
    leftmost, leftmost_event = name("leftmost", prev=[left],
                                    state={**state, ("m.room.member", carol): left})
    right, right_event = name("right", prev=heads, state=state)
    for e in left_event, leftmost_event, right_event:
        remote.put_transaction(a.name, [e])
    for i, before in ((left, "first"), (leftmost, "left"), (right, "first")):
        received(alice, room.id, i)
        assert unsigned_of(alice, room.id, i)["prev_content"]["displayname"] == before

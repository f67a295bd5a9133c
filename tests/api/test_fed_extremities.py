"""Another server's branches pile up as forward extremities of a room: they are merged by
dummy events, which clients are not shown, and servers are sent only when an event follows them."""

import pytest

from federation import has_event, received
from remote import FED, q
from restoring import psql, uri_of
from waiting import eventually

MANY, DUMMY = 200, "org.matrix.dummy_event"


def extremities(server):
    return int(psql(uri_of(server), "SELECT max(cardinality(extremities)) FROM rooms"))


def pile_up(remote, server, room, user):
    """Sends branches that all begin at the same event; the id of the last."""
    base = room.heads[:]
    events = [remote.event(room, user, "m.room.message", {"msgtype": "m.text", "body": f"{n}"},
                           prev=base) for n in range(MANY)]
    for k in range(0, MANY, 50):
        remote.put_transaction(server, [event for _, event in events[k : k + 50]])
    return events[-1][0]


def dummies(server):
    return int(psql(uri_of(server), "SELECT count(*) FROM events e JOIN event_types t ON t.id = e.type "
                                    f"WHERE t.type = '{DUMMY}'"))


@pytest.mark.parametrize("version", ["1", "12"])
def test_branches_are_brought_together(ministries, remotes, version):
    a, remote, other = ministries(), remotes(), remotes()
    alice, carol, erin = a.user("alice"), remote.user("carol"), other.user("erin")
    room_id = alice.create_room(preset="public_chat", room_version=version)
    other.join(a.name, room_id, erin)
    room = remote.join(a.name, room_id, carol)
    last = pile_up(remote, a.name, room, carol)
    received(alice, room_id, last)
    assert extremities(a) <= 20 and dummies(a) >= 9
    # No client is shown them, and they do not move their sender's read marker.
    timeline = alice.get(f"/rooms/{q(room_id)}/messages", params={"dir": "b", "limit": 500})["chunk"]
    assert len(timeline) > MANY and not [e for e in timeline if e["type"] == DUMMY]
    synced = alice.get("/sync")["rooms"]["join"][room_id]
    assert synced["unread_notifications"]["notification_count"] == MANY
    assert not [e for e in synced["timeline"]["events"] if e["type"] == DUMMY]
    # Other servers are sent them when an event follows.
    assert not [p for p in other.pdus if p["type"] == DUMMY]
    said = alice.send(room_id, "after all of that")
    assert extremities(a) == 1
    arrived = other.wait_for(lambda: [p for p in other.pdus if p["type"] == "m.room.message"])[0]
    assert not [p for p in other.pdus if p["type"] == DUMMY]
    previous = [i if isinstance(i, str) else i[0] for i in arrived["prev_events"]]
    pdus = [other.get(a.name, f"{FED}/v1/event/{q(i)}")["pdus"][0] for i in previous]
    assert DUMMY in {p["type"] for p in pdus} and all(
        other.check_event(p, version) for p in pdus if p["type"] == DUMMY)
    assert said in other.pdu_ids(version)


def test_another_server_of_ours_follows(ministries, remote):
    """It asks for the dummies, and shows them to no client either."""
    a, b = ministries(), ministries()
    alice, bob, carol = a.user("alice"), b.user("bob"), remote.user("carol")
    room_id = alice.create_room(preset="public_chat")
    bob.join(room_id, via=[a.name])
    room = remote.join(a.name, room_id, carol)
    last = pile_up(remote, a.name, room, carol)
    received(alice, room_id, last)
    said = alice.send(room_id, "after all of that")
    received(bob, room_id, said, seconds=60)
    eventually(lambda: has_event(bob, room_id, last), 60)
    answer = bob.send(room_id, "here, too")
    received(alice, room_id, answer)
    chunk = bob.get(f"/rooms/{q(room_id)}/messages", params={"dir": "b", "limit": 500})["chunk"]
    assert not [e for e in chunk if e["type"] == DUMMY]
    assert extremities(b) <= 20

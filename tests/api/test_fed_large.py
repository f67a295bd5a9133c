"""Conflicts of more than a hundred branches, over HTTP: no server waits while its events are judged, and
joins and invites still come through (federation/in/inbound.c)."""

import concurrent.futures

import pytest

from federation import membership, received
from remote import FED, q
from test_fed_extremities import DUMMY, extremities, pile_up
from server import metric
from waiting import eventually


@pytest.fixture
def crowded(ministries, remotes):
    """A room in which our users may not merge the branches that carol's server made."""
    a, remote = ministries(), remotes()
    alice, carol = a.user("alice"), remote.user("carol")
    room_id = alice.create_room(preset="public_chat", room_version="10")
    remote.join(a.name, room_id, carol)
    alice.send_state(room_id, "m.room.power_levels", {
        "users": {alice.user_id: 50, carol: 100}, "events": {DUMMY: 100}, "invite": 0})
    power = remote.wait_for(lambda: [p for p in remote.pdus if p["type"] == "m.room.power_levels"])
    room = remote.rooms[room_id]
    room.add(power[-1])
    received(alice, room_id, pile_up(remote, a.name, room, carol))
    assert extremities(a) > 100
    return a, alice, remote, room, carol


def test_transactions_do_not_wait_for_them(crowded):
    a, alice, remote, room, carol = crowded
    topic, event = remote.event(room, carol, "m.room.topic", {"topic": "of a branch"}, "",
                                prev=room.heads[:1])
    assert remote.put_transaction(a.name, [event])["pdus"] == {topic: {}}
    assert metric(a, "concorde_federation_received_pdus_kept_total") == 1
    eventually(lambda: [e for e in alice.state(room.id) if e["event_id"] == topic], 60)


def test_joins_and_invites_succeed(crowded):
    a, alice, remote, room, carol = crowded
    users = [remote.user(name) for name in ("dave", "erin", "frank")]

    def join(user):
        made = remote.make(a.name, "join", room.id, user)
        i, event = remote.fill_template(made["event"], made["room_version"], user)
        r = remote.request(a.name, "PUT", f"{FED}/v2/send_join/{q(room.id)}/{q(i)}", event)
        assert r.status_code == 200 or (r.status_code == 429 and "retry-after" in r.headers), r.text
        return r.status_code == 200

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda user: eventually(lambda: join(user), 60), users))
    for user in users:
        assert membership(alice, room.id, user) == "join"
    invited = remote.user("gina")
    alice.invite(room.id, invited)
    assert membership(alice, room.id, invited) == "invite"

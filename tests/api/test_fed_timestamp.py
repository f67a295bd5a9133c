"""Server-server API, timestamp_to_event, and the client's route where our history has a gap."""

import pytest

from client import q
from remote import FED
from waiting import eventually

V1 = FED + "/v1/timestamp_to_event/"
HOUR = 3_600_000


def closest(client, room, ts, dir, status=200):
    return client.call("GET", f"/_matrix/client/v1/rooms/{q(room)}/timestamp_to_event",
                       params={"ts": ts, "dir": dir}, status=status)


@pytest.fixture
def one(two):
    return two[0]


def test_answering(remote, one):
    alice = one.user("alice")
    room = alice.create_room(preset="public_chat")
    carol = remote.user("carol")
    uri = V1 + q(room)
    remote.fails(one.name, 403, "M_FORBIDDEN", "GET", uri + "?ts=1&dir=f")
    remote.join(one.name, room, carol)
    sent = [alice.send(room, f"message {n}") for n in range(3)]
    times = [alice.event(room, e)["origin_server_ts"] for e in sent]
    ask = lambda ts, dir: remote.get(one.name, f"{uri}?ts={ts}&dir={dir}")
    assert ask(times[2] + HOUR, "b") == {"event_id": sent[2], "origin_server_ts": times[2]}
    assert ask(times[1], "f")["origin_server_ts"] == times[1]
    assert ask(0, "f")["origin_server_ts"] <= times[0]
    for wrong, status, errcode in [
            ("?ts=1", 400, "M_MISSING_PARAM"), ("?dir=f", 400, "M_MISSING_PARAM"),
            ("?ts=x&dir=f", 400, "M_INVALID_PARAM"), ("?ts=1&dir=x", 400, "M_INVALID_PARAM"),
            ("?ts=1&dir=b", 404, "M_NOT_FOUND"),
            (f"?ts={times[2] + HOUR}&dir=f", 404, "M_NOT_FOUND")]:
        remote.fails(one.name, status, errcode, "GET", uri + wrong)
    remote.fails(one.name, 404, "M_NOT_FOUND", "GET", V1 + q("!nowhere:x") + "?ts=1&dir=f")
    alice.send_state(room, "m.room.server_acl", {"allow": ["*"], "deny": ["localhost"]})
    remote.fails(one.name, 403, "M_FORBIDDEN", "GET", uri + "?ts=1&dir=f")


def old_room(remote, messages=30):
    """A room of the remote with an hour between messages; (room, ids, times)."""
    carol = remote.user("carol")
    room = remote.create_room(carol)
    start = 1_600_000_000_000
    sent = [remote.event(room, carol, "m.room.message", {"body": str(n), "msgtype": "m.text"},
                         ts=start + n * HOUR)[0] for n in range(messages)]
    return room, sent, [start + n * HOUR for n in range(messages)]


def test_missing_events_are_requested_and_fetched(remote, one):
    alice = one.user("alice")
    room, sent, times = old_room(remote)
    alice.join(room.id, via=[remote.name])
    found = closest(alice, room.id, times[10] + HOUR // 2, "f")
    assert found == {"event_id": sent[11], "origin_server_ts": times[11]}
    assert closest(alice, room.id, times[10] + HOUR // 2, "b")["event_id"] == sent[10]
    around = alice.get(f"/rooms/{q(room.id)}/context/{q(sent[11])}")
    assert around["event"]["content"]["body"] == "11"
    asked = len(remote.seen(path=V1))
    assert closest(alice, room.id, times[20], "b")["event_id"] == sent[20]  # is stored now
    assert len(remote.seen(path=V1)) == asked


def test_claims_of_others_are_checked(remote, one):
    alice = one.user("alice")
    room, sent, times = old_room(remote, 3)
    for id in sent:
        room.hidden.add(id)
    alice.join(room.id, via=[remote.name])
    here = closest(alice, room.id, times[0], "f")
    for answer in ({"event_id": "$" + "x" * 43, "origin_server_ts": times[1]}, {}, [], 500,
                   {"event_id": sent[1]}, {"event_id": 5, "origin_server_ts": times[1]},
                   {"event_id": sent[1], "origin_server_ts": times[0] - 1}):
        remote.on("GET", V1, answer if isinstance(answer, int) else (200, answer))
        assert closest(alice, room.id, times[0], "f") == here


def test_between_concordes(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="public_chat")
    sent = [alice.send(room, f"message {n}") for n in range(40)]
    bob.join(room, via=[a.name])
    at = alice.event(room, sent[5])["origin_server_ts"]
    found = closest(bob, room, at, "f")
    assert found["origin_server_ts"] == at
    assert eventually(lambda: bob.event(room, found["event_id"]))

"""Requests that another server refuses for now (429, Retry-After) pause, and only those."""

import time

import pytest

from federation import received
from remote import FED, q
from test_fed_keys import KEY, PUBLICATION, is_let_in, notarised, publication
from waiting import eventually

# No back-off ends within a test.
SLOW = {"federation__destination_min_retry_interval": "1h",
        "federation__destination_max_retry_interval": "2h"}


def limited(seconds):
    return 429, ({"errcode": "M_LIMIT_EXCEEDED", "error": "later"},
                 {"Content-Type": "application/json", "Retry-After": str(seconds)})


def refused_join(client, room, via):
    answer = client.fails(429, "M_LIMIT_EXCEEDED", "POST", f"/join/{q(room)}", params={"via": via})
    return answer["retry_after_ms"]


def test_too_many_joins_keep_no_message_back(ministries, remote):
    a = ministries(**SLOW)
    alice, bob, carol = a.user("alice"), a.user("bob"), remote.user("carol")
    ours = alice.create_room(preset="public_chat")
    remote.join(a.name, ours, carol)
    crowded, other = remote.create_room(carol), remote.create_room(carol)
    remote.on("PUT", f"{FED}/v2/send_join/{q(crowded.id)}", limited(100))
    assert refused_join(bob, crowded.id, remote.name) == 100000
    said = alice.send(ours, "while others wait")
    remote.wait_for(lambda: said in remote.pdu_ids())
    # The room gets no requests, also none for templates.
    assert 0 < refused_join(alice, crowded.id, remote.name) < 100000
    assert len(remote.seen("PUT", f"{FED}/v2/send_join/{q(crowded.id)}")) == 1
    assert len(remote.seen("GET", f"{FED}/v1/make_join/{q(crowded.id)}")) == 1
    # Other rooms can be joined.
    assert bob.join(other.id, via=[remote.name]) == other.id


@pytest.mark.parametrize("what", ["invite", "leave"])
def test_other_requests_do_not_either(ministries, remote, what):
    a = ministries(**SLOW)
    alice, carol, dave = a.user("alice"), remote.user("carol"), remote.user("dave")
    ours = alice.create_room(preset="public_chat")
    remote.join(a.name, ours, carol)
    if what == "invite":
        remote.on("PUT", f"{FED}/v2/invite/", limited(100))
        assert alice.fails(429, "M_LIMIT_EXCEEDED", "POST", f"/rooms/{q(ours)}/invite",
                           {"user_id": dave})["retry_after_ms"] == 100000
    else:
        theirs = remote.create_room(carol, join_rule="invite")
        remote.invite(theirs, carol, alice.user_id)
        remote.on("PUT", f"{FED}/v2/send_leave/", limited(100))
        alice.leave(theirs.id)
        eventually(lambda: remote.seen("PUT", f"{FED}/v2/send_leave/"))
    said = alice.send(ours, "meanwhile")
    remote.wait_for(lambda: said in remote.pdu_ids())


def test_questions_of_that_kind_wait(ministries, remote):
    a = ministries(**SLOW)
    alice, carol = a.user("alice"), remote.user("carol")
    remote.on("GET", f"{FED}/v1/query/profile", limited(100))
    for user in carol, remote.user("dave"):
        alice.fails(429, "M_LIMIT_EXCEEDED", "GET", f"/profile/{q(user)}")
    assert len(remote.seen("GET", f"{FED}/v1/query/profile")) == 1
    remote.on("GET", f"{FED}/v1/query/directory", (200, {"room_id": "!r:x", "servers": [remote.name]}))
    assert alice.get(f"/directory/room/{q(f'#a:{remote.name}')}")["room_id"] == "!r:x"


# ---- keys ----


def test_keys_are_asked_for_again_when_the_server_says(two, remote):
    """Requests signed meanwhile are not refused for good."""
    answers = [limited(1)]
    remote.on("GET", PUBLICATION, lambda request: answers.pop() if answers else None)
    began = time.monotonic()
    assert is_let_in(remote, two[0].name)
    assert len(remote.seen("GET", PUBLICATION)) == 2
    assert time.monotonic() - began >= 1


def test_events_wait_for_keys_that_are_to_be_had_later(two, remotes):
    a, alice = two[0], two[0].user("alice")
    remote, other = remotes(), remotes()
    carol, erin = remote.user("carol"), other.user("erin")
    room_id = alice.create_room(preset="public_chat")
    room = remote.join(a.name, room_id, carol)
    # Another server relays an event of erin's server, whose keys are not known yet.
    answers = [limited(1)]
    other.on("GET", PUBLICATION, lambda request: answers.pop() if answers else None)
    other.rooms[room_id] = room
    join, event = other.event(room, erin, "m.room.member", {"membership": "join"}, erin)
    remote.put_transaction(a.name, [event])
    received(alice, room_id, join)
    assert len(other.seen("GET", PUBLICATION)) == 2


def test_the_notaries_are_asked_meanwhile(ministries, remotes):
    busy, notary = remotes(), remotes()
    busy.on("GET", PUBLICATION, limited(100))
    notary.on("POST", f"{KEY}/query", lambda request: (
        200, {"server_keys": [notarised(notary, publication(busy))]}))
    a = ministries(trusted_key_servers=notary.name)
    assert is_let_in(busy, a.name)
    assert len(busy.seen("GET", PUBLICATION)) == 1


def test_a_notary_that_is_asked_too_much_is_left_alone(ministries, remotes):
    notary, one, two_ = remotes(), remotes(), remotes()
    for quiet in one, two_:
        quiet.on("GET", PUBLICATION, 500)
    notary.on("POST", f"{KEY}/query", limited(100))
    a = ministries(trusted_key_servers=f"{notary.name}={notary.key_id}:{notary.key.public}")
    assert not is_let_in(one, a.name) and not is_let_in(two_, a.name)
    assert len(notary.seen("POST", f"{KEY}/query")) == 1

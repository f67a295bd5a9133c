"""Events and EDUs that another server refuses: the transaction is divided, the refused items are stored
for the operator, and the rest is sent (server-server API, "Transactions")."""

import pytest

from restoring import psql, uri_of
from sending import SEND, enter, got, transactions, wait_for_event
from server import metric
from waiting import eventually

QUICK = {"federation__destination_min_retry_interval": "50ms",
         "federation__destination_max_retry_interval": "200ms"}
STATUSES = 400, 401, 403, 404, 413, 500


class Picky:
    """Refuses transactions that contain certain items."""

    def __init__(self, remote, wants, status=500):
        self.wants, self.status, self.refused, self.is_open = wants, status, [], False
        remote.on("PUT", SEND, self._answer)

    def _answer(self, request):
        if self.is_open or self.wants(request.body):
            return None
        self.refused.append(request)
        return self.status, {"errcode": "M_UNKNOWN", "error": "not that"}


def no_pdu(*bodies):
    return lambda t: not any(p["content"].get("body") in bodies for p in t["pdus"])


def no_message(*numbers):
    return lambda t: not any(
        e["edu_type"] == "m.direct_to_device" and one["number"] in numbers
        for e in t.get("edus", ()) for of in e["content"].get("messages", {}).values()
        for one in of.values())


def whisper(alice, carol, numbers):
    for i in numbers:
        alice.put(f"/sendToDevice/m.test/{i}", {"messages": {carol: {"*": {"number": i}}}})


def whispers(remote):
    return [one["number"] for c in remote.edus_of("m.direct_to_device")
            for of in c["messages"].values() for one in of.values()]


def status(a, remote):
    return a.cli("federation", "status", remote.name).stdout


def refused_items(a, remote):
    return [line for line in status(a, remote).splitlines() if "answered" in line and
            not line.startswith(remote.name)]


@pytest.fixture
def a(ministries):
    return ministries(**QUICK)


def test_an_event_that_is_refused_stops_no_other(a, remotes):
    alice, room = a.user("alice"), None
    pickies = {code: remotes() for code in STATUSES}
    for remote in pickies.values():
        room, _ = enter(remote, a, alice, room=room)
    for code, remote in pickies.items():
        Picky(remote, no_pdu("message 7"), code)
    sent = [alice.send(room, f"message {i}") for i in range(20)]
    for code, remote in pickies.items():
        wait_for_event(remote, sent[-1])
        assert [i for i in remote.pdu_ids() if i in sent] == sent[:7] + sent[8:]  # each once
        listed = eventually(lambda: refused_items(a, remote))
        assert len(listed) == 1 and sent[7] in listed[0] and f"answered {code}" in listed[0]
        eventually(lambda: "up to date" in status(a, remote))
    assert metric(a, "concorde_federation_refused_items_total") == 6


def test_refused_items_are_resent_when_the_operator_asks(a, remote):
    alice = a.user("alice")
    room, carol = enter(remote, a, alice)
    picky = Picky(remote, lambda t: no_pdu("bad")(t) and no_message(1)(t))
    bad = alice.send(room, "bad")
    whisper(alice, carol, range(3))
    after = alice.send(room, "good")
    wait_for_event(remote, after)
    eventually(lambda: whispers(remote) == [0, 2])
    eventually(lambda: len(refused_items(a, remote)) == 2)
    refused = len(picky.refused)
    assert a.cli("federation", "resend", remote.name).returncode == 0
    eventually(lambda: len(picky.refused) >= refused + 2)  # each is sent alone, and refused again
    wait_for_event(remote, alice.send(room, "still good"))
    assert len(refused_items(a, remote)) == 2
    picky.is_open = True
    assert "2 refused" in a.cli("federation", "resend", remote.name).stdout
    wait_for_event(remote, bad)
    eventually(lambda: whispers(remote) == [0, 2, 1])
    eventually(lambda: not refused_items(a, remote))
    assert a.cli("federation", "resend", "unknown.example").returncode == 1


def test_refused_items_can_be_discarded(a, remote):
    alice = a.user("alice")
    room, _ = enter(remote, a, alice)
    Picky(remote, no_pdu("bad"))
    alice.send(room, "bad")
    eventually(lambda: len(refused_items(a, remote)) == 1)
    assert "1 discarded" in a.cli("federation", "discard", remote.name).stdout
    assert not refused_items(a, remote)


def test_a_message_to_a_device_that_is_refused_stops_no_other(a, remote):
    alice = a.user("alice")
    room, carol = enter(remote, a, alice)
    Picky(remote, no_message(4), 401)
    whisper(alice, carol, range(10))
    last = alice.send(room, "and on")
    wait_for_event(remote, last)
    eventually(lambda: whispers(remote) == [0, 1, 2, 3, 5, 6, 7, 8, 9])
    assert "m.direct_to_device" in eventually(lambda: refused_items(a, remote))[0]


def test_a_server_that_refuses_everything_loses_nothing(a, remote):
    """It refuses even an empty transaction: the items are not the cause."""
    alice = a.user("alice")
    room, carol = enter(remote, a, alice)
    picky = Picky(remote, lambda t: False, 403)
    sent = [alice.send(room, f"message {i}") for i in range(5)]
    whisper(alice, carol, range(5))
    eventually(lambda: len(picky.refused) > 12)
    assert not refused_items(a, remote)
    assert len({r.path for r in picky.refused if r.body["pdus"]}) <= 5
    picky.is_open = True
    wait_for_event(remote, sent[-1])
    eventually(lambda: whispers(remote) == list(range(5)))
    assert [i for i in got(remote) if i in sent] == sent


def test_a_server_that_takes_nothing_but_empty_transactions_loses_nothing(a, remote):
    """After a few refusals in a row the items are not the cause: they are resent later."""
    alice = a.user("alice")
    room, carol = enter(remote, a, alice)
    picky = Picky(remote, lambda t: not t["pdus"] and not t.get("edus"))
    sent = [alice.send(room, f"message {i}") for i in range(8)]
    whisper(alice, carol, range(3))
    eventually(lambda: len(refused_items(a, remote)) >= 4)
    assert "backing off" in status(a, remote)
    picky.is_open = True
    eventually(lambda: set(sent) <= set(got(remote)))
    eventually(lambda: sorted(whispers(remote)) == [0, 1, 2])
    eventually(lambda: not refused_items(a, remote))


def test_dividing_survives_being_killed(ministries, remote):
    a = ministries(federation__destination_min_retry_interval="50ms",
                   federation__destination_max_retry_interval="100ms")
    alice = a.user("alice")
    room, carol = enter(remote, a, alice)
    bad = "message 3", "message 15", "message 29"
    picky = Picky(remote, lambda t: no_pdu(*bad)(t) and no_message(2)(t))
    sent = [alice.send(room, f"message {i}") for i in range(30)]
    whisper(alice, carol, range(5))
    for refusals in 3, 7:
        eventually(lambda: len(picky.refused) >= refusals)
        a.kill()
        a.start()
    last = alice.send(room, "the last")
    wait_for_event(remote, last, 40)
    good = [i for n, i in enumerate(sent) if f"message {n}" not in bad]
    assert [i for i in got(remote) if i in sent] == good
    eventually(lambda: sorted(set(whispers(remote))) == [0, 1, 3, 4])
    listed = eventually(lambda: len(refused_items(a, remote)) == 4 and refused_items(a, remote))
    assert sorted(i for i in sent for line in listed if i in line) == sorted(
        i for n, i in enumerate(sent) if f"message {n}" in bad)


def test_presence_that_is_refused_is_left_out(a, remote):
    alice = a.user("alice")
    room, _ = enter(remote, a, alice)
    Picky(remote, lambda t: not any(
        e["edu_type"] in ("m.presence", "m.typing") for e in t.get("edus", ())))
    alice.put(f"/rooms/{room}/typing/{alice.user_id}", {"typing": True, "timeout": 10000})
    last = alice.send(room, "and on")
    wait_for_event(remote, last)
    eventually(lambda: "up to date" in status(a, remote))
    assert not refused_items(a, remote)
    assert transactions(remote)


def test_no_more_than_a_thousand_things_are_kept(a, remote):
    """Then refused items block the queue, until the operator discards the stored ones."""
    alice = a.user("alice")
    room, _ = enter(remote, a, alice)
    of = f"federation_set_aside WHERE server = '{remote.name}'"
    psql(uri_of(a), "INSERT INTO federation_set_aside (server, position, type, event_id, json, since_ts, answer, "
         f"asked) SELECT '{remote.name}', -n, 'm.x', '$' || n, '{{}}', 0, '400', false FROM generate_series(1, 999) n")
    picky = Picky(remote, no_pdu("message 2", "message 12"), 400)
    sent = [alice.send(room, f"message {i}") for i in range(20)]
    alone = lambda: [r for r in picky.refused if [p["content"]["body"] for p in r.body["pdus"]] == ["message 12"]]
    eventually(lambda: len(alone()) > 7, seconds=60)
    assert sent[19] not in remote.pdu_ids()
    assert psql(uri_of(a), f"SELECT count(*) FROM {of}") == "1000"
    assert psql(uri_of(a), f"SELECT event_id FROM {of} AND position > 0") == sent[2]
    a.cli("federation", "discard", remote.name)
    wait_for_event(remote, sent[-1], seconds=60)
    assert [i for i in remote.pdu_ids() if i in sent] == [i for n, i in enumerate(sent) if n not in (2, 12)]

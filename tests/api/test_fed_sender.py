"""Sending to other servers: order, bounds, failures, long absences (server-server API,
"Transactions")."""

import threading
import time

import pytest

from client import q
from remote import FED
from restoring import psql, uri_of
from sending import SEND, Failing, Gate, enter, event_ids, got, transactions, wait_for_event
from server import metric, metrics
from waiting import eventually

QUICK = {"federation__destination_min_retry_interval": "100ms",
         "federation__destination_max_retry_interval": "400ms"}


@pytest.fixture
def ministry(shared_ministries):
    return shared_ministries(1)[0]


def test_events_come_in_order_signed_and_once(ministry, remote):
    alice = ministry.user("alice")
    room, _ = enter(remote, ministry, alice)
    sent = [alice.send(room, f"message {i}") for i in range(60)]
    wait_for_event(remote, sent[-1])
    assert [i for i in got(remote) if i in sent] == sent
    assert len(remote.pdu_ids()) == len(set(remote.pdu_ids()))
    for r in transactions(remote):
        assert r.is_authentic and r.origin == r.body["origin"] == ministry.name
        assert abs(r.body["origin_server_ts"] / 1000 - time.time()) < 60
    assert all(remote.check_event(p, "12") for p in remote.pdus)


def test_each_room_version_is_sent_as_it_is_stored(ministry, remote):
    alice = ministry.user("alice")
    for version in "1", "3", "6", "11":
        room, _ = enter(remote, ministry, alice, version=version)
        body = alice.send(room, f"in version {version}")
        eventually(lambda: any(
            p["content"].get("body") == f"in version {version}" and
            (p.get("event_id") == body if version == "1" else "event_id" not in p) and
            remote.check_event(p, version) for p in remote.pdus))


def test_fifty_events_are_the_most(ministry, remote):
    alice = ministry.user("alice")
    room, _ = enter(remote, ministry, alice)
    gate = Gate(remote)
    sent = [alice.send(room, "the first")]
    assert gate.came.wait(10)
    sent += [alice.send(room, f"message {i}") for i in range(120)]
    gate.open.set()
    wait_for_event(remote, sent[-1])
    assert [i for i in got(remote) if i in sent] == sent
    sizes = [len(ids) for ids in map(event_ids, transactions(remote)) if set(ids) & set(sent)]
    assert sizes == [1, 50, 50, 20]


def test_large_events_are_spread(ministry, remote):
    alice = ministry.user("alice")
    room, _ = enter(remote, ministry, alice)
    gate = Gate(remote)
    sent = [alice.send(room, "the first")]
    assert gate.came.wait(10)
    sent += [alice.send(room, str(i) + "x" * 60000) for i in range(40)]
    gate.open.set()
    wait_for_event(remote, sent[-1])
    assert [i for i in got(remote) if i in sent] == sent
    assert max(len(r.raw) for r in transactions(remote)) < 1.2 * 2**20


def test_a_failed_transaction_is_repeated_with_the_same_id(ministries, remote):
    a = ministries(**QUICK)
    alice = a.user("alice")
    room, _ = enter(remote, a, alice)
    failing = Failing(remote, times=3)
    sent = [alice.send(room, f"message {i}") for i in range(5)]
    wait_for_event(remote, sent[-1])
    assert got(remote) and [i for i in got(remote) if i in sent] == sent
    tries = [r for r in transactions(remote) if sent[0] in event_ids(r)]
    assert len(tries) == 4 and len(failing.refused) == 3
    assert len({r.path for r in tries}) == 1
    assert len({tuple(event_ids(r)) for r in tries}) == 1
    assert [r.time for r in tries] == sorted(r.time for r in tries)
    assert tries[1].time - tries[0].time >= 0.04  # the first back-off
    assert metric(a, "concorde_federation_transactions_failed_total") == 3
    assert metric(a, 'concorde_federation_destinations{state="idle"}') == 1
    assert remote.name not in str(metrics(a))


def test_a_refused_event_is_not_sent_again(ministry, remote):
    alice = ministry.user("alice")
    room, _ = enter(remote, ministry, alice)
    remote.on("PUT", SEND, lambda r: (200, {"pdus": {
        i: {"error": "not this one"} for i in event_ids(r)}}))
    refused = alice.send(room, "one")
    eventually(lambda: refused in [i for r in transactions(remote) for i in event_ids(r)])
    after = alice.send(room, "two")
    eventually(lambda: after in [i for r in transactions(remote) for i in event_ids(r)])
    assert [i for r in transactions(remote) for i in event_ids(r)].count(refused) == 1


def test_a_server_that_contacts_us_is_sent_to_at_once(ministries, remote):
    a = ministries(federation__destination_min_retry_interval="1s",
                   federation__destination_max_retry_interval="1h")
    alice = a.user("alice")
    room, _ = enter(remote, a, alice)
    wait_for_event(remote, alice.send(room, "all is well"))
    failing = Failing(remote, times=1000, status=502)
    waiting = alice.send(room, "no server listens")
    eventually(lambda: len(failing.refused) >= 4, 30)  # the next try is 4 to 8 seconds away
    failing.left = 0
    contact = time.time()
    remote.get(a.name, f"{FED}/v1/query/profile?user_id={q(alice.user_id)}")
    wait_for_event(remote, waiting)
    tries = [r.time for r in transactions(remote) if waiting in event_ids(r)]
    assert tries[-1] - contact < 2.5


def test_the_operator_sees_and_retries(ministries, remote):
    a = ministries(federation__destination_min_retry_interval="1h",
                   federation__destination_max_retry_interval="2h")
    alice = a.user("alice")
    room, _ = enter(remote, a, alice)
    wait_for_event(remote, alice.send(room, "all is well"))
    status = lambda *names: a.cli("federation", "status", *names)
    up = eventually(lambda: [line for line in status().stdout.splitlines()
                             if line.startswith(remote.name) and "up to date" in line])
    assert len(up) == 1
    failing = Failing(remote, times=1, status=403)
    waiting = alice.send(room, "no server listens")
    row = eventually(lambda: [line for line in status(remote.name).stdout.splitlines()
                              if "backing off" in line])[0]
    assert "answered 403 M_UNKNOWN" in row and " 1 " in row and "min" in row
    assert len(failing.refused) == 1
    r = a.cli("federation", "retry", remote.name)
    assert r.returncode == 0 and remote.name in r.stdout
    wait_for_event(remote, waiting)
    failing.left = 1
    waiting = alice.send(room, "again")
    eventually(lambda: "backing off" in status(remote.name).stdout)
    assert a.cli("federation", "reset", remote.name).returncode == 0
    wait_for_event(remote, waiting)
    eventually(lambda: "up to date" in status(remote.name).stdout)
    unknown = a.cli("federation", "retry", "unknown.example")
    assert unknown.returncode == 1 and "unknown.example" in unknown.stderr
    assert status("unknown.example").returncode == 1


def test_a_slow_server_delays_no_other(ministry, remotes):
    alice = ministry.user("alice")
    slow, quick = remotes(), remotes()
    room, _ = enter(slow, ministry, alice)
    enter(quick, ministry, alice, room=room)
    gate = Gate(slow)
    alice.send(room, "to both")
    assert gate.came.wait(10)
    began = time.time()
    sent = [alice.send(room, f"message {i}") for i in range(20)]
    wait_for_event(quick, sent[-1], 5)
    assert time.time() - began < 5 and sent[-1] not in got(slow)
    gate.open.set()
    wait_for_event(slow, sent[-1])


def test_nothing_is_lost_when_we_are_killed(ministries, remote):
    a = ministries(**QUICK)
    alice = a.user("alice")
    room, _ = enter(remote, a, alice)
    early = [alice.send(room, f"early {i}") for i in range(20)]
    wait_for_event(remote, early[-1])
    a.advance(10)
    saved = f"SELECT sent_position = (SELECT position FROM log_head) FROM destinations WHERE server = '{remote.name}'"
    eventually(lambda: psql(uri_of(a), saved) == "t")
    stop, sent = threading.Event(), []

    def talk():
        while not stop.is_set():
            try:
                sent.append(alice.send(room, f"message {len(sent)}"))
            except Exception:  # the server was killed
                return

    for _ in range(2):
        stop.clear()
        talker = threading.Thread(target=talk)
        talker.start()
        more = len(sent) + 30
        eventually(lambda: len(sent) >= more)
        a.kill()
        stop.set()
        talker.join()
        a.start()
    last = alice.send(room, "the last")
    wait_for_event(remote, last)
    order = got(remote)
    assert [i for i in order if i in sent] == sent
    again = [i for r in transactions(remote) for i in event_ids(r)]
    assert all(again.count(i) == 1 for i in early)


def test_events_pending_at_a_restart_are_sent(ministries, remote):
    a = ministries(**QUICK)
    alice = a.user("alice")
    room, _ = enter(remote, a, alice)
    wait_for_event(remote, alice.send(room, "all is well"))
    remote.link.cut()
    sent = [alice.send(room, f"message {i}") for i in range(70)]
    before = remote.link.connections
    a.restart()
    eventually(lambda: remote.link.connections > before)
    remote.link.heal()
    wait_for_event(remote, sent[-1])
    assert [i for i in got(remote) if i in sent] == sent


def test_changes_made_by_commands_are_sent_too(ministries, remote):
    """Another process wrote them: the server is only notified of the commit."""
    a = ministries(**QUICK)
    alice, bob = a.user("alice"), a.user("bob")
    room, _ = enter(remote, a, alice)
    bob.join(room)
    wait_for_event(remote, alice.send(room, "all is well"))
    r = a.cli("user", "deactivate", bob.user_id)
    assert r.returncode == 0, r.stderr
    eventually(lambda: any(p.get("state_key") == bob.user_id and
                           p["content"]["membership"] == "leave" for p in remote.pdus))
    after = alice.send(room, "and on")
    wait_for_event(remote, after)
    assert len(remote.pdu_ids()) == len(set(remote.pdu_ids()))


def test_a_command_reaches_servers_without_earlier_contact(ministries, remotes):
    a = ministries(**QUICK)
    alice, bob = a.user("alice"), a.user("bob")
    rooms = [alice.create_room(preset="public_chat") for _ in range(2)]
    for room in rooms:
        bob.join(room)
    one, other = remotes(), remotes()
    for remote, room in zip((one, other), rooms):
        enter(remote, a, alice, room=room)
    assert a.cli("user", "deactivate", bob.user_id).returncode == 0
    for remote in one, other:
        eventually(lambda: any(p.get("state_key") == bob.user_id and
                               p["content"]["membership"] == "leave" for p in remote.pdus))


def test_messages_to_devices_are_never_dropped(ministries, remote):
    a = ministries(**QUICK)
    alice = a.user("alice")
    room, carol = enter(remote, a, alice)
    wait_for_event(remote, alice.send(room, "all is well"))
    remote.link.cut()
    for i in range(130):
        alice.put(f"/sendToDevice/m.test/{i}", {"messages": {carol: {"*": {"number": i}}}})
    for i in range(520):  # more than are kept in memory
        alice.send(room, f"message {i}")
    a.kill()
    a.start()
    remote.link.heal()
    messages = lambda: list({
        c["message_id"]: c["messages"][carol]["*"]["number"]
        for c in remote.edus_of("m.direct_to_device")}.values())
    eventually(lambda: messages() == list(range(130)))
    assert max(len(r.body["edus"]) for r in transactions(remote)) <= 100
    alice.put("/sendToDevice/m.test/last", {"messages": {carol: {"*": {"number": 130}}}})
    eventually(lambda: messages() == list(range(131)))


def test_after_long_only_the_newest_of_each_room(ministries, remote):
    a = ministries(**QUICK)
    alice = a.user("alice")
    loud, _ = enter(remote, a, alice)
    quiet, _ = enter(remote, a, alice)
    wait_for_event(remote, alice.send(quiet, "all is well"))
    remote.link.cut()
    in_quiet = [alice.send(quiet, f"quiet {i}") for i in range(3)]
    in_loud = [alice.send(loud, f"loud {i}") for i in range(520)]
    remote.link.heal()
    wait_for_event(remote, in_loud[-1])
    came = [i for i in got(remote) if i in in_loud or i in in_quiet]
    assert in_quiet[-1] in came and len(came) < 60  # events of earlier attempts may arrive as well
    after = alice.send(loud, "and on")
    wait_for_event(remote, after)
    assert got(remote)[-1] == after


def test_a_server_hears_nothing_of_before_it_came_or_after_it_left(ministry, remote):
    alice, room = ministry.user("alice"), None
    room = alice.create_room(preset="public_chat")
    before = alice.send(room, "before")
    _, carol = enter(remote, ministry, alice, room=room)
    during = alice.send(room, "during")
    wait_for_event(remote, during)
    remote.leave(ministry.name, room, carol)
    after = alice.send(room, "after")
    other, _ = enter(remote, ministry, alice)
    wait_for_event(remote, alice.send(other, "elsewhere"))
    assert before not in got(remote) and after not in got(remote)


def test_a_kick_and_a_ban_reach_a_server_that_they_remove(ministry, remote):
    alice = ministry.user("alice")
    room, carol = enter(remote, ministry, alice)
    alice.kick(room, carol)
    eventually(lambda: any(p.get("state_key") == carol and p["content"]["membership"] == "leave"
                           for p in remote.pdus))
    enter(remote, ministry, alice, room=room)
    alice.ban(room, carol)
    eventually(lambda: any(p.get("state_key") == carol and p["content"]["membership"] == "ban"
                           for p in remote.pdus))
    alice.unban(room, carol)
    eventually(lambda: [p["content"]["membership"] for p in remote.pdus
                        if p.get("state_key") == carol][-2:] == ["ban", "leave"])


def test_an_invite_that_is_taken_back_is_taken_back_there(ministry, remote):
    alice, dave = ministry.user("alice"), remote.user("dave")
    room = alice.create_room()
    alice.invite(room, dave)
    assert remote.invites
    alice.kick(room, dave)
    eventually(lambda: any(p.get("state_key") == dave and p["content"]["membership"] == "leave"
                           for p in remote.pdus))


def test_a_server_that_the_acl_denies_is_sent_no_more(ministry, remotes):
    alice = ministry.user("alice")
    denied, allowed = remotes(), remotes()
    room, _ = enter(denied, ministry, alice)
    enter(allowed, ministry, alice, room=room)
    other, _ = enter(denied, ministry, alice)
    # ACLs ignore ports: only a separate name can be denied alone
    acl = alice.send_state(room, "m.room.server_acl", {"allow": ["*"], "deny": ["localhost"]})
    secret = alice.send(room, "not for them")
    wait_for_event(denied, acl)
    wait_for_event(denied, alice.send(other, "elsewhere"))
    assert secret not in got(denied) and secret not in got(allowed)
    open_again = alice.send_state(room, "m.room.server_acl", {"allow": ["*"]})
    wait_for_event(denied, open_again)
    wait_for_event(allowed, open_again)


def test_the_joining_server_is_not_sent_its_own_join(ministry, remotes):
    alice = ministry.user("alice")
    one, other = remotes(), remotes()
    room, _ = enter(one, ministry, alice)
    _, erin = enter(other, ministry, alice, local="erin", room=room)
    eventually(lambda: any(p.get("state_key") == erin for p in one.pdus))
    wait_for_event(other, alice.send(room, "hello"))
    assert not any(p.get("state_key") == erin for p in other.pdus)
    assert not any(p["sender"].endswith(other.name) for p in other.pdus)

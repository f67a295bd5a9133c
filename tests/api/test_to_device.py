"""Send-to-Device messaging."""

import threading
import time

import pytest

from client import Client, q, transactions
from restoring import psql, uri_of


def send(client, messages, type="m.test", txn=None, status=200):
    txn = txn or f"td{next(transactions)}"
    return client.call("PUT", f"/sendToDevice/{q(type)}/{q(txn)}", {"messages": messages},
                       status=status)


def received(reply):
    return reply.get("to_device", {}).get("events", [])


def test_a_message_arrives_once(alice, bob):
    bob.next_sync()
    assert send(alice, {bob.user_id: {bob.device_id: {"n": 1, "text": "ä\n\"\\"}}}) == {}
    got = bob.sync_until(received)
    assert got == [
        {"type": "m.test", "sender": alice.user_id, "content": {"n": 1, "text": "ä\n\"\\"}}
    ]
    assert received(bob.next_sync()) == []


def test_not_acknowledged_is_sent_again(alice, bob):
    since = bob.next_sync()["next_batch"]
    send(alice, {bob.user_id: {bob.device_id: {"n": 1}}})
    first = bob.sync(since=since)
    assert len(received(first)) == 1
    assert received(bob.sync(since=since)) == received(first)
    assert received(bob.sync(since=first["next_batch"])) == []
    # Acknowledged messages are deleted, even for an older token.
    assert received(bob.sync(since=since)) == []


def test_initial_sync_has_pending_messages(alice, bob):
    send(alice, {bob.user_id: {bob.device_id: {"n": 1}}})
    assert [e["content"]["n"] for e in received(bob.sync())] == [1]


def test_only_the_named_device_gets_it(alice, bob):
    phone = bob.another_device()
    phone.next_sync()
    bob.next_sync()
    send(alice, {bob.user_id: {phone.device_id: {"n": 1}}})
    assert len(phone.sync_until(received)) == 1
    assert received(bob.next_sync()) == []


def test_star_is_every_device(alice, bob):
    devices = [bob, bob.another_device(), bob.another_device()]
    for d in devices:
        d.next_sync()
    send(alice, {bob.user_id: {"*": {"n": 1}}, alice.user_id: {"*": {"n": 2}}})
    for d in devices:
        assert [e["content"]["n"] for e in d.sync_until(received)] == [1]
    assert [e["content"]["n"] for e in received(alice.sync())] == [2]


def test_unknown_targets_are_ignored(alice, bob):
    send(alice, {bob.user_id: {"NOSUCH": {}}, "@unknown-here:test.example": {"*": {}}, "junk": {"D": {}}})
    assert received(bob.sync()) == []


def test_repeated_transaction_sends_nothing(alice, bob):
    bob.next_sync()
    for n in (1, 2):
        send(alice, {bob.user_id: {bob.device_id: {"n": n}}}, txn="same")
    assert [e["content"]["n"] for e in bob.sync_until(received)] == [1]
    assert received(bob.next_sync()) == []
    # Another type, and another device, have separate transactions.
    send(alice, {bob.user_id: {bob.device_id: {"n": 3}}}, type="m.other", txn="same")
    send(alice.another_device(), {bob.user_id: {bob.device_id: {"n": 4}}}, txn="same")
    assert [e["content"]["n"] for e in received(bob.next_sync())] == [3, 4]


def test_a_waiting_sync_is_woken(alice, bob):
    bob.next_sync()
    bob.next_sync()  # his own presence
    timer = threading.Timer(0.5, send, (alice, {bob.user_id: {bob.device_id: {"n": 1}}}))
    timer.start()
    begun = time.monotonic()
    while not received(bob.next_sync(timeout=20000)):
        pass
    assert time.monotonic() - begun < 5
    timer.join()


def test_long_queues_come_in_order_and_in_parts(alice, bob):
    bob.next_sync()
    for n in range(250):
        send(alice, {bob.user_id: {bob.device_id: {"n": n}}})
    got = []
    while True:
        part = received(bob.next_sync())
        assert len(part) <= 100
        if not part:
            break
        got += [e["content"]["n"] for e in part]
    assert got == list(range(250))


def test_waiting_messages_survive_a_restart(fresh_server, register):
    server = fresh_server()
    alice, bob = register("alice", on=server), register("bob", on=server)
    token = bob.next_sync()["next_batch"]
    send(alice, {bob.user_id: {bob.device_id: {"n": 1}}}, txn="t")
    server.restart()
    bob = Client(server, bob.user_id, bob.token, bob.device_id)
    alice = Client(server, alice.user_id, alice.token, alice.device_id)
    send(alice, {bob.user_id: {bob.device_id: {"n": 2}}}, txn="t")
    assert [e["content"]["n"] for e in received(bob.sync(since=token))] == [1]
    alice.close()
    bob.close()


@pytest.mark.parametrize("messages", [None, [], {"@bob:test.example": []}, {"@b:test.example": {"D": "x"}}])
def test_malformed_bodies_are_refused(alice, messages):
    send(alice, messages, status=400)


def test_too_large_is_refused(alice, bob):
    big = {bob.user_id: {bob.device_id: {"x": "y" * 70000}}}
    alice.fails(413, "M_TOO_LARGE", "PUT", "/sendToDevice/m.test/big", {"messages": big})
    assert received(bob.sync()) == []


def waiting(server, user=None):
    """Pending rows in the database and their bytes; with a user, those they have sent."""
    of = f"source = (SELECT id FROM users WHERE user_id = '{user.user_id}')" if user else "true"
    rows = psql(uri_of(server), "SELECT (SELECT count(*) FROM to_device WHERE " + of + "), (SELECT "
                "COALESCE(sum(octet_length(json)), 0) FROM to_device WHERE " + of + ") + (SELECT "
                "COALESCE(sum(octet_length(json)), 0) FROM to_device_contents WHERE " + of + ")")
    return tuple(int(n) for n in rows.split("|"))


def contents(client):
    """All pending messages of a client, read to the end."""
    got = []
    while part := received(client.next_sync()):
        got += [e["content"] for e in part]
    return got


def test_messages_to_many_devices_are_stored_once(fresh_server, register):
    server = fresh_server()
    alice, bob = register("alice", on=server), register("bob", on=server)
    devices = [bob] + [bob.another_device() for _ in range(9)]
    sent = {"x": "y" * 60000}
    send(alice, {bob.user_id: {"*": sent}})
    n, size = waiting(server)
    assert n == 10 and 60000 < size < 61000
    for d in devices:
        d.next_sync()
    for d in devices[:-1]:
        assert contents(d) == [] and received(d.sync()) == []
    assert waiting(server)[0] == 1 and waiting(server)[1] == size
    assert contents(devices[-1]) == []
    assert waiting(server) == (0, 0)


def test_a_large_request_is_stored_in_parts_and_once(alice, bob):
    devices = [bob] + [bob.another_device() for _ in range(39)]
    for d in devices:
        d.next_sync()
    messages = {bob.user_id: {d.device_id: {"n": i, "x": "y" * 60000} for i, d in enumerate(devices)}}
    for _ in range(2):
        send(alice, messages, txn="pieces")
    for i, d in enumerate(devices):
        assert [c["n"] for c in contents(d)] == [i]


def test_the_oldest_are_removed_over_the_limit_of_a_device(fresh_server, register):
    server = fresh_server(max_to_device_bytes_per_device="1M")
    alice, bob, carol = (register(n, on=server) for n in ("alice", "bob", "carol"))
    send(carol, {bob.user_id: {bob.device_id: {"n": "carol's"}}})
    for n in range(40):
        send(alice, {bob.user_id: {bob.device_id: {"n": n, "x": "y" * 60000}}})
    assert waiting(server)[1] <= 1.125 * 2**20
    got = [c["n"] for c in contents(bob)]
    assert got[0] == "carol's" and got[1] > 0 and got[1:] == list(range(got[1], 40))


def test_the_oldest_are_removed_over_the_limit_of_a_user(fresh_server, register):
    server = fresh_server(max_to_device_bytes_per_user="1M")
    alice, bob, carol = (register(n, on=server) for n in ("alice", "bob", "carol"))
    devices = [bob] + [bob.another_device() for _ in range(9)]
    send(carol, {bob.user_id: {"*": {"n": "carol's"}}})
    for n in range(40):
        send(alice, {bob.user_id: {devices[n % 10].device_id: {"n": n, "x": "y" * 60000}},
                     "@far:away.example": {"D": {"x": "y" * 1000}}})
    assert waiting(server, alice)[1] <= 1.125 * 2**20
    assert waiting(server, carol)[0] == 10
    got = [[c["n"] for c in contents(d)] for d in devices]
    assert all(g[0] == "carol's" and g[-1] == 30 + i for i, g in enumerate(got))
    assert sum(map(len, got)) < 50


def test_stored_bytes_are_charged(fresh_server, register):
    """A message to "*" of a user with a thousand devices is a small request that stores much."""
    server = fresh_server(rate_limits="on", rc_keys__per_second="0.001", rc_keys__burst_count="3")
    alice, bob = register("alice", on=server), register("bob", on=server)
    psql(uri_of(server), "INSERT INTO devices (\"user\", device_id, created_ts) SELECT id, 'D' || n, 0 FROM users, "
         f"generate_series(1, 1000) n WHERE user_id = '{bob.user_id}'")
    send(alice, {bob.user_id: {"*": {"n": 1}}})
    assert waiting(server)[0] == 1001
    alice.fails(429, "M_LIMIT_EXCEEDED", "PUT", "/sendToDevice/m.test/more", {"messages": {}})


def test_needs_a_token(anonymous):
    anonymous.fails(401, "M_MISSING_TOKEN", "PUT", "/sendToDevice/m.test/1", {"messages": {}})


def test_the_oldest_go_of_a_server_that_has_too_much_waiting(ministries, remotes):
    m = ministries(max_to_device_bytes_per_server="1M")
    remote, other = remotes(), remotes()
    alice = m.user("alice")
    devices = [alice] + [alice.another_device() for _ in range(3)]

    def whisper(by, n, device):
        by.send_edu(m.name, "m.direct_to_device", {
            "sender": by.user("carol"), "type": "m.test", "message_id": f"{n}",
            "messages": {alice.user_id: {device.device_id: {"n": n, "x": "y" * 60000}}}})
    whisper(other, "another's", alice)
    for n in range(40):
        whisper(remote, n, devices[n % 4])
    assert waiting(m)[1] <= 1.125 * 2**20 + 60256
    got = [[c["n"] for c in contents(d)] for d in devices]
    assert got[0].pop(0) == "another's"
    kept = sorted(sum(got, []))
    assert 0 < kept[0] and kept == list(range(kept[0], 40))

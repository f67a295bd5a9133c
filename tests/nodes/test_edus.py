"""EDUs that two nodes receive at once, as when another server repeats a transaction: each has its effect once."""

import itertools

import pytest

from client import Client, q
from federated import FederatedCluster, at_once, everywhere
from remote import Remote
from waiting import eventually

ROUNDS = 10


@pytest.fixture(scope="module")
def cluster():
    made = FederatedCluster()
    yield made.start()
    made.close()


@pytest.fixture
def remote(cluster):
    made = Remote()
    yield made
    made.close()


numbers = itertools.count()


def user(cluster):
    return everywhere(cluster, Client(cluster).register(f"alice{next(numbers)}"))


def edu(type, content):
    return {"edu_type": type, "content": content}


def both(cluster, remote, edus, txns=(None, None)):
    at_once(*[lambda i=i: cluster.transaction_at(i, remote, [], txns[i], edus) for i in range(2)])


@pytest.mark.parametrize("txns", ["same", "others"])
def test_to_device_messages_come_once(cluster, remote, txns):
    alice = user(cluster)
    carol = remote.user("carol")
    since = alice[0].sync()["next_batch"]
    sent = []
    for i in range(ROUNDS):
        sent.append(f"message {txns} {i}")
        message = edu("m.direct_to_device", {
            "sender": carol, "type": "m.test", "message_id": f"{txns}-{i}",
            "messages": {alice[0].user_id: {alice[0].device_id: {"body": sent[-1]}}}})
        name = f"d-{txns}-{i}"
        both(cluster, remote, [message], (name, name) if txns == "same" else (None, None))
    got = []
    for i in range(2 * ROUNDS):
        reply = alice[i % 2].sync(since=since)
        since = reply["next_batch"]
        new = [e["content"]["body"] for e in reply.get("to_device", {}).get("events", [])]
        got += new
    assert got == sent


def test_receipts(cluster, remote):
    alice, carol = user(cluster), remote.user("carol")
    room = remote.create_room(carol)
    alice[0].join(room.id, via=[remote.name])
    eventually(lambda: cluster.sql("SELECT count(*) FROM partial_rooms") == "0")
    for i in range(ROUNDS):
        event = alice[i % 2].send(room.id, f"message {i}")
        since = [c.sync()["next_batch"] for c in alice]
        both(cluster, remote, [edu("m.receipt", {room.id: {"m.read": {carol: {
            "event_ids": [event], "data": {"ts": 1000 + i}}}}})])
        for client, token in zip(alice, since):
            entry = client.sync(since=token)["rooms"]["join"][room.id]
            seen = [e["content"] for e in entry["ephemeral"]["events"] if e["type"] == "m.receipt"]
            assert [list(c) for c in seen] == [[event]], i


def test_device_lists(cluster, remote):
    """An update at each node, of which the later one follows the other; the list is fetched if one was missed."""
    alice, carol = user(cluster), remote.user("carol")
    room = remote.create_room(carol)
    alice[0].join(room.id, via=[remote.name])
    eventually(lambda: cluster.sql("SELECT count(*) FROM partial_rooms") == "0")

    def keys(number):
        return {"user_id": carol, "device_id": f"D{number}", "algorithms": [], "keys": {
            f"ed25519:D{number}": "A" * 43}, "signatures": {}}

    remote.devices[carol] = {"user_id": carol, "stream_id": 1, "devices": [
        {"device_id": "D1", "keys": keys(1)}]}
    alice[0].post("/keys/query", {"device_keys": {carol: []}})
    for i in range(2, ROUNDS):
        updates = [edu("m.device_list_update", {
            "user_id": carol, "device_id": f"D{10 * i + k}", "stream_id": 10 * i + k,
            "prev_id": [10 * i + k - 1 if k else 10 * (i - 1) + 1 if i > 2 else 1], "keys": keys(10 * i + k)})
            for k in range(2)]
        remote.devices[carol] = {"user_id": carol, "stream_id": 10 * i + 1, "devices": [
            *remote.devices[carol]["devices"],
            *({"device_id": f"D{10 * i + k}", "keys": keys(10 * i + k)} for k in range(2))]}
        at_once(*[lambda k=k: cluster.transaction_at(k, remote, [], None, [updates[k]]) for k in range(2)])
        wanted = {d["device_id"] for d in remote.devices[carol]["devices"]}
        for client in alice:
            eventually(lambda: set(client.post("/keys/query", {"device_keys": {carol: []}})[
                "device_keys"].get(carol, {})) == wanted)

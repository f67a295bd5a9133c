"""Two nodes of one server, and a push gateway: each notification comes, whichever node sends it or dies."""

import random

import pytest

from client import Client
from federated import FederatedCluster
from push_gateway import Gateway, pusher
from waiting import eventually


@pytest.fixture
def gateway():
    g = Gateway()
    yield g
    g.close()


@pytest.fixture
def cluster(gateway):
    made = FederatedCluster(settings={"push.rewrite": f"org.test.phone={gateway.url}"})
    yield made.start()
    made.close()


class Writer(Client):
    def on(self, node):
        self.http.base_url = node.url
        return self


def phones(cluster, n):
    """Alice, users with a phone each, and their room."""
    alice = Writer(cluster).register("alice")
    room = alice.create_room(preset="public_chat")
    keys = []
    for i in range(n):
        user = Client(cluster).register(f"user{i}")
        user.join(room)
        keys.append(pusher(user))
    return alice, room, keys


def text(body):
    return {"msgtype": "m.text", "body": body}


def test_the_nodes_share_the_phones(cluster, gateway):
    eventually(lambda: cluster.holders("pushes") == [16, 16])
    alice, room, keys = phones(cluster, 12)
    sent = [alice.on(random.choice(cluster.nodes)).send(room, text(f"message {i}")) for i in range(10)]
    for key in keys:
        gateway.wait(key, len(sent))
        assert gateway.events(key) == sent


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_sending_node_ends(cluster, gateway, end):
    eventually(lambda: cluster.holders("pushes") == [16, 16])
    alice, room, keys = phones(cluster, 12)
    first, second = cluster.nodes
    sent = [alice.on(second).send(room, text(f"before {i}")) for i in range(3)]
    for key in keys:
        gateway.wait(key, len(sent))
    gateway.answer = lambda n: (500, {}, b"{}")
    sent += [alice.on(first).send(room, text(f"message {i}")) for i in range(20)]
    getattr(first, end)()
    gateway.answer = None
    sent += [alice.on(second).send(room, text(f"later {i}")) for i in range(3)]
    for key in keys:
        eventually(lambda: set(sent) <= set(gateway.events(key)), 60)
        got = gateway.events(key)
        assert list(dict.fromkeys(got)) == sent  # in order
        if end == "stop":
            assert got == sent

"""Two nodes of one server, and another server (tests/api/remote.py): what is sent to it comes once and in order,
whichever node it is from, also when the node that sends to it dies."""

import random

import pytest

from client import Client
from cluster import Cluster
from federation import authority, federation_settings
from link import Link
from remote import FED, Remote
from sending import Gate, enter, got, wait_for_event
from waiting import eventually


class FederatedCluster(Cluster):
    """A cluster whose name other servers can reach: that of a Link in front of the balancer."""

    def __init__(self, n=2):
        self.link, self.certificate = Link(), authority().local
        super().__init__({**federation_settings(), "server_name": self.link.name}, n=n)

    def start(self):
        super().start()
        tls = next(a for a in self.addresses if a.startswith("https://"))
        self.link.target = "127.0.0.1", int(tls.rsplit(":", 1)[1])
        return self

    def sql(self, text):
        return self.postgres.sql(text, self.database)

    def holders(self, job):
        """How many leases of the job each node holds, by its number."""
        rows = self.sql(f"SELECT node, count(*) FROM leases WHERE job LIKE '{job}/%' AND node <> 0 "
                        "AND expires_at > now() GROUP BY 1 ORDER BY 1")
        return [int(line.split("|")[1]) for line in rows.splitlines()]

    def sender_to(self, name):
        """The number of the node that sends to this server."""
        return self.sql("SELECT node FROM leases WHERE job = 'fed_sender/' || get_byte(sha256("
                        f"convert_to('{name}', 'UTF8')), 0) % 32")

    def close(self):
        super().close()
        self.link.close()


@pytest.fixture
def cluster():
    made = FederatedCluster()
    yield made.start()
    made.close()


@pytest.fixture
def remotes(cluster):
    """Each node sends to some of them."""
    eventually(lambda: cluster.holders("fed_sender") == [16, 16])
    made = []
    while len({cluster.sender_to(r.name) for r in made}) < 2:
        made.append(Remote())
    yield made
    for r in made:
        r.close()


class Writer(Client):
    """A user who writes on the node that is named."""

    def on(self, node):
        self.http.base_url = node.url
        return self


def shared_room(cluster, remotes):
    alice = Writer(cluster).register("alice")
    room = alice.create_room(preset="public_chat", room_version="12")
    for r in remotes:
        enter(r, cluster, alice, room=room)
    return alice, room


def messages(remote, sent):
    """Those of `sent` that it was sent, with repetitions."""
    return [i for i in remote.pdu_ids() if i in set(sent)]


def test_each_message_once_and_in_order(cluster, remotes):
    alice, room = shared_room(cluster, remotes)
    sent = [alice.on(random.choice(cluster.nodes)).send(room, f"message {i}") for i in range(60)]
    for r in remotes:
        wait_for_event(r, sent[-1])
        assert messages(r, sent) == sent
    by = [alice.on(n).request("GET", "/metrics").text for n in cluster.nodes]
    assert all("concorde_federation_transactions_sent_total 0\n" not in text for text in by)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_the_sending_node_ends(cluster, remotes, end):
    alice, room = shared_room(cluster, remotes)
    first, second = cluster.nodes
    sent = [alice.on(first).send(room, "before")]
    for r in remotes:
        wait_for_event(r, sent[0])
    gates = [Gate(r) for r in remotes] if end == "kill" else []
    sent += [alice.on(random.choice(cluster.nodes)).send(room, f"message {i}") for i in range(30)]
    for gate in gates:
        assert gate.came.wait(10)
    getattr(first, end)()
    for gate in gates:
        gate.open.set()
    sent += [alice.on(second).send(room, f"later {i}") for i in range(30)]
    for r in remotes:
        wait_for_event(r, sent[-1], 30)
        assert [i for i in got(r) if i in sent] == sent
        if end == "stop":
            assert messages(r, sent) == sent
    assert cluster.holders("fed_sender") == [32]


def test_a_node_that_comes_back_takes_its_part(cluster, remotes):
    alice, room = shared_room(cluster, remotes)
    first, second = cluster.nodes
    sent = []
    for _ in range(2):
        first.stop()
        sent += [alice.on(second).send(room, "one is away")]
        first.start()
        eventually(lambda: cluster.holders("fed_sender") == [16, 16], 30)
        sent += [alice.on(random.choice(cluster.nodes)).send(room, f"both {i}") for i in range(10)]
    for r in remotes:
        wait_for_event(r, sent[-1])
        assert [i for i in got(r) if i in sent] == sent


@pytest.mark.parametrize("dies", [0, 1])
def test_a_leave_is_sent_by_another_node(cluster, remotes, dies):
    """The node that noted it dies, and it may have been the one that would send it."""
    alice, remote = Writer(cluster).register("alice"), remotes[0]
    carol = remote.user("carol")
    room = remote.create_room(carol, join_rule="invite")
    remote.invite(room, carol, alice.user_id)
    remote.link.cut()
    alice.on(cluster.nodes[dies]).leave(room.id)
    cluster.nodes[dies].kill()
    remote.link.heal()
    eventually(lambda: remote.seen("PUT", f"{FED}/v2/send_leave/"), 60)

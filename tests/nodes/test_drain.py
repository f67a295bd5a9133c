"""Nodes stop without a request that fails: `concorde drain`, SIGTERM, and the proxies in front."""

import concurrent.futures
import itertools
import signal
import threading

import httpx
import pytest

from client import Client, q
from faults import is_ready
from proxies import Proxy, haproxy, nginx
from test_cluster import listed
from test_read_own_writes import on
from waiting import eventually

CLIENTS = 6
SENT = 150  # messages between two steps


def leases_by_node(cluster):
    return {row["NODE"]: int(row["LEASES"]) for row in listed(cluster)}


def test_drain_hands_over_and_answers(clusters):
    cluster = clusters(n=2, presence__enabled="off")
    last, other = cluster.nodes[-1], cluster.nodes[0]
    alice = Client(last).register("alice")
    alice.create_room()
    token = alice.sync()["next_batch"]
    eventually(lambda: min(leases_by_node(cluster).values()) > 0)
    held = sum(leases_by_node(cluster).values())
    node = listed(cluster)[-1]["NODE"]  # in the order of their starts
    with concurrent.futures.ThreadPoolExecutor() as pool:
        parked = pool.submit(alice.sync, since=token, timeout=100000)
        last.wait_until_parked()
        r = cluster.cli("drain", node)  # by the database: on this host the first node's directory
        assert r.returncode == 0 and node in r.stdout, r.stderr
        assert parked.result()["next_batch"]
    assert last.process.wait(10) == 0
    assert len(listed(cluster)) == 1
    # Well before they would have expired.
    assert eventually(lambda: sum(leases_by_node(cluster).values()) == held, 5)
    assert on(other, alice).sync(since=token)["next_batch"]
    last.start()


def test_drain_of_this_data_directory(clusters):
    cluster = clusters(n=2)
    last, other = cluster.nodes[-1], cluster.nodes[0]
    r = last.cli("drain")
    assert r.returncode == 0, r.stderr
    assert last.process.wait(10) == 0 and is_ready(other)
    r = last.cli("drain")
    assert r.returncode == 1 and "No server runs in this data directory" in r.stderr
    r = last.cli("drain", "abc")
    assert r.returncode == 1 and "lists no node abc" in r.stderr
    last.start()


def test_a_node_serves_on_until_the_proxy_has_noticed(clusters):
    cluster = clusters(n=2, shutdown_delay="1h")
    last, other = cluster.nodes[-1], cluster.nodes[0]
    eventually(lambda: min(leases_by_node(cluster).values()) > 0)
    last.process.send_signal(signal.SIGTERM)
    assert eventually(lambda: not is_ready(last))
    draining = eventually(lambda: [row for row in listed(cluster) if row["STATE"] == "draining"])
    assert draining[0]["LEASES"] == "0"  # given back at once
    with httpx.Client() as http:
        r = http.get(f"{last.url}/_matrix/client/versions")
        assert r.status_code == 200 and r.headers["Connection"] == "close"
    alice = Client(last).register("alice")
    assert alice.send(alice.create_room(), "still there")
    last.process.send_signal(signal.SIGTERM)  # again: no longer
    assert last.process.wait(20) == 0
    assert is_ready(other)
    other.process.send_signal(signal.SIGTERM)  # the last one does not wait
    assert other.process.wait(20) == 0
    for node in cluster.nodes:
        node.stop()
        node.start()
        node.cluster.settings["shutdown_delay"] = "0s"


class Senders:
    """Write without repeating anything, each request on a new connection or a used one, as the client has it."""

    def __init__(self, proxy, room, clients):
        self.proxy, self.room, self.failed, self.sent = proxy, room, [], itertools.count()
        self.clients, self.over, self.done = clients, threading.Event(), 0
        self.threads = [threading.Thread(target=self.run, args=(c,)) for c in clients]

    def run(self, client):
        for n in itertools.count():
            if self.over.is_set():
                return
            method, path, body = ("POST", f"/rooms/{q(self.room)}/receipt/m.read/{q(self.event)}", {}) if n % 4 == 3 else (
                "PUT", f"/rooms/{q(self.room)}/send/m.room.message/{n}", {"msgtype": "m.text", "body": f"{n}"})
            try:
                r = client.request(method, path, body)
                if r.status_code != 200:
                    self.failed.append((method, r.status_code, r.text[:200]))
            except httpx.HTTPError as e:
                self.failed.append((method, repr(e)))
            self.done = next(self.sent) + 1

    def __enter__(self):
        self.event = self.clients[0].send(self.room, "the first one")
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def wait_for_more(self, n=SENT):
        before = self.done
        eventually(lambda: self.done >= before + n, 60)


@pytest.mark.parametrize("make", [nginx, haproxy], ids=["nginx", "haproxy"])
def test_a_rolling_restart_behind_the_proxies_of_deploy(clusters, make):
    cluster = clusters(n=3, shutdown_delay="5s")  # as it is unless set
    proxy = Proxy(make, [node.port for node in cluster.nodes])
    try:
        clients = []
        for i in range(CLIENTS):
            user = Client(cluster).register(f"writer{i}")
            user.http = httpx.Client(base_url=proxy.url, timeout=90, verify=proxy.tls)
            clients.append(user)
        room = clients[0].create_room(preset="public_chat")
        for user in clients[1:]:
            user.join(room)
        with Senders(proxy, room, clients) as senders:
            for node in cluster.nodes:
                senders.wait_for_more()
                node.process.send_signal(signal.SIGTERM)
                assert node.process.wait(60) == 0
                senders.wait_for_more()
                node.stop()
                node.start()
                node.wait_until_ready()
                if make is haproxy:  # two checks until it is used again
                    senders.wait_for_more()
        assert not senders.failed, senders.failed[:10]
    finally:
        proxy.close()
        cluster.settings["shutdown_delay"] = "0s"

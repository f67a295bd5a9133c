"""The proxies of deploy/ in front of several nodes: which nodes get requests, and what happens when one ends."""

import concurrent.futures

import pytest

import plain
from client import Client, timeline
from cluster import Cluster
from fronts import Haproxy, Nginx
from server import metric
from waiting import eventually

PARKED = 9


def are_used(cluster):
    """HAProxy looks for nodes that have become ready every 2 s."""
    plain.get(f"{cluster.url}/_matrix/client/versions")
    return all("/_matrix/client/versions" in node.log_text() for node in cluster.nodes)


@pytest.fixture(params=[Nginx, Haproxy], ids=["nginx", "haproxy"])
def cluster(request):
    class Fronted(Cluster):
        def _make_balancer(self):
            return request.param([node.port for node in self.nodes])

    made = Fronted({"presence.enabled": "off"}, n=3)
    try:
        made.start()
        eventually(lambda: are_used(made))
        yield made
    finally:
        made.close()


def test_another_node_answers(cluster):
    alice = Client(cluster).register("alice")
    room, node = alice.create_room(), cluster.nodes[-1]
    for how in "stop", "kill":
        getattr(node, how)()
        for n in range(20):
            assert alice.send(room, f"{how} {n}")
        node.start()
        node.wait_until_ready()


def test_clients_wait_on_all_nodes(cluster):
    alice, *others = [Client(cluster).register(f"user{i}") for i in range(PARKED)]
    room = alice.create_room(preset="public_chat")
    for one in others:
        one.join(room)
    positions = [one.sync()["next_batch"] for one in others]
    with concurrent.futures.ThreadPoolExecutor(PARKED) as pool:
        parked = [pool.submit(one.sync, since=since, timeout=60000) for one, since in zip(others, positions)]
        eventually(lambda: all(metric(node, "concorde_http_requests_parked") for node in cluster.nodes))
        event = alice.send(room, "for all that wait")
        for one in parked:
            assert event in [e["event_id"] for e in timeline(one.result(), room)]


def test_internal_paths(cluster):
    for path in "/metrics", "/ready", "/health", "/_synapse/admin/v1/server_version":
        assert plain.get(cluster.url + path).status_code == 404, path
    assert plain.get(f"{cluster.url}/_matrix/client/versions").status_code == 200

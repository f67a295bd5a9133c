"""The tools of these tests: a cluster, and what can happen to a node of it."""

import concurrent.futures
import re

import httpx
import pytest
import yaml

import plain
from client import Client
from faults import is_ready
from server import ROOT, metric
from waiting import eventually


@pytest.fixture
def cluster(clusters):
    return clusters(database_statement_timeout="1s")


def test_nodes_share_key_media_and_accounts(cluster):
    alice = Client(cluster).register("alice")
    r = alice.http.post(f"{cluster.url}/_matrix/media/v3/upload", content=b"of all nodes",
                        headers={"Authorization": f"Bearer {alice.token}"})
    media, keys = r.json()["content_uri"].removeprefix("mxc://"), set()
    for node in cluster.nodes:
        r = plain.get(f"{node.url}/_matrix/client/v1/media/download/{media}",
                      headers={"Authorization": f"Bearer {alice.token}"})
        assert r.status_code == 200 and r.content == b"of all nodes"
        keys |= set(plain.get(f"{node.url}/_matrix/key/v2/server").json()["verify_keys"])
    assert len(keys) == 1


def test_requests_go_to_all_nodes(cluster):
    addresses = {f"127.0.0.1:{node.port}" for node in cluster.nodes}
    found = {plain.get(f"{cluster.url}/health").headers["x-nodes"] for _ in range(20 * len(addresses))}
    assert found == addresses


@pytest.mark.parametrize("how", ["cut", "mute", "postgres"])
def test_a_node_without_its_database(cluster, how):
    alice = Client(cluster).register("alice")
    room, node = alice.create_room(), cluster.nodes[-1]
    if how == "postgres":
        cluster.restart_postgres()
    else:
        getattr(node, how)()
        eventually(lambda: not is_ready(node))
        assert all(is_ready(other) for other in cluster.nodes[:-1])
        node.mend()
    for one in cluster.nodes:
        one.wait_until_ready()
    # The committer may connect a little later than the connections that /ready uses.
    assert eventually(lambda: alice.event(room, alice.send(room, "after it")))


def test_a_paused_node(cluster):
    node = cluster.nodes[-1]
    node.pause()
    with pytest.raises(httpx.ReadTimeout):
        plain.get(f"{node.url}/health", timeout=0.2)
    assert all(is_ready(other) for other in cluster.nodes[:-1])
    node.mend()
    node.wait_until_ready()


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_node_that_comes_back(cluster, how):
    alice = Client(cluster).register("alice")
    room, node = alice.create_room(), cluster.nodes[-1]
    getattr(node, how)()
    for other in cluster.nodes[:-1]:
        assert plain.get(f"{other.url}/ready").status_code == 200
    node.start()
    node.wait_until_ready()
    assert alice.event(room, alice.send(room, "after it"))


def listed(cluster):
    """What `concorde nodes` prints, by column."""
    head, *rows = cluster.cli("nodes").stdout.splitlines()
    starts = [m.start() for m in re.finditer(r"\S+(?: FOR| AGO)?", head)]
    return [{head[a:b].strip(): row[a:b].strip() for a, b in zip(starts, [*starts[1:], None])} for row in rows]


def test_the_list_of_nodes(clusters):
    cluster = clusters(presence__enabled="off")
    alice = Client(cluster).register("alice")
    room, node = alice.create_room(), cluster.nodes[0]
    alice.send(room, "hello")
    position = alice.sync()["next_batch"]
    one = Client(node)
    one.token = alice.token
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(one.sync, since=position, timeout=100000)
        rows = eventually(lambda: [r for r in listed(cluster) if r["PARKED"] == "1"] and listed(cluster))
        assert len(rows) == len(cluster.nodes) == len({r["NODE"] for r in rows})
        eventually(lambda: sum(int(r["LEASES"]) for r in listed(cluster)) > 0)
        assert all(r["BEHIND"] == "0" for r in rows)
        alice.send(room, "for the one that waits")
        waiting.result()
    node.kill()
    eventually(lambda: len(listed(cluster)) == len(cluster.nodes) - 1, 30)


def test_alerts_are_about_metrics_that_there_are(cluster):
    text = plain.get(f"{cluster.nodes[0].url}/metrics").text
    alerts = yaml.safe_load((ROOT / "deploy" / "prometheus-alerts.yml").read_text())
    names = {n for g in alerts["groups"] for r in g["rules"] for n in re.findall(r"\bconcorde_\w+", r["expr"])}
    assert len(names) == 3 and all(re.search(rf"^{n} \d", text, re.M) for n in names)


def test_metrics_of_nodes(cluster):
    for node in cluster.nodes:
        assert eventually(lambda: metric(node, "concorde_node_lag_positions") == 0)
        assert eventually(lambda: metric(node, "concorde_node_beat_age_seconds") < 8)
    last = cluster.nodes[-1]
    last.cut()
    assert eventually(lambda: metric(last, "concorde_node_beat_age_seconds") > 3)
    last.mend()
    assert eventually(lambda: metric(last, "concorde_node_beat_age_seconds") < 3)

"""Large reads go to a streaming standby (database_replica), and are never older than what was answered before."""

import contextlib
import re
import signal

import pytest

import plain
from client import Client, timeline
from cluster import Cluster
from pair import Pair
from server import metric
from test_read_own_writes import on
from waiting import eventually

MANY = 40  # messages
READS = "concorde_replica_reads_total"


class WithReplica(Cluster):
    @property
    def database_replica(self):
        pair = self.postgres
        return (f"host=127.0.0.1 port={pair.standby_port} user=concorde dbname={self.database} sslmode=disable "
                "connect_timeout=2")


@pytest.fixture
def replicated():
    """Two nodes of a primary with a standby."""
    with contextlib.ExitStack() as stack:
        pair = Pair()
        stack.callback(pair.close)
        cluster = WithReplica({"presence.enabled": "off"}, n=2, postgres=pair)
        stack.callback(cluster.close)
        cluster.settings["database_replica"] = cluster.database_replica
        cluster.start()  # without it
        pair.add_standby(is_synchronous=False)
        yield cluster, pair


def fallbacks(cluster, reason):
    texts = [plain.get(node.url + "/metrics").text for node in cluster.nodes]
    return sum(int(n) for text in texts for n in re.findall(
        rf'^concorde_replica_fallbacks_total{{reason="{reason}"}} (\d+)$', text, re.M))


def bodies(events):
    return [e["content"].get("body") for e in events if e["type"] == "m.room.message"]


def written(cluster):
    alice = Client(cluster.nodes[0]).register("alice")
    room = alice.create_room(preset="public_chat", name="of all words")
    for i in range(MANY):
        alice.send(room, f"message {i}")
    return alice, room


def read_all(alice, room, newest):
    """Each kind of read answers with the newest message."""
    page = alice.messages(room, limit=MANY * 2)
    assert bodies(page["chunk"])[0] == newest
    assert newest in bodies(timeline(alice.sync(full_state="true"), room))
    assert newest in bodies(timeline(alice.sync(), room))


def find(alice, words):
    return alice.post("/search", {"search_categories": {"room_events": {
        "search_term": words, "keys": ["content.body"]}}})["search_categories"]["room_events"]["count"]


def test_reads_arrive_at_the_replica(replicated):
    cluster, pair = replicated
    alice, room = written(cluster)

    def commits():
        """Of transactions at the standby, in this database."""
        return int(pair.standby_sql(
            f"SELECT xact_commit FROM pg_stat_database WHERE datname = '{cluster.database}'"))

    for node in cluster.nodes:
        one = on(node, alice)
        eventually(lambda: one.messages(room, limit=MANY) and metric(node, READS) > 0)
    before, reads = commits(), metric(cluster, READS)
    for i in range(MANY):
        here, there = on(cluster.nodes[i % 2], alice), on(cluster.nodes[1 - i % 2], alice)
        here.send(room, f"again {i}")
        read_all(there, room, f"again {i}")
    assert find(alice, "again") == MANY
    assert alice.post("/user_directory/search", {"search_term": "alice"})["results"] is not None
    assert metric(cluster, READS) >= reads + MANY
    eventually(lambda: commits() >= before + MANY)


def test_a_replica_that_stands_still_answers_nothing_old(replicated):
    cluster, pair = replicated
    alice, room = written(cluster)
    eventually(lambda: alice.messages(room, limit=MANY) and metric(cluster, READS) > 0)
    pair.standby_sql("SELECT pg_wal_replay_pause()")
    eventually(lambda: pair.standby_sql("SELECT pg_get_wal_replay_pause_state()") == "paused")
    secret = alice.send(room, "to be redacted")
    alice.redact(room, secret)
    for i in range(5):
        alice.send(room, f"while it stands {i}")
        read_all(on(cluster.nodes[i % 2], alice), room, f"while it stands {i}")
    assert all(e["content"] == {} for e in alice.messages(room, limit=MANY)["chunk"] if e["event_id"] == secret)
    assert fallbacks(cluster, "behind") > 0
    reads = metric(cluster, READS)
    pair.standby_sql("SELECT pg_wal_replay_resume()")
    eventually(lambda: alice.messages(room, limit=MANY) and metric(cluster, READS) > reads)


@pytest.mark.parametrize("how", ["stop", "pause"])
def test_a_replica_that_has_gone(replicated, how):
    cluster, pair = replicated
    alice, room = written(cluster)
    eventually(lambda: alice.messages(room, limit=MANY) and metric(cluster, READS) > 0)
    if how == "stop":
        pair.stop_standby()
    else:
        pair.signal_standby(signal.SIGSTOP)
    for i in range(10):
        alice.send(room, f"without it {i}")
        read_all(on(cluster.nodes[i % 2], alice), room, f"without it {i}")
    assert fallbacks(cluster, "away") + fallbacks(cluster, "failed") > 0
    reads = metric(cluster, READS)
    if how == "stop":
        pair.start_standby()
    else:
        pair.signal_standby(signal.SIGCONT)
    eventually(lambda: alice.messages(room, limit=MANY) and metric(cluster, READS) > reads, 40)


def test_the_replica_is_no_other_database(replicated):
    """The primary itself, or a server that was promoted, is no standby."""
    cluster, pair = replicated
    alice, room = written(cluster)
    for node in cluster.nodes:
        node.stop()
    cluster.settings["database_replica"] = pair.uri(cluster.database, "concorde")
    for node in cluster.nodes:
        node.start()
    read_all(on(cluster.nodes[0], alice), room, f"message {MANY - 1}")
    assert metric(cluster, READS) == 0
    again = on(cluster.nodes[0], alice)
    eventually(lambda: again.messages(room, limit=MANY) and fallbacks(cluster, "behind") > 0)
    assert metric(cluster, READS) == 0

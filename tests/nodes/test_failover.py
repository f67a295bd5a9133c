"""PostgreSQL fails over to its standby, while clients write and read. `database` names both."""

import asyncio
import contextlib
import time

import pytest

import plain
from client import Client
from cluster import Cluster
from faults import Faults
from pair import Pair
from test_chaos import run
from waiting import eventually
from workload import Load

CLIENTS = 6
MESSAGES = 50  # acknowledged before and after


@pytest.fixture
def pairs():
    """pairs(is_synchronous) makes two nodes on a Pair."""
    with contextlib.ExitStack() as stack:

        def start(is_synchronous):
            pair = Pair(is_synchronous)
            stack.callback(pair.close)
            cluster = Cluster({"database_statement_timeout": "2s"}, n=2, postgres=pair)
            stack.callback(cluster.close)
            return cluster.start(), pair

        yield start


class Failover(Faults):
    async def __call__(self, load):
        self.load, pair = load, self.cluster.postgres
        await self.wait_for_more(MESSAGES)
        self.note("the primary is killed")
        await asyncio.to_thread(pair.kill_primary)
        await asyncio.to_thread(pair.promote)
        self.note("the standby is promoted")
        promoted = time.monotonic()
        await self.wait_for_more(1)
        print(f"the first write {time.monotonic() - promoted:.2f} s after the promotion")
        await self.wait_for_more(MESSAGES)
        await self.until(self.all_are_ready, "a node is not ready")


def test_a_synchronous_standby_loses_nothing(pairs):
    cluster, _ = pairs(is_synchronous=True)
    before = [node.process.pid for node in cluster.nodes]
    run(cluster, Failover(cluster, 0, 0, []), Load(cluster, CLIENTS, CLIENTS))
    assert [node.process.pid for node in cluster.nodes if node.process.poll() is None] == before


def test_servers_stop_when_transactions_were_lost(pairs):
    cluster, pair = pairs(is_synchronous=False)
    alice = Client(cluster).register("alice")
    room = alice.create_room()
    kept = alice.send(room, "kept")
    position = pair.sql("SELECT pg_current_wal_lsn()")
    eventually(lambda: pair.sql(f"SELECT replay_lsn >= '{position}' FROM pg_stat_replication") == "t")
    pair.stop_standby()
    lost = [alice.send(room, "lost") for _ in range(20)]
    since = alice.sync()["next_batch"]
    pair.kill_primary()
    pair.start_standby()
    pair.promote()
    for node in cluster.nodes:
        with contextlib.suppress(Exception):  # one of them may have begun to stop
            plain.get(f"{node.url}/ready", timeout=5)
        node.process.wait(60)
        assert "the database has lost transactions" in node.log_text()
        assert node.stop() == 1
        node.start()
        node.wait_until_ready()
    alice = Client(cluster, alice.user_id, alice.token, alice.device_id)
    reply = alice.sync(since=since)["rooms"]["join"][room]
    found = [e["event_id"] for e in reply["timeline"]["events"]]
    assert kept in found and not set(lost) & set(found)
    assert any(e["type"] == "m.room.create" for e in reply["timeline"]["events"] + reply["state"]["events"])
    assert alice.event(room, alice.send(room, "after it"))

"""The deployment of deploy/: nodes behind nginx, on three PostgreSQL of which Patroni makes one the primary."""

import asyncio
import contextlib
import time

import pytest

from cluster import Cluster
from faults import Faults
from fronts import Nginx
from machines import PATIENCE, Patroni
from test_chaos import run
from waiting import eventually
from workload import Load

CLIENTS = 12
MESSAGES = 100  # acknowledged before, after, and again
GOES_ON = 60  # seconds after the promotion; 10 where the machine does nothing else


class Deployment(Cluster):
    def _make_balancer(self):
        return Nginx([node.port for node in self.nodes])


@pytest.fixture
def deployments():
    with contextlib.ExitStack() as stack:

        def start(by_haproxy):
            patroni = Patroni(by_haproxy)
            stack.callback(patroni.close)
            cluster = Deployment({"log_level": "info"}, n=3, postgres=patroni)
            stack.callback(cluster.close)
            return cluster.start(), patroni

        yield start


class PrimaryDies(Faults):
    async def __call__(self, load):
        self.load, patroni = load, self.cluster.postgres
        await self.wait_for_more(MESSAGES)
        old = patroni.primary()
        self.note(f"the primary {old.name} is killed")
        killed = time.monotonic()
        await asyncio.to_thread(old.kill)
        new = await asyncio.to_thread(eventually, patroni.primary, PATIENCE, patroni.log_tail)
        promoted = time.monotonic()
        self.note(f"{new.name} is the primary")
        await self.wait_for_more(1)
        first = time.monotonic() - promoted
        await self.until(self.all_are_ready, "a node is not ready")
        ready = time.monotonic() - promoted
        print(f"promotion {promoted - killed:.1f} s after the kill; then the first write after {first:.2f} s, all nodes "
              f"ready after {ready:.2f} s")
        assert new is not old and max(first, ready) < GOES_ON
        await self.wait_for_more(MESSAGES)
        old.start_patroni()
        await asyncio.to_thread(eventually, lambda: old.says("/replica"), PATIENCE, patroni.log_tail)
        self.note(f"{old.name} is a standby")
        await self.wait_for_more(MESSAGES)


@pytest.mark.parametrize("by_haproxy", [False, True], ids=["several_hosts", "haproxy"])
def test_the_primary_dies(deployments, by_haproxy):
    cluster, patroni = deployments(by_haproxy)
    before = [node.process.pid for node in cluster.nodes]
    run(cluster, PrimaryDies(cluster, 0, 0, []), Load(cluster, CLIENTS, CLIENTS))
    assert [node.process.pid for node in cluster.nodes if node.process.poll() is None] == before
    eventually(patroni.has_standby, PATIENCE, patroni.log_tail)

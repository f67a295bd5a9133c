"""What happens to a cluster while clients use it: chosen at random, for some of the nodes at once. At least one node
stays healthy; a cluster of one node is only restarted."""

import asyncio
import random
import signal
import time

import httpx

import plain

HELD = 5, 150  # how many messages are acknowledged while a fault lasts
OF_POSTGRES = "postgres", "failover"  # one of them at a time
PAUSE = 0.05  # between two looks, seconds
PATIENCE = 120  # for messages to be acknowledged beside a fault, and for a node to be ready after it


class Stuck(Exception):
    """The cluster does not go on by itself."""


class Faults:
    """Until `seconds` are over. kinds: names of methods of this class."""

    def __init__(self, cluster, seconds, seed, kinds):
        self.cluster, self.seconds, self.random = cluster, seconds, random.Random(seed)
        self.kinds, self.log, self.load = kinds, [], None

    async def __call__(self, load):
        self.load, ends = load, time.monotonic() + self.seconds
        await self.wait_for_more(1)
        while time.monotonic() < ends:
            await self.some()
            await self.wait_for_more(self.random.randint(*HELD))
        await self.until(self.all_are_ready, "a node is not ready")

    async def some(self):
        """One fault, or one each for several nodes."""
        nodes = list(range(len(self.cluster.nodes)))
        healthy = max(0, len(nodes) - 1)
        victims = self.random.sample(nodes, self.random.randint(1, healthy)) if healthy else nodes
        kinds = [k for k in self.kinds if healthy or k in ("kill", "stop", *OF_POSTGRES)]
        chosen = [(self.random.choice(kinds), i) for i in victims]
        tasks = [self.during(kind, i) for kind, i in chosen if kind not in OF_POSTGRES]
        tasks += [getattr(self, kind)() for kind in [k for k, _ in chosen if k in OF_POSTGRES][:1]]
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(task)

    async def during(self, kind, i):
        node = self.cluster.nodes[i]
        self.note(f"{kind} {i}")
        await getattr(self, kind)(node)
        self.note(f"{kind} {i} is over")
        await self.until(lambda: is_ready(node), f"node {i} is not ready after {kind}")

    def note(self, text):
        self.log.append((time.monotonic(), text))

    # ---- the faults ----

    async def kill(self, node):
        await asyncio.to_thread(node.kill)
        await self.hold()
        await self.start(node)

    async def stop(self, node):
        await asyncio.to_thread(node.stop)
        await self.hold()
        await self.start(node)

    async def pause(self, node):
        node.pause()
        await self.hold(node)

    async def cut(self, node):
        node.cut()
        await self.hold(node)

    async def mute(self, node):
        node.mute()
        await self.hold(node)

    async def postgres(self):
        how = self.random.choice([signal.SIGQUIT, signal.SIGINT])
        self.note(f"postgres gets {how.name}")
        await asyncio.to_thread(self.cluster.restart_postgres, how)
        self.note("postgres is back")

    async def failover(self):
        """The primary is killed with all its processes, and the synchronous standby promoted."""
        self.note("the primary is killed")
        await asyncio.to_thread(self.cluster.postgres.fail_over, self.follow_primary)
        self.note("there is a standby again")

    def follow_primary(self):
        self.note("the standby is promoted")
        for node in self.cluster.nodes:
            node.link.target = "127.0.0.1", self.cluster.postgres.port

    async def start(self, node):
        """As systemd would: again, if the database is away."""

        def has_started():
            try:
                return node.start()
            except RuntimeError as e:
                self.note(f"not started: {str(e).splitlines()[-1]}")

        await self.until(has_started, "a node does not start")

    # ---- waiting ----

    async def hold(self, node=None):
        """While the others work."""
        try:
            if len(self.cluster.nodes) > 1:
                await self.wait_for_more(self.random.randint(*HELD))
        finally:
            if node:
                node.mend()

    async def wait_for_more(self, n):
        before = self.load.acknowledged
        await self.until(lambda: self.load.acknowledged >= before + n,
                         "too few messages are acknowledged")

    async def until(self, check, failing):
        deadline = time.monotonic() + PATIENCE
        while not (await asyncio.to_thread(check)):
            if time.monotonic() > deadline:
                raise Stuck(f"{failing}\n{self.story()}\n{self.cluster.log_tail(20)}")
            await asyncio.sleep(PAUSE)

    def all_are_ready(self):
        return all(map(is_ready, self.cluster.nodes))

    def story(self):
        return "\n".join(f"{when:.3f} {text}" for when, text in self.log)


def is_ready(node):
    try:
        return plain.get(f"http://127.0.0.1:{node.port}/ready", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False

"""Nodes of the previous release and of this one on one database, as during an upgrade."""

import asyncio
import concurrent.futures
import contextlib

import pytest

import plain
from client import Client, q, timeline
from cluster import Cluster
from faults import Faults
from previous import previous_binary
from server import BINARY
from test_chaos import run
from test_read_own_writes import login, on
from workload import Load

CLIENTS = 4
MESSAGES = 30  # acknowledged between two steps
LATER = 999999  # a migration that neither of the two knows


@pytest.fixture
def mixed():
    """mixed(binary, ...) starts a cluster of such nodes; the first one makes the database."""
    with contextlib.ExitStack() as stack:

        def start(*binaries):
            cluster = Cluster({"log_level": "info"}, binaries=binaries)
            stack.callback(cluster.close)
            return cluster.start()

        yield start


def parked_sync(pool, client):
    return pool.submit(client.sync, since=client.sync()["next_batch"], timeout=60000)


def text_of(reply, room):
    return [e["content"].get("body") for e in timeline(reply, room)]


def talk(here, there, name):
    """Between a user of one node and one of the other."""
    alice, bob = Client(here).register(f"alice-{name}"), Client(there).register(f"bob-{name}")
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = parked_sync(pool, bob)
        event = alice.send(room, "from here")
        assert text_of(waiting.result(), room) == ["from here"]
        waiting = parked_sync(pool, alice)
        bob.send(room, "from there")
        assert text_of(waiting.result(), room) == ["from there"]
        waiting = parked_sync(pool, bob)
        alice.put(f"/sendToDevice/m.test/{name}", {"messages": {bob.user_id: {bob.device_id: {"a": 1}}}})
        assert waiting.result()["to_device"]["events"][0]["content"] == {"a": 1}
        waiting = parked_sync(pool, alice)
        bob.read(room, event)
        assert event in waiting.result()["rooms"]["join"][room]["ephemeral"]["events"][0]["content"]
        waiting = parked_sync(pool, bob)
        alice.put(f"/rooms/{q(room)}/typing/{q(alice.user_id)}", {"typing": True, "timeout": 30000})
        assert waiting.result()["rooms"]["join"][room]["ephemeral"]["events"][0]["content"] == {
            "user_ids": [alice.user_id]}
    alice.redact(room, event)
    assert bob.event(room, event)["content"] == {}
    alice.send_state(room, "m.room.topic", {"topic": "of both"})
    assert bob.state(room, "m.room.topic")["topic"] == "of both"
    alice.kick(room, bob)
    bob.fails(403, "M_FORBIDDEN", "PUT", f"/rooms/{q(room)}/send/m.room.message/{name}",
              {"body": "no", "msgtype": "m.text"})
    end_session(alice, on(there, alice))
    return room, bob


def end_session(here, there):
    here.token = there.token = login(here)
    assert there.get("/account/whoami")["user_id"] == here.user_id
    here.post("/logout")
    there.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")


def test_two_versions_side_by_side(mixed):
    cluster = mixed(previous_binary(), BINARY)
    old, new = cluster.nodes
    carol = Client(old).register("carol")
    for here, there, name in (old, new, "old"), (new, old, "new"):
        room, bob = talk(here, there, name)
        carol.join(room)
    token = carol.sync()["next_batch"]
    old.stop()
    carol = on(new, carol)
    event = carol.send(room, "the old one has gone")
    assert event in [e["event_id"] for e in timeline(carol.sync(since=token), room)]
    old.binary = BINARY
    old.start()
    on(old, bob).join(room)
    assert on(old, carol).event(room, event)


class Upgrade(Faults):
    """One node after the other, as docs/operations.md says."""

    async def __call__(self, load):
        self.load = load
        for i, node in enumerate(self.cluster.nodes):
            await self.wait_for_more(MESSAGES)
            self.note(f"node {i} is upgraded")
            assert await asyncio.to_thread(node.stop) == 0
            node.binary = BINARY
            await asyncio.to_thread(node.start)
            await self.until(self.all_are_ready, "a node is not ready")
        await self.wait_for_more(MESSAGES)


def test_an_upgrade_under_load(mixed):
    cluster = mixed(previous_binary(), previous_binary())
    run(cluster, Upgrade(cluster, 0, 0, []), Load(cluster, CLIENTS, CLIENTS))


def test_a_node_of_the_previous_version_starts_on_the_database_of_this_one(mixed):
    """As when an upgrade is taken back, before a contract step was done."""
    new, old = mixed(BINARY, previous_binary()).nodes
    talk(new, old, "back")


def test_a_node_that_is_too_old_does_not_start(mixed):
    cluster = mixed(BINARY, previous_binary())
    new, old = cluster.nodes
    for n, needs in (LATER, 0), (LATER + 1, LATER):  # an expansion, and what it makes superfluous is dropped
        cluster.postgres.sql("INSERT INTO schema_migrations (number, name, needs) "
                             f"VALUES ({n}, '{n}-later', {needs})", cluster.database)
        for node in new, old:
            node.stop()
            if not needs:
                node.start()
                continue
            with pytest.raises(RuntimeError, match=f"migrated by a newer version of this program .migration {n}-later"):
                node.start()
        if not needs:
            assert plain.get(f"{new.url}/ready").status_code == plain.get(f"{old.url}/ready").status_code == 200

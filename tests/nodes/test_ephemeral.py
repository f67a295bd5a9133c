"""What nothing stores, or not at once: it is the same on all nodes."""

import pytest

from client import Client, q
from waiting import eventually


@pytest.fixture(scope="module")
def cluster():
    from cluster import Cluster

    c = Cluster({"presence.enabled": True}, n=2)
    yield c.start()
    c.close()


def on(node, client):
    """The same device, talking to one node."""
    return Client(node, client.user_id, client.token, client.device_id)


class Pair:
    """A user, through each of the nodes."""

    def __init__(self, cluster, name):
        first = Client(cluster.nodes[0]).register(name)
        self.user_id, self.both = first.user_id, [first] + [on(node, first) for node in cluster.nodes[1:]]

    def __getitem__(self, i):
        return self.both[i]

    def sync(self, i, **params):
        """The next one; a token of one node is used at the other."""
        reply = self.both[i].next_sync(**params)
        self.share_token(i)
        return reply

    def sync_until(self, i, found):
        value = self.both[i].sync_until(found)
        self.share_token(i)
        return value

    def share_token(self, i):
        for client in self.both:
            client.next_batch = self.both[i].next_batch


def typing(reply, room):
    for e in reply.get("rooms", {}).get("join", {}).get(room, {}).get("ephemeral", {}).get("events", []):
        if e["type"] == "m.typing":
            return e["content"]["user_ids"]
    return None


def put(client, room, is_typing, **body):
    return client.put(f"/rooms/{q(room)}/typing/{q(client.user_id)}", {"typing": is_typing, **body})


class TestTyping:
    @pytest.fixture(scope="class")
    def people(self, cluster):
        alice, bob = Pair(cluster, "alice"), Pair(cluster, "bob")
        room = alice[0].create_room(preset="public_chat")
        bob[1].join(room)
        return alice, bob, room

    def test_each_node_sends_all(self, people):
        alice, bob, room = people
        alice.sync(0)
        put(bob[1], room, True, timeout=60000)
        assert alice.sync_until(0, lambda r: typing(r, room)) == [bob.user_id]
        assert typing(alice.sync(1), room) is None  # it has read that
        put(bob[0], room, True, timeout=60000)
        assert [typing(alice.sync(i % 2), room) for i in range(4)] == [None] * 4
        assert typing(alice[1].sync(), room) == [bob.user_id]  # a first one
        put(bob[0], room, False)
        assert alice.sync_until(1, lambda r: typing(r, room) == [])
        assert typing(alice.sync(0), room) is None

    def test_the_end_is_that_of_all(self, cluster, people):
        alice, bob, room = people
        put(bob[0], room, True, timeout=30000)
        assert alice.sync_until(1, lambda r: typing(r, room)) == [bob.user_id]
        cluster.advance(30)
        assert alice.sync_until(1, lambda r: typing(r, room) == [])
        assert [typing(alice.sync(i % 2), room) for i in range(4)] == [None] * 4

    def test_users_of_a_killed_node_end(self, cluster, people):
        alice, bob, room = people
        put(bob[0], room, True, timeout=30000)
        cluster.nodes[0].kill()
        try:
            assert alice.sync_until(1, lambda r: typing(r, room)) == [bob.user_id]
            cluster.advance(30)
            assert alice.sync_until(1, lambda r: typing(r, room) == [])
        finally:
            cluster.nodes[0].start()

    def test_a_node_that_comes_learns_of_all(self, cluster, people):
        alice, bob, room = people
        cluster.nodes[0].stop()
        put(bob[1], room, True, timeout=60000)  # while that node is alone
        assert alice.sync_until(1, lambda r: typing(r, room)) == [bob.user_id]
        cluster.nodes[0].start()
        assert eventually(lambda: typing(alice[0].sync(), room) == [bob.user_id])
        put(bob[0], room, False)
        assert alice.sync_until(1, lambda r: typing(r, room) == [])

"""What nothing stores, or not at once: it is the same on all nodes."""

import itertools

import pytest

from client import Client, q
from waiting import eventually

numbers = itertools.count(1)


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


def presence(reply, user):
    found = [e["content"] for e in reply.get("presence", {}).get("events", []) if e["sender"] == user.user_id]
    return found[-1]["presence"] if found else None


def state(client, user):
    return client.get(f"/presence/{q(user.user_id)}/status")["presence"]


def put_presence(client, state, **body):
    return client.put(f"/presence/{q(client.user_id)}/status", {"presence": state, **body})


def is_renewed(cluster, user):
    """For longer than the next step of the test."""
    return cluster.postgres.sql(
        f"""SELECT p.valid_until > extract(epoch FROM now()) * 1000 + {cluster.moved_ms + 26000}
        FROM presence p JOIN users u ON u.id = p.user WHERE u.user_id = '{user.user_id}'""", cluster.database) == "t"


class TestPresence:
    @pytest.fixture
    def people(self, cluster):
        n = next(numbers)
        alice, bob = Pair(cluster, f"alice{n}"), Pair(cluster, f"bob{n}")
        bob[1].join(alice[0].create_room(preset="public_chat"))
        return alice, bob

    def test_each_node_knows_what_is_set(self, people):
        alice, bob = people
        alice.sync(0)
        put_presence(bob[1], "unavailable", status_msg="at lunch")
        assert alice.sync_until(0, lambda r: presence(r, bob) == "unavailable")
        assert presence(alice.sync(1), bob) is None  # it has read that
        assert [state(client, bob) for client in alice.both] == ["unavailable"] * 2
        put_presence(bob[0], "online")
        assert alice.sync_until(1, lambda r: presence(r, bob) == "online")
        assert presence(alice[0].sync(), bob) == presence(alice[1].sync(), bob) == "online"

    @pytest.mark.parametrize("busy", [0, 1])
    def test_active_on_one_and_idle_on_the_other(self, cluster, people, busy):
        """Whichever node ends the states of users."""
        alice, bob = people
        bob[1 - busy].sync()
        assert alice.sync_until(0, lambda r: presence(r, bob) == "online")
        for _ in range(6):
            cluster.advance(25)
            bob[busy].sync()
            assert eventually(lambda: is_renewed(cluster, bob))
            for i in range(2):
                assert presence(alice.sync(i), bob) in (None, "online")
                assert state(alice[i], bob) == "online"
        cluster.advance(120)
        assert alice.sync_until(busy, lambda r: presence(r, bob) == "offline")

    def test_users_of_a_killed_node_go_offline(self, cluster, people):
        alice, bob = people
        alice.sync(1)
        bob[0].sync()
        assert alice.sync_until(1, lambda r: presence(r, bob) == "online")
        cluster.nodes[0].kill()
        try:
            assert state(alice[1], bob) == "online"
            cluster.advance(120)
            assert alice[1].sync_until(lambda r: presence(r, bob) == "offline", seconds=40)
        finally:
            cluster.nodes[0].start()

    def test_a_node_that_comes_knows_who_is_there(self, cluster, people):
        alice, bob = people
        cluster.nodes[0].stop()
        put_presence(bob[1], "online")
        cluster.nodes[0].start()
        assert eventually(lambda: presence(alice[0].sync(set_presence="offline"), bob) == "online")

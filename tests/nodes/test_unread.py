"""Unread counts, notifications, receipts and marks: what changes at one node counts at the other with the next
request, in an initial /sync and in one that goes on."""

import json
import random

import pytest

from client import Client, q
from cluster import Cluster

THREADS = json.dumps({"room": {"timeline": {"unread_thread_notifications": True}}})


@pytest.fixture(scope="module")
def nodes():
    c = Cluster(n=2)
    yield c.start().nodes
    c.close()


class Device:
    """A session of the reader at one node, which syncs on and keeps the last counts."""

    def __init__(self, node, client):
        self.client = Client(node, client.user_id, client.token, client.device_id, client.password)
        self.counts, self.since = {}, None

    def follow(self, room):
        reply = self.client.sync(since=self.since, filter=THREADS)
        self.since = reply["next_batch"]
        entry = reply.get("rooms", {}).get("join", {}).get(room, {})
        self.counts = self.parts(entry) or self.counts  # a thread that is not named has none
        return {k: v for k, v in self.counts.items() if any(v) or k == "main"}

    @staticmethod
    def parts(entry):
        all = {"main": entry["unread_notifications"]} if "unread_notifications" in entry else {}
        all.update(entry.get("unread_thread_notifications", {}))
        return {k: (v["notification_count"], v["highlight_count"]) for k, v in all.items()}

    def first(self, room):
        """As a new initial sync says it."""
        entry = self.client.sync(filter=THREADS)["rooms"]["join"][room]
        return {k: v for k, v in self.parts(entry).items() if any(v) or k == "main"}


class Reader:
    numbers = iter(range(1000))

    def __init__(self, nodes):
        number = next(self.numbers)
        self.alice = [Device(n, c).client for c in [Client(nodes[0]).register(f"alice{number}")] for n in nodes]
        bob = Client(nodes[1]).register(f"bob{number}")
        self.devices = [Device(n, bob) for n in nodes]
        self.bob = [d.client for d in self.devices]
        self.room = self.alice[0].create_room(preset="public_chat")
        self.bob[0].join(self.room)
        self.check({"main": (0, 0)})

    def check(self, expected):
        for device in random.sample(self.devices, 2):
            assert device.first(self.room) == expected
            assert device.follow(self.room) == expected

    def say(self, node, body="hello", thread=None, mention=False):
        content = {"msgtype": "m.text", "body": body}
        if thread:
            content["m.relates_to"] = {"rel_type": "m.thread", "event_id": thread}
        if mention:
            content["m.mentions"] = {"user_ids": [self.bob[0].user_id]}
        return self.alice[node].send(self.room, content)


@pytest.fixture
def reader(nodes):
    return Reader(nodes)


@pytest.mark.parametrize("kind", ["m.read", "m.read.private"])
def test_read_at_one_node_and_counted_at_another(reader, kind):
    for i in range(6):
        here, there = i % 2, 1 - i % 2
        first = reader.say(here)
        reader.check({"main": (1, 0)})
        last = reader.say(there, mention=True)
        reader.check({"main": (2, 1)})
        reader.bob[there].read(reader.room, first, kind)
        reader.check({"main": (1, 1)})
        reader.bob[here].read(reader.room, last, kind)
        reader.check({"main": (0, 0)})


def test_receipts_of_others(reader):
    for i in range(4):
        here, there = i % 2, 1 - i % 2
        event = reader.say(here)
        since = {who: [c.sync()["next_batch"] for c in clients]
                 for who, clients in (("alice", reader.alice), ("bob", reader.bob))}
        kind = ("m.read", "m.read.private")[i % 2]
        reader.bob[there].read(reader.room, event, kind)
        for who, clients in (("alice", reader.alice), ("bob", reader.bob)):
            for client, token in zip(clients, since[who]):
                entry = client.sync(since=token).get("rooms", {}).get("join", {}).get(reader.room, {})
                seen = [e["content"].get(event, {}) for e in entry.get("ephemeral", {}).get("events", [])
                        if e["type"] == "m.receipt"]
                expected = [kind] if who == "bob" or kind == "m.read" else []
                assert [k for receipt in seen for k in receipt] == expected, (i, who)


def test_an_own_message_reads_all_before_it(reader):
    for i in range(6):
        reader.say(i % 2)
        reader.say(1 - i % 2, mention=True)
        reader.check({"main": (2, 1)})
        reader.bob[i % 2].send(reader.room, "I have read it")
        reader.check({"main": (0, 0)})


def test_threads_have_counts_of_their_own(reader):
    for i in range(4):
        here, there = i % 2, 1 - i % 2
        root = reader.say(here, "root")
        reader.check({"main": (1, 0)})
        reader.say(there, thread=root)
        last = reader.say(here, thread=root, mention=True)
        reader.check({"main": (1, 0), root: (2, 1)})
        reader.bob[there].read(reader.room, root, thread_id="main")
        reader.check({"main": (0, 0), root: (2, 1)})
        reader.bob[here].read(reader.room, last, thread_id=root)
        reader.check({"main": (0, 0)})


def test_rules_and_marks(reader):
    user, room = reader.bob[0].user_id, reader.room
    for i in range(4):
        here, there = i % 2, 1 - i % 2
        rule = f"/pushrules/global/room/{q(room)}"
        reader.bob[here].put(rule, {"actions": []})
        reader.say(there)
        reader.check({"main": (0, 0)})
        reader.bob[there].delete(rule)
        last = reader.say(here)
        reader.check({"main": (1, 0)})
        mark = f"/user/{q(user)}/rooms/{q(room)}/account_data/m.marked_unread"
        reader.bob[here].put(mark, {"unread": True})
        assert reader.bob[there].get(mark) == {"unread": True}
        reader.bob[there].read(room, last)
        reader.bob[there].put(mark, {"unread": False})
        assert reader.bob[here].get(mark) == {"unread": False}
        reader.check({"main": (0, 0)})


def test_the_list_of_notifications(reader):
    sent = []
    for i in range(6):
        sent.append(reader.say(i % 2, mention=i % 3 == 0))
        lists = [[n["event"]["event_id"] for n in c.get("/notifications")["notifications"]] for c in reader.bob]
        assert lists[0] == lists[1] == sent[::-1]
    reader.bob[1].read(reader.room, sent[3])
    for client in reader.bob:
        read = {n["event"]["event_id"]: n["read"] for n in client.get("/notifications")["notifications"]}
        assert read == {e: e in sent[:4] for e in sent}


def test_read_markers(reader):
    for i in range(4):
        here, there = i % 2, 1 - i % 2
        event = reader.say(here)
        reader.bob[there].post(f"/rooms/{q(reader.room)}/read_markers", {
            "m.fully_read": event, "m.read": event})
        path = f"/user/{q(reader.bob[0].user_id)}/rooms/{q(reader.room)}/account_data/m.fully_read"
        assert reader.bob[here].get(path) == {"event_id": event}
        reader.check({"main": (0, 0)})


def test_a_random_walk(nodes):
    """Against counts that this test keeps itself."""
    reader, random_ = Reader(nodes), random.Random(7)
    counted = []  # (event, is a mention), after the last that bob has read
    for i in range(60):
        what = random_.choice(["say", "say", "mention", "read", "own"])
        node = random_.randrange(2)
        if what in ("say", "mention"):
            counted.append((reader.say(node, mention=what == "mention"), what == "mention"))
        elif what == "read" and counted:
            at = random_.randrange(len(counted))
            reader.bob[node].read(reader.room, counted[at][0], random_.choice(["m.read", "m.read.private"]))
            counted = counted[at + 1:]
        elif what == "own":
            reader.bob[node].send(reader.room, "hello")
            counted = []
        reader.check({"main": (len(counted), sum(m for _, m in counted))})

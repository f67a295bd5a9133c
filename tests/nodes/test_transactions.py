"""Two nodes receive the same from another server at once: the outcome is as at one node, and the same on both."""

import random

import pytest

import pdus
from client import Client, q
from federated import FederatedCluster, at_once, everywhere
from remote import FED, Remote
from waiting import eventually

ROUNDS = 12


@pytest.fixture(scope="module")
def cluster():
    made = FederatedCluster()
    yield made.start()
    made.close()


@pytest.fixture
def remote(cluster):
    made = Remote()
    yield made
    made.close()


class Shared:
    """A room that a user of each server is in; the local user's session at each node."""

    numbers = iter(range(1000))

    def __init__(self, cluster, remote):
        self.cluster, self.remote = cluster, remote
        self.carol = remote.user("carol")
        self.users = everywhere(cluster, Client(cluster).register(f"alice{next(self.numbers)}"))
        self.room = remote.create_room(self.carol)
        self.users[0].join(self.room.id, via=[remote.name])
        eventually(lambda: self.cluster.sql("SELECT count(*) FROM partial_rooms") == "0")

    def event(self, content, type="m.room.message", **options):
        """(its id, the event)"""
        if isinstance(content, str):
            content = {"msgtype": "m.text", "body": content}
        return self.remote.event(self.room, self.carol, type, content, **options)

    def send_everywhere(self, *lists, txns=None):
        """Each node receives its list of events, all at once; none is refused."""
        answers = at_once(*[
            lambda i=i: self.cluster.transaction_at(i, self.remote, events, txns[i] if txns else None)
            for i, events in enumerate(lists)])
        for answer in answers:
            assert not any("error" in pdu for pdu in answer["pdus"].values()), answer

    def timeline(self, number):
        reply = self.users[number].get(f"/rooms/{q(self.room.id)}/messages", params={"dir": "b", "limit": 1000})
        return [e["event_id"] for e in reply["chunk"]][::-1]

    def state(self, number):
        reply = self.users[number].get(f"/rooms/{q(self.room.id)}/state")
        return {(e["type"], e["state_key"]): e["event_id"] for e in reply}

    def check(self, sent, in_order=False):
        """Each event is there once; both nodes say the same."""
        eventually(lambda: set(sent) <= set(self.timeline(0)))
        first, second = self.timeline(0), self.timeline(1)
        assert first == second
        assert len(set(first)) == len(first)
        if in_order:
            assert [e for e in first if e in sent] == sent
        assert self.state(0) == self.state(1)
        count = self.cluster.sql("SELECT count(*) FROM inbound_pdus")
        assert count == "0"


@pytest.fixture
def shared(cluster, remote):
    return Shared(cluster, remote)


@pytest.fixture(autouse=True)
def no_failures(cluster):
    """No request fails for a reason of the server's own."""
    before = [len(n.log_text()) for n in cluster.nodes]
    yield
    new = [n.log_text()[b:] for n, b in zip(cluster.nodes, before)]
    assert not [line for text in new for line in text.splitlines() if " error " in line or " 500 " in line]


@pytest.mark.parametrize("txns", ["same", "others"])
def test_the_same_transaction(shared, txns):
    sent = []
    for i in range(ROUNDS):
        ids, events = zip(*[shared.event(f"round {i}, {k}") for k in range(5)])
        name = f"t{i}-{shared.room.id[1:9]}"
        shared.send_everywhere(list(events), list(events), txns=[name, name] if txns == "same" else None)
        sent += ids
    shared.check(sent, in_order=True)


def test_state_in_the_same_transaction(shared):
    sent = []
    for i in range(ROUNDS):
        ids, events = zip(*[shared.event({"topic": f"{i}.{k}"}, "m.room.topic", state_key="") for k in range(3)])
        shared.send_everywhere(list(events), list(events))
        sent += ids
    shared.check(sent, in_order=True)
    assert shared.state(0)["m.room.topic", ""] == sent[-1]


def test_parts_of_a_chain(shared):
    """Each node receives some of the events, and those that they follow are at the other."""
    sent = []
    for i in range(ROUNDS):
        ids, events = zip(*[shared.event(f"round {i}, {k}") for k in range(6)])
        shared.send_everywhere(list(events[::2]), list(events[1::2]))
        sent += ids
    shared.check(sent)


def test_the_same_gap(shared):
    """Both ask for what is missing."""
    sent = []
    for i in range(ROUNDS):
        ids, events = zip(*[shared.event(f"round {i}, {k}") for k in range(8)])
        shared.send_everywhere([events[-1]], [events[-1 - i % 2]])
        shared.cluster.transaction_at(i % 2, shared.remote, [events[-1]])
        sent += ids
        eventually(lambda: ids[-1] in shared.timeline(0))
    shared.check(sent)


def test_a_fork(shared):
    """Each node receives a branch that changes the same state, then both receive what joins them."""
    for i in range(ROUNDS):
        heads = list(shared.room.heads)
        branches = [[shared.event({"topic": f"{i}.{k}"}, "m.room.topic", state_key="", prev=heads),
                     shared.event({"name": f"{i}.{k}"}, "m.room.name", state_key="", prev=heads)] for k in range(2)]
        parts = [[e for _, e in branch] for branch in branches]
        random.choice(parts).reverse()
        shared.send_everywhere(*parts)
        end, event = shared.event(f"end of {i}", prev=[e for branch in branches for e, _ in branch])
        shared.send_everywhere([event], [event])
        shared.check([end, *(e for branch in branches for e, _ in branch)])
    assert shared.users[0].send(shared.room.id, "after it")


def test_forks_beside_local_events(shared):
    """Local users write at both nodes while both receive branches."""
    sent = []
    for i in range(ROUNDS):
        heads = list(shared.room.heads)
        branches = [shared.event({"topic": f"{i}.{k}"}, "m.room.topic", state_key="", prev=heads) for k in range(2)]
        at_once(*[lambda k=k: shared.cluster.transaction_at(k, shared.remote, [branches[k][1]]) for k in range(2)],
                *[lambda k=k: sent.append(shared.users[k].send(shared.room.id, f"local {i}.{k}")) for k in range(2)])
        sent += [e for e, _ in branches]
    shared.check(sent)


def test_a_member_who_leaves_at_one_node_and_speaks_at_another(shared):
    """What each node says of an event does not depend on what came to it first."""
    remote, room = shared.remote, shared.room
    for i in range(ROUNDS):
        dora = remote.user(f"dora{i}")
        join, join_event = remote.event(room, dora, "m.room.member", {"membership": "join"}, dora)
        shared.send_everywhere([join_event], [join_event])
        heads = list(room.heads)
        kick, kicked = remote.event(room, shared.carol, "m.room.member", {"membership": "leave"}, dora, prev=heads)
        said, speech = remote.event(room, dora, "m.room.message", {"msgtype": "m.text", "body": "!"}, prev=heads,
                                    auth=[room.state[k] for k in (
                                        ("m.room.power_levels", ""),)] + [join])
        at_once(lambda: shared.cluster.transaction_at(i % 2, remote, [kicked]),
                lambda: shared.cluster.transaction_at(1 - i % 2, remote, [speech]))
        for number in range(2):
            eventually(lambda: shared.state(number)["m.room.member", dora] == kick)
        assert shared.timeline(0) == shared.timeline(1)


def test_the_same_invite(cluster, remote):
    """It comes once to the user, whose server was not in the room; so does its end."""
    carol = remote.user("carol")
    for i in range(ROUNDS):
        users = everywhere(cluster, Client(cluster).register(f"invited{i}"))
        since = [c.sync()["next_batch"] for c in users]
        room = remote.create_room(carol, join_rule="invite")
        event = remote.sign(room, room.build(
            carol, "m.room.member", {"membership": "invite"}, users[0].user_id))
        uri = f"{FED}/v2/invite/{q(room.id)}/{q(pdus.event_id(event, room.version))}"
        body = {"event": event, "room_version": room.version, "invite_room_state": [
            room.find(e) for key, e in room.state.items() if key[0] in ("m.room.create", "m.room.join_rules")]}
        signed = at_once(*[lambda n=n: cluster.put_at(n, remote, uri, body)["event"] for n in range(2)])
        room.add(signed[0])
        for k, client in enumerate(users):
            reply = client.sync(since=since[k])
            assert room.id in reply["rooms"]["invite"]
            assert not client.sync(since=reply["next_batch"])["rooms"]["invite"]
        assert cluster.sql(f"SELECT count(*) FROM rooms WHERE room_id = '{room.id}'") == "1"
        _, end = remote.event(room, carol, "m.room.member", {"membership": "leave"}, users[0].user_id)
        at_once(*[lambda n=n: cluster.transaction_at(n, remote, [end]) for n in range(2)])
        for client in users:
            assert room.id not in client.sync()["rooms"].get("invite", {})


def test_the_same_join_of_another_server(cluster, remote):
    """send_join at both nodes."""
    alice = everywhere(cluster, Client(cluster).register("host"))
    for i in range(ROUNDS):
        room, dora = alice[i % 2].create_room(preset="public_chat", room_version="12"), remote.user(f"dora{i}")
        made = remote.make(cluster.link.name, "join", room, dora)
        event_id, event = remote.fill_template(made["event"], made["room_version"], dora)
        uri = f"{FED}/v2/send_join/{q(room)}/{q(event_id)}"
        replies = at_once(*[lambda n=n: cluster.put_at(n, remote, uri, event) for n in range(2)])
        assert len(replies) == 2
        for client in alice:
            ids = [e["event_id"] for e in client.messages(room, limit=100)["chunk"]]
            assert ids.count(event_id) == 1
            assert dora in client.get(f"/rooms/{q(room)}/joined_members")["joined"]

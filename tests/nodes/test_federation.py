"""Two nodes of one server, and another server (tests/api/remote.py): what is sent to it comes once and in order,
whichever node it is from, also when the node that sends to it dies."""

import contextlib
import random
import threading

import httpx
import pytest

import pdus
from client import Client, q
from federated import FederatedCluster, at_once, everywhere
from remote import FED, Remote
from sending import Gate, enter, got, wait_for_event
from waiting import eventually


@pytest.fixture
def cluster():
    made = FederatedCluster()
    yield made.start()
    made.close()


@pytest.fixture
def remotes(cluster):
    """Each node sends to some of them."""
    eventually(lambda: cluster.holders("fed_sender") == [16, 16])
    made = []
    while len({cluster.sender_to(r.name) for r in made}) < 2:
        made.append(Remote())
    yield made
    for r in made:
        r.close()


class Writer(Client):
    """A user who writes on the node that is named."""

    def on(self, node):
        self.http.base_url = node.url
        return self


def shared_room(cluster, remotes):
    alice = Writer(cluster).register("alice")
    room = alice.create_room(preset="public_chat", room_version="12")
    for r in remotes:
        enter(r, cluster, alice, room=room)
    return alice, room


def messages(remote, sent):
    """Those of `sent` that it was sent, with repetitions."""
    return [i for i in remote.pdu_ids() if i in set(sent)]


def test_each_message_once_and_in_order(cluster, remotes):
    alice, room = shared_room(cluster, remotes)
    sent = [alice.on(random.choice(cluster.nodes)).send(room, f"message {i}") for i in range(60)]
    for r in remotes:
        wait_for_event(r, sent[-1])
        assert messages(r, sent) == sent
    by = [alice.on(n).request("GET", "/metrics").text for n in cluster.nodes]
    assert all("concorde_federation_transactions_sent_total 0\n" not in text for text in by)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_the_sending_node_ends(cluster, remotes, end):
    alice, room = shared_room(cluster, remotes)
    first, second = cluster.nodes
    sent = [alice.on(first).send(room, "before")]
    for r in remotes:
        wait_for_event(r, sent[0])
    gates = [Gate(r) for r in remotes] if end == "kill" else []
    sent += [alice.on(random.choice(cluster.nodes)).send(room, f"message {i}") for i in range(30)]
    for gate in gates:
        assert gate.came.wait(10)
    getattr(first, end)()
    for gate in gates:
        gate.open.set()
    sent += [alice.on(second).send(room, f"later {i}") for i in range(30)]
    for r in remotes:
        wait_for_event(r, sent[-1], 30)
        assert [i for i in got(r) if i in sent] == sent
        if end == "stop":
            assert messages(r, sent) == sent
    assert cluster.holders("fed_sender") == [32]


def test_a_node_that_comes_back_takes_its_part(cluster, remotes):
    alice, room = shared_room(cluster, remotes)
    first, second = cluster.nodes
    sent = []
    for _ in range(2):
        first.stop()
        sent += [alice.on(second).send(room, "one is away")]
        first.start()
        eventually(lambda: cluster.holders("fed_sender") == [16, 16], 30)
        sent += [alice.on(random.choice(cluster.nodes)).send(room, f"both {i}") for i in range(10)]
    for r in remotes:
        wait_for_event(r, sent[-1])
        assert [i for i in got(r) if i in sent] == sent


@pytest.mark.parametrize("dies", [0, 1])
def test_a_leave_is_sent_by_another_node(cluster, remotes, dies):
    """The node that noted it dies, and it may have been the one that would send it."""
    alice, remote = Writer(cluster).register("alice"), remotes[0]
    carol = remote.user("carol")
    room = remote.create_room(carol, join_rule="invite")
    remote.invite(room, carol, alice.user_id)
    remote.link.cut()
    alice.on(cluster.nodes[dies]).leave(room.id)
    cluster.nodes[dies].kill()
    remote.link.heal()
    eventually(lambda: remote.seen("PUT", f"{FED}/v2/send_leave/"), 60)


# ---- joining ----


def has_event(client, room_id, event_id):
    return client.request("GET", f"/rooms/{q(room_id)}/event/{q(event_id)}").status_code == 200


class Held:
    """Holds back the remote's answers to send_join until it is opened; `before` is called first, once."""

    def __init__(self, remote, before=lambda request: None):
        self.before, self.open, self.came = before, threading.Event(), threading.Event()
        remote.on("PUT", f"{FED}/v2/send_join/", self._answer)

    def _answer(self, request):
        if not self.came.is_set():
            self.before(request)
            self.came.set()
        self.open.wait(50)


def joining(client, room, remote):
    """A thread that joins, and the list of its answer."""
    answers = []

    def join():
        with contextlib.suppress(httpx.TransportError):  # the node is killed
            answers.append(client.request("POST", f"/join/{q(room.id)}", {}, params={"via": remote.name}))

    thread = threading.Thread(target=join, daemon=True)
    thread.start()
    return thread, answers


@pytest.fixture
def remote(cluster):
    made = Remote()
    yield made
    made.close()


def test_invited_at_one_node_and_joined_at_another(cluster, remote):
    for i in range(4):
        here, there = everywhere(cluster, Client(cluster).register(f"alice{i}"))[::1 - 2 * (i % 2)]
        carol = remote.user("carol")
        room = remote.create_room(carol, join_rule="invite")
        remote.invite(room, carol, here.user_id)
        assert room.id in here.sync()["rooms"]["invite"]
        there.join(room.id, via=[remote.name])
        assert room.id in here.get("/joined_rooms")["joined_rooms"]
        sent = here.send(room.id, "from the other node")
        wait_for_event(remote, sent)
        assert has_event(there, room.id, sent)


def test_two_join_at_two_nodes_at_once(cluster, remote):
    carol = remote.user("carol")
    users = [everywhere(cluster, Client(cluster).register(n)) for n in ("alice", "bob", "dora", "eric")]
    for i in range(6):
        room = remote.create_room(carol)
        before = len(remote.seen("PUT", f"{FED}/v2/send_join/"))
        at_once(*[lambda u=u, k=k: u[k % 2].join(room.id, via=[remote.name]) for k, u in enumerate(users)])
        assert len(remote.seen("PUT", f"{FED}/v2/send_join/")) == before + 1
        sent = [u[k % 2].send(room.id, f"here I am") for k, u in enumerate(users)]
        for u in users:
            for client in u:
                joined = client.get(f"/rooms/{q(room.id)}/joined_members")["joined"]
                assert set(joined) == {carol, *(u[0].user_id for u in users)}
                assert all(has_event(client, room.id, e) for e in sent)
    assert cluster.sql("SELECT count(*) FROM joins") == "0"


@pytest.mark.parametrize("follows", ["our join", "what was before"])
def test_events_that_come_to_another_node_during_a_join(cluster, remote, follows):
    alice, carol = Client(cluster).register("alice"), remote.user("carol")
    here, there = everywhere(cluster, alice)
    room = remote.create_room(carol)
    early = []

    def send_early(request):
        prev = [pdus.event_id(request.body, "12")] if follows == "our join" else None
        for i in range(5):
            early.append(remote.send(room, carol, f"early {i}", to=[cluster.link.name], prev=prev))
            prev = prev and early[-1:]

    held = Held(remote, send_early)
    cluster.aim(1)
    thread, answers = joining(here, room, remote)
    assert held.came.wait(20)
    assert cluster.sql("SELECT count(*) FROM early_pdus") == "5"
    held.open.set()
    thread.join(20)
    assert answers[0].status_code == 200, answers[0].text
    eventually(lambda: all(has_event(c, room.id, e) for c in (here, there) for e in early))
    assert cluster.sql("SELECT (SELECT count(*) FROM early_pdus) + (SELECT count(*) FROM joins)") == "0"


def test_a_join_that_resolution_drops(cluster, remote):
    """Both nodes say the same of what its user may see."""
    carol = remote.user("carol")
    for i in range(2):
        client = everywhere(cluster, Client(cluster).register(f"alice{i}"))
        room, early = remote.create_room(carol), []

        def send_early(request):
            """The second event cites what was before the join, too, and the remote's state lacks the join."""
            for prev in [pdus.event_id(request.body, "12")], None, None:
                early.append(remote.send(room, carol, "early", to=[cluster.link.name], prev=prev))

        held = Held(remote, send_early)
        thread, _ = joining(client[i], room, remote)
        assert held.came.wait(20)
        held.open.set()
        thread.join(20)
        eventually(lambda: not any(c.get("/joined_rooms")["joined_rooms"] for c in client))
        eventually(lambda: cluster.sql("SELECT count(*) FROM inbound_pdus") == "0")
        seen = [[has_event(c, room.id, e) for e in early] for c in client]
        assert seen[0] == seen[1]
        remote.answers.clear()


def test_the_joining_node_dies(cluster, remote):
    """A user at another node waits for the join, and then joins."""
    carol = remote.user("carol")
    alice = everywhere(cluster, Client(cluster).register("alice"))
    bob = everywhere(cluster, Client(cluster).register("bob"))
    room, lost = remote.create_room(carol), remote.create_room(carol)
    first, second = cluster.nodes
    cluster.aim(1)
    held = Held(remote)
    joining(alice[0], room, remote)
    assert held.came.wait(20)
    joining(alice[0], lost, remote)
    eventually(lambda: cluster.sql("SELECT count(*) FROM joins") == "2")
    for r in room, lost:
        remote.send(r, carol, "early", to=[cluster.link.name])
    thread, answers = joining(bob[1], room, remote)
    assert cluster.sql("SELECT count(*) FROM early_pdus") == "2"
    first.kill()
    held.open.set()
    thread.join(40)
    assert answers[0].status_code == 200, answers[0].text
    sent = remote.send(room, carol, "welcome", to=[cluster.link.name])
    assert has_event(bob[1], room.id, sent)
    eventually(lambda: cluster.sql(
        "SELECT (SELECT count(*) FROM early_pdus) + (SELECT count(*) FROM joins)") == "0")
    alice[1].join(room.id, via=[remote.name])
    sent = alice[1].send(room.id, "I am here, too")
    wait_for_event(remote, sent)


def test_the_joining_node_stands_still(cluster, remote):
    """What it writes when it goes on is refused, since another node has taken over the join."""
    carol = remote.user("carol")
    alice = everywhere(cluster, Client(cluster).register("alice"))
    bob = everywhere(cluster, Client(cluster).register("bob"))
    room = remote.create_room(carol)
    first, _ = cluster.nodes
    held = Held(remote)
    waiting, late = joining(alice[0], room, remote)
    assert held.came.wait(20)
    first.pause()
    held.open.set()
    bob[1].join(room.id, via=[remote.name])
    sent = bob[1].send(room.id, "before the other goes on")
    first.resume()
    waiting.join(40)
    alice[1].join(room.id, via=[remote.name])
    sent = [sent, alice[0].send(room.id, "after it")]
    for client in alice + bob:
        assert all(has_event(client, room.id, e) for e in sent)
        assert room.id in client.get("/joined_rooms")["joined_rooms"]
    wait_for_event(remote, sent[-1])

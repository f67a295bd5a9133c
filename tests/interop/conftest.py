"""A Concorde and a Synapse that federate, for the whole session. Most tests run in both directions:
`host` has the room, `guest` is of the other server. With SYNAPSE_ALONE=1 a second Synapse takes
Concorde's place, which tests the tests."""

import contextlib
import os
import signal
import threading

import pytest

from client import q
from federation import Ministry, Network
from synapse import Synapse, make_database

TEST_SECONDS = 120


@pytest.fixture(scope="session")
def network():
    return Network()


class LongHistory(threading.Thread):
    """A public room where a thousand messages are sent in sequence while other tests run."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.alice, self.sent, self.ends = server.user("writer"), [], False
        self.room = self.alice.create_room(preset="public_chat")
        self.start()

    def run(self):
        while len(self.sent) < 1000 and not self.ends:
            self.sent.append(self.alice.send(self.room, f"message {len(self.sent)}"))


class Servers:
    def __init__(self, network):
        self.started = []
        try:
            self.concorde = self._start(Ministry(network))
            uri = (self.concorde.data / "concorde.lock").read_text().split(" ", 1)[1].strip()
            self.synapse = self._start(Synapse(network, make_database(uri, "synapse")))
            if os.environ.get("SYNAPSE_ALONE"):
                self.concorde = self._start(Synapse(network, make_database(uri, "another")))
        except BaseException:
            self.close()
            raise

    def _start(self, server):
        self.started.append(server)
        return server.start()

    def close(self):
        with contextlib.ExitStack() as ends:
            for server in self.started:
                ends.callback(server.close)


running = []


def wait_until_complete(client, room):
    """After a fast join, a server answers only once it has the room's members."""
    client.get(f"/rooms/{q(room)}/members")


@pytest.fixture(scope="session")
def servers(network):
    s = Servers(network)
    running.append(s)
    yield s
    running.remove(s)
    s.close()


@pytest.fixture(scope="session")
def histories(servers):
    made = {s: LongHistory(s) for s in (servers.concorde, servers.synapse)}
    yield made
    for h in made.values():
        h.ends = True
        h.join()


@pytest.fixture(scope="session", autouse=True)
def begin_early(request):
    if any("long_histories" in item.fixturenames for item in request.session.items):
        request.getfixturevalue("histories")


@pytest.fixture
def long_histories(histories):
    """long_histories(server): the room and the ids of the thousand messages."""

    def wait(server):
        histories[server].join(90)
        assert len(histories[server].sent) == 1000
        return histories[server].room, histories[server].sent

    return wait


@pytest.fixture(params=["concorde", "synapse"])
def host(request, servers):
    """The server where the room is."""
    return getattr(servers, request.param)


@pytest.fixture
def guest(host, servers):
    """The other server."""
    return servers.synapse if host is servers.concorde else servers.concorde


@pytest.fixture
def alice(host):
    return host.user("alice")


@pytest.fixture
def bob(guest):
    return guest.user("bob")


@pytest.fixture
def room(alice):
    """Public, of the default version, with a name."""
    return alice.create_room(preset="public_chat", name="Treaty")


@pytest.fixture
def joined(alice, bob, room, host):
    """The room with both users, its state complete on both servers."""
    bob.join(room, via=[host.name])
    alice.sync_until(lambda r: bob.user_id in str(r))
    wait_until_complete(bob, room)
    return room


@pytest.fixture(autouse=True)
def whole_again(network):
    """Restores the network, whether the test passes or fails."""
    yield
    network.heal()


@pytest.fixture(autouse=True)
def patience():
    def give_up(number, frame):
        raise TimeoutError(f"the test took longer than {TEST_SECONDS} seconds")

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(TEST_SECONDS)
    yield
    signal.alarm(0)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for s in running:
            for server in s.started:
                kind = type(server).__name__
                report.sections.append((f"log of {kind} {server.name}", server.log_tail()))

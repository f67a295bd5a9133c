"""One server for the whole session; `register` makes users with names of their own; tests that need
their own settings take `fresh_server`."""

import itertools
import os
import signal

import pytest

from client import Client
from federation import Ministry, Network
from remote import Remote
from serving import Server

numbers = itertools.count(1)
running = []


TEST_SECONDS = 240


def pytest_configure(config):
    """On SIGTERM the servers are stopped first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Against several nodes, tests that are about one process are not run."""
    if os.environ.get("NODES"):
        import one_process

        one_process.skip(items)


@pytest.fixture(autouse=True)
def patience():
    """Fails a test that takes too long."""

    def give_up(number, frame):
        raise TimeoutError(f"the test took longer than {TEST_SECONDS} seconds")

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(TEST_SECONDS)
    yield
    signal.alarm(0)


@pytest.fixture(scope="session")
def server():
    s = Server().start()
    running.append(s)
    yield s
    running.remove(s)
    s.close()


@pytest.fixture
def fresh_server():
    """fresh_server(setting=value, ...) starts one that lives as long as the test."""
    made = []

    def start(data=None, **settings):
        s = Server({k.replace("__", "."): v for k, v in settings.items()}, data=data)
        made.append(s)
        running.append(s)
        return s.start()

    yield start
    for s in made:
        running.remove(s)
    for s in made:
        s.close()


@pytest.fixture
def anonymous(server):
    c = Client(server)
    yield c
    c.close()


@pytest.fixture
def register(server):
    """register("alice") → a client of @alice-17:test.example; on=… for another server."""
    made = []

    def make(name="user", on=None, **body):
        c = Client(on or server).register(f"{name}-{next(numbers)}", **body)
        made.append(c)
        return c

    yield make
    for c in made:
        c.close()


@pytest.fixture
def alice(register):
    return register("alice")


@pytest.fixture
def bob(register):
    return register("bob")


@pytest.fixture(scope="session")
def network():
    return Network()


@pytest.fixture(scope="session")
def shared_ministries(network):
    """shared_ministries(n): the first n of the servers that the session shares."""
    made = []

    def first(n):
        while len(made) < n:
            made.append(Ministry(network).start())
            running.append(made[-1])
        return made[:n]

    yield first
    for m in made:
        running.remove(m)
    for m in made:
        m.close()


@pytest.fixture
def two(shared_ministries, network):
    """Two servers that federate; their network is restored after the test."""
    yield shared_ministries(2)
    network.heal()


@pytest.fixture
def three(shared_ministries, network):
    yield shared_ministries(3)
    network.heal()


@pytest.fixture
def ministries(network):
    """ministries(setting=value, ...) starts a federating server that lives as long as the test."""
    made = []

    def start(data=None, certificate=None, name=None, **settings):
        settings = {k.replace("__", "."): v for k, v in settings.items()}
        m = Ministry(network, settings, data=data, certificate=certificate, name=name)
        made.append(m)
        running.append(m)
        return m.start()

    yield start
    network.heal()
    for m in made:
        running.remove(m)
    for m in made:
        m.close()


@pytest.fixture
def remotes():
    """remotes() starts a fake server of another ministry (remote.py)."""
    made = []

    def start(**options):
        made.append(Remote(**options))
        return made[-1]

    yield start
    for r in made:
        r.close()


@pytest.fixture
def room_of(two, remotes):
    """Makes a room of alice's that carol of a fake remote server has joined."""
    def make(version="12", server=None, remote=None, **body):
        a, remote = server or two[0], remote or remotes()
        alice = a.user("alice")
        room_id = alice.create_room(preset="public_chat", room_version=version, **body)
        carol = remote.user("carol")
        return a, alice, remote, remote.join(a.name, room_id, carol), carol

    return make


@pytest.fixture
def remote(remotes):
    return remotes()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the last lines of the servers' logs."""
    report = (yield).get_result()
    if report.failed:
        for s in running:
            report.sections.append((f"log of {s.name}", s.log_tail()))

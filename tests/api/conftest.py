"""One server for the whole session; `register` makes users with names of their own; tests that need
their own settings take `fresh_server`."""

import itertools
import signal

import pytest

from client import Client
from server import Server

numbers = itertools.count(1)
running = []


TEST_SECONDS = 240


def pytest_configure(config):
    """Told to end, it stops its servers first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(autouse=True)
def patience():
    """No test waits for ever."""

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
def nobody(server):
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


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what the servers said last."""
    report = (yield).get_result()
    if report.failed:
        for s in running:
            report.sections.append((f"log of {s.name}", s.log_tail()))

"""A failed test prints where its history was saved; conftest.py of tests/api is not used here."""

import signal

import pytest


def pytest_configure(config):
    """On SIGTERM the servers are stopped first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture
def clusters():
    """clusters(setting=value, ...) starts one that lives as long as the test."""
    from cluster import Cluster

    made = []

    def start(n=None, **settings):
        options = {} if n is None else {"n": n}
        made.append(Cluster({k.replace("__", "."): v for k, v in settings.items()}, **options))
        return made[-1].start()

    yield start
    for c in made:
        c.close()

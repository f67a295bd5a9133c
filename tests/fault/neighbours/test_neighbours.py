"""No attack (attacks.py) slows others down: while it lasts, from one source or from twenty, an ordinary
user sends, syncs, signs in and searches, and another server's transactions are taken,
in less than ten times their quiet latency, or 250 ms.

The test is of latencies, so time decides here, unlike elsewhere. The attackers share the machine:
their own computing slows the server too."""

import itertools
import time

import httpx
import pytest

from attacks import ATTACKS, C, Running
from client import Client, q
from federation import Ministry, Network
from link import listen_at_new_port
from remote import Remote

SOURCES = 20
PROBES = 6  # of each kind
FACTOR, FLOOR = 10, 0.25
numbers = itertools.count(1)
logins = itertools.count(1)


class Probe:
    """The timed requests of a well-behaved user and server."""

    def __init__(self, house):
        self.house, self.alice, self.friend = house, house.victim, house.friend
        self.since = self.alice.call("GET", "/sync", params={"timeout": 0})["next_batch"]

    def send(self):
        self.alice.put(f"/rooms/{q(self.house.room)}/send/m.room.message/p{next(numbers)}",
                       {"msgtype": "m.text", "body": "a message"})

    def sync(self):
        self.since = self.alice.call(
            "GET", "/sync", params={"since": self.since, "timeout": 0})["next_batch"]

    def login(self):
        """From a new address each time, and another user: no user signs in ten times a minute, and more
        than a few attempts on an account from new networks go behind others (server/account/attempts.h)."""
        n = next(logins)
        transport = httpx.HTTPTransport(local_address=f"127.0.2.{n % 250 + 1}")
        with httpx.Client(transport=transport, base_url=self.house.url, timeout=60) as http:
            user = self.house.sign_in[n % len(self.house.sign_in)]
            began = time.monotonic()
            r = http.post(C + "/login", json={
                "type": "m.login.password", "password": user.password, "device_id": "PROBE",
                "identifier": {"type": "m.id.user", "user": user.user_id}})
            took = time.monotonic() - began
            assert r.status_code == 200, r.text
            return took

    def search(self):
        """On a quiet machine the probes reach the user's own limit of searches, and wait for it."""
        body = {"search_categories": {"room_events": {"search_term": "message"}}}
        while True:
            began = time.monotonic()
            r = self.alice.request("POST", "/search", body)
            if r.status_code != 429:
                assert r.status_code == 200, r.text
                return time.monotonic() - began
            assert "Too many requests" in r.text, r.text
            time.sleep(r.json()["retry_after_ms"] / 1000)

    def transaction(self):
        carol = self.house.carol
        with self.house.good.lock:
            self.house.good.send(self.house.good_room, carol, f"hello {next(numbers)}", to=[self.house.name])


KINDS = ("send", "sync", "login", "search", "transaction")


def measure(probe):
    """The latencies of each kind, in seconds."""
    times = {kind: [] for kind in KINDS}
    for _ in range(PROBES):
        for kind in KINDS:
            began = time.monotonic()
            took = getattr(probe, kind)()
            times[kind].append(took or time.monotonic() - began)
    return times


class House:
    """A server under default limits, with users and other servers of every kind."""

    def __init__(self):
        self.network = Network()
        self.server = Ministry(self.network, {"log_level": "info"}).start()
        self.name = self.server.name
        self.users = [self.user(f"bad{n}") for n in range(SOURCES)]
        self.remotes = [Remote() for _ in range(SOURCES)]
        for attack in ATTACKS:
            attack().prepare(self)
        self.restart(password_hash_cost=None)
        self.victim, self.friend = self.user("victim"), self.user("friend")
        self.sign_in = [self.user(f"employee{n}") for n in range(30)]
        self.room = self.victim.create_room(preset="public_chat", room_version="10")
        for user in [self.friend, *self.users]:
            user.join(self.room)
        for n in range(30):
            self.friend.send(self.room, f"message {n} of a quiet day")
        self.good = Remote()
        self.carol = self.good.user("carol")
        self.good_room = self.good.join(self.name, self.room, self.carol)
        self.quiet_socket = listen_at_new_port()  # accepts, and never answers
        self.silent = f"127.0.0.1:{self.quiet_socket.getsockname()[1]}"
        for remote in self.remotes:  # so that their keys are known
            remote.send_edu(self.name, "m.typing", {
                "room_id": self.room, "user_id": remote.user("x"), "typing": False})
        self.restart(rate_limits=None)

    def restart(self, **settings):
        self.server.settings.update(settings)
        self.server.restart()

    def user(self, name):
        return self.server.user(name)

    @property
    def url(self):
        return self.server.url

    @property
    def federation_url(self):
        return f"https://localhost:{self.server.link.target[1]}"

    def close(self):
        for remote in [*self.remotes, self.good]:
            remote.close()
        self.quiet_socket.close()
        self.server.close()


@pytest.fixture(scope="module")
def house():
    h = House()
    yield h
    h.close()


@pytest.fixture(scope="module")
def quiet(house):
    probe = Probe(house)
    measure(probe)  # once to warm it up
    return measure(probe)


@pytest.mark.parametrize("sources", [1, SOURCES])
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.__name__)
def test_neighbours_do_not_notice(house, quiet, attack, sources):
    probe = Probe(house)
    with Running(attack(), house, sources) as running:
        times = measure(probe)
        steps = running.steps()
    slow = {}
    for kind in KINDS:
        allowed = max(FLOOR, FACTOR * sorted(quiet[kind])[len(quiet[kind]) // 2])
        worst = max(times[kind])
        if worst > allowed:
            slow[kind] = f"{worst * 1000:.0f} ms, allowed {allowed * 1000:.0f} ms"
    print(f"{attack.__name__} from {sources}: {steps} steps, worst of each: "
          + ", ".join(f"{k} {max(v) * 1000:.0f} ms" for k, v in times.items()))
    assert not slow, slow
    assert not house.server.reports()

"""The database hangs: it is stopped, not dead, so it neither closes connections nor answers. Requests get
503 by a deadline, health checks are served, and all works when it continues."""

import contextlib
import os
import signal
import subprocess
import threading
import time

import httpx
import pytest

import plain
from federation import Ministry, Network, has_event
from load import Stubborn, furnish, history
from server import Server
from test_durability import Load, check, free_port, is_child, wait_for_postmaster
from waiting import eventually

LIMIT = 3  # database_statement_timeout, seconds
# A request that has sent its write waits for the statement, then for its outcome (10 s from
# its beginning, and an attempt to connect of 5 s); the rest is for a slow machine.
PATIENCE = LIMIT + 10 + 5 + 12
NO_PRESENCE = '{"presence":{"types":[]}}'


@pytest.fixture
def house():
    server = Server({"listen": f"127.0.0.1:{free_port()}", "log_level": "info",
                     "database_statement_timeout": f"{LIMIT}s"}).start()
    yield server, *furnish(server, 16, 8)
    server.close()


def cluster(server):
    """The postmaster and its children. The postmaster is stopped first, so that it starts no more."""
    pid = wait_for_postmaster(server, not_these=[])
    return [pid] + [int(p) for p in os.listdir("/proc") if p.isdigit() and is_child(int(p), pid)]


@contextlib.contextmanager
def hung(server):
    os.kill(cluster(server)[0], signal.SIGSTOP)
    pids = cluster(server)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


class Timed(httpx.Client):
    """Records its slowest request, and how long it took."""

    slowest = (0, None)

    def request(self, method, url, **options):
        began = time.monotonic()
        try:
            return super().request(method, url, **options)
        finally:
            self.slowest = max(self.slowest, (time.monotonic() - began, f"{method} {url}"))


def ready(server):
    r = plain.get(server.url + "/ready", timeout=30)
    return r.status_code, r.text


def watched(server, seconds, until):
    """/health answers all the time."""
    def look():
        if plain.get(server.url + "/health", timeout=10).status_code != 200:
            raise RuntimeError(server.log_tail())
        return until()

    eventually(look, seconds, server.log_tail)


def test_under_load(house):
    server, users, rooms, watcher = house
    load = Load(server, users, rooms, watcher)
    for thread in load.senders + load.readers:
        thread.client.http = Timed(timeout=120)
    load.wait_for_more(len(users))
    for _ in range(2):
        before = {s: s.client.refusals for s in load.senders}
        with hung(server):
            watched(server, PATIENCE,
                    lambda: all(s.client.refusals > before[s] for s in load.senders))
            began = time.monotonic()
            status, text = ready(server)
            assert status == 503 and "the database has not answered for " in text, text
            assert time.monotonic() - began < PATIENCE
            # It is known not to answer: new requests do not wait for that again.
            assert 'concorde_db_away 1' in plain.get(server.url + "/metrics").text
        load.wait_for_more(len(users), seconds=PATIENCE)
        eventually(lambda: ready(server)[0] == 200, seconds=PATIENCE)
    load.end()
    for thread in load.senders + load.readers:
        assert thread.client.http.slowest[0] < PATIENCE, thread.client.http.slowest
    check(load, users, rooms, watcher)
    metrics = plain.get(server.url + "/metrics").text
    assert "\nconcorde_commit_timeouts_total 0\n" not in metrics
    assert not server.reports()


def test_parked_sync(house):
    """It stays parked, and gets new events when the database is back."""
    server, users, rooms, _ = house
    since = users[0].get("/sync")["next_batch"]
    answers = []

    def wait():
        answers.append(users[0].get("/sync", params={"since": since, "timeout": 120000,
                                                         "filter": NO_PRESENCE}, timeout=150))
    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: parked(server) >= 1, seconds=30)
    with hung(server):
        sender = Stubborn(server, users[8])
        refused = sender.http.request(
            "PUT", f"{server.url}/_matrix/client/v3/rooms/{rooms[0]}/send/m.room.message/hung",
            headers={"Authorization": f"Bearer {users[8].token}"}, timeout=120,
            json={"msgtype": "m.text", "body": "Is it there?"})
        assert refused.status_code == 503 and "retry-after" in refused.headers
        assert thread.is_alive(), str(answers)
    sent = sender.call("PUT", f"/rooms/{rooms[0]}/send/m.room.message/hung",
                       json={"msgtype": "m.text", "body": "Is it there?"})["event_id"]
    thread.join(60)
    events = answers[0]["rooms"]["join"][rooms[0]]["timeline"]["events"]
    assert [e["event_id"] for e in events] == [sent]
    assert history(users[0], rooms[0]).count(sent) == 1


def destinations(server, state):
    for line in plain.get(server.url + "/metrics").text.splitlines():
        if line.startswith(f'concorde_federation_destinations{{state="{state}"}} '):
            return float(line.split()[1])
    raise AssertionError(f"no metric says how many servers are {state}")


@pytest.fixture
def ministries():
    """The database of the first one is to hang."""
    network = Network()
    made = [Ministry(network, {"database_statement_timeout": f"{LIMIT}s"}), Ministry(network)]
    try:
        yield [m.start() for m in made]
    finally:
        for m in made:
            m.close()


def test_federation(ministries):
    """Transactions of others are refused by the deadline, resent, and applied once; and so are ours."""
    a, b = ministries
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="private_chat")
    alice.invite(room, bob)
    eventually(lambda: room in bob.sync()["rooms"]["invite"])
    bob.join(room)
    eventually(lambda: has_event(alice, room, bob.send(room, "we are both here")))
    txn = f"/rooms/{room}/send/m.room.message/hung"
    before = [alice.send(room, f"before {n}") for n in range(20)]
    with hung(a):
        sent = [bob.send(room, f"meanwhile {n}") for n in range(60)]  # more than fit into a transaction
        watched(a, PATIENCE, lambda: destinations(b, "backing_off") == 1)
        refused = alice.request("PUT", f"/_matrix/client/v3{txn}", timeout=120,
                                json={"msgtype": "m.text", "body": "Is it there?"})
        assert refused.status_code == 503 and "retry-after" in refused.headers
    before.append(Stubborn(a, alice).call(
        "PUT", txn, json={"msgtype": "m.text", "body": "Is it there?"})["event_id"])
    for user in alice, bob:
        eventually(lambda: set(before + sent) <= set(history(user, room)), seconds=PATIENCE)
        seen = history(user, room)
        assert len(seen) == len(set(seen))
    eventually(lambda: destinations(b, "idle") == 1 and destinations(a, "idle") == 1)
    assert not a.reports() and not b.reports()


def parked(server):
    for line in plain.get(server.url + "/metrics").text.splitlines():
        if line.startswith("concorde_http_requests_parked "):
            return float(line.split()[1])
    raise AssertionError("no metric says how many requests are parked")


def test_requests_that_only_read(house):
    """Only its reads wait: they are refused by the deadline, and then at once."""
    server, users, rooms, _ = house
    with hung(server):
        def refused():
            began = time.monotonic()
            r = users[0].request("GET", f"/rooms/{rooms[0]}/messages?dir=b", timeout=60)
            assert r.status_code == 503 and "retry-after" in r.headers, r.text
            return time.monotonic() - began
        first = refused()
        assert first < LIMIT + 10, first
        later = sorted(refused() for _ in range(5))
        assert later[2] < 1, later  # the middle one of five
    eventually(lambda: users[0].request("GET", f"/rooms/{rooms[0]}/messages?dir=b").status_code == 200,
               seconds=PATIENCE)


def test_a_broken_schema(house):
    """/ready names the missing object until it exists again."""
    server, _, _, _ = house
    uri = (server.data / "concorde.lock").read_text().split(" ", 1)[1].strip()

    def rename(table, new):
        subprocess.run(["psql", "-q", uri, "-c", f"ALTER TABLE {table} RENAME TO {new}"], check=True)
    for table in "pushers", "log_head":
        rename(table, "gone")
        text = eventually(lambda: says_why(server), seconds=60)
        assert f"table {table}" in text
        assert plain.get(server.url + "/health").status_code == 200
        rename("gone", table)
        eventually(lambda: ready(server)[0] == 200, seconds=60)


def says_why(server):
    status, text = ready(server)
    return text if status == 503 else None

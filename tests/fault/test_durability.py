"""Acknowledged events survive: the server and its PostgreSQL are killed (-9) at random times
under 32 senders, again and again."""

import os
import pathlib
import random
import signal
import threading
import time

import pytest

from load import Reader, Sender, Stubborn, furnish, history
from server import Server
from waiting import eventually

SENDERS, ROOMS, ROUNDS = 32, 8, 20


def postmaster(server):
    pid_file = pathlib.Path(server.data) / "postgres" / "data" / "postmaster.pid"
    return int(pid_file.read_text().split()[0])


def wait_for_postmaster(server, not_these, seconds=60):
    """The process id of a newly started PostgreSQL: the orphans of a killed one may still commit for
    a while, and its pid file stays."""
    def new():
        pid = postmaster(server)
        os.kill(pid, 0)
        return pid not in not_these and pid

    return eventually(new, seconds, lambda: "the database was not restarted")


def free_port():
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def house():
    """A server that keeps its port over restarts, rooms with users, and the load."""
    server = Server({"listen": f"127.0.0.1:{free_port()}", "log_level": "info"}).start()
    yield server, *furnish(server, SENDERS, ROOMS)
    server.close()


class Load:
    def __init__(self, server, users, rooms, watcher):
        self.stop_sending, self.stop_reading = threading.Event(), threading.Event()
        self.readers = [Reader(server, watcher, self.stop_reading)]
        self.readers += [Reader(server, users[i], self.stop_reading) for i in range(3)]
        for reader in self.readers:
            reader.step(timeout=0)
        self.senders = [Sender(server, u, rooms[i % ROOMS], self.stop_sending)
                        for i, u in enumerate(users)]
        for thread in self.senders + self.readers:
            thread.start()

    def acknowledged(self):
        return sum(len(s.acknowledged) for s in self.senders)

    def end(self):
        self.stop_sending.set()
        for sender in self.senders:
            sender.join(60)
            assert not sender.is_alive(), "a sender never got its answer"
        self.stop_reading.set()
        for reader in self.readers:
            reader.join(60)
            for _ in range(3):  # events that are still under way
                reader.step(timeout=0)

    def wait_for_more(self, n=1, seconds=60):
        before = self.acknowledged()
        eventually(lambda: self.acknowledged() >= before + n, seconds,
                   lambda: "nothing is acknowledged any more")


def check(load, users, rooms, watcher):
    for worker in load.senders + load.readers:
        assert not worker.client.wrong, worker.client.wrong[:5]
    stored = {room: history(watcher, room) for room in rooms}
    for room, events in stored.items():
        assert len(events) == len(set(events)), "an event stands twice in the history"
    for i, sender in enumerate(load.senders):
        acknowledged = [event for event, _ in sender.acknowledged]
        assert acknowledged, "a sender never sent anything"
        mine = set(acknowledged)
        in_history = [e for e in stored[sender.room] if e in mine]
        assert in_history == acknowledged, "an acknowledged event is missing or out of order"
        event, txn = sender.acknowledged[len(acknowledged) // 2]
        assert sender.send(txn, "sent again much later")["event_id"] == event
    for reader in load.readers:
        assert not reader.gaps, "the cursor had a gap to fetch"
        for room, seen in reader.seen.items():
            assert seen == [e for e in stored[room] if e in set(seen)], "out of order, or twice"
            first = stored[room].index(seen[0])
            assert seen == stored[room][first:], "a cursor missed an event"


def run(house, hurt):
    server, users, rooms, watcher = house
    load = Load(server, users, rooms, watcher)
    random.seed(int(os.environ.get("FAULT_SEED", "0")) or None)
    for _ in range(ROUNDS):
        load.wait_for_more(SENDERS)
        time.sleep(random.uniform(0, 0.4))
        hurt(server)
    load.wait_for_more(SENDERS)
    load.end()
    print(f"{load.acknowledged()} messages acknowledged")
    check(load, users, rooms, watcher)
    assert not server.reports()


def test_kill_the_server(house):
    def hurt(server):
        server.kill()
        server.start()

    run(house, hurt)


def test_kill_the_database(house):
    killed = []

    def hurt(server):
        pid = wait_for_postmaster(server, not_these=killed[-1:])
        killed.append(pid)
        os.kill(pid, signal.SIGKILL)

    run(house, hurt)


def test_while_the_database_is_away(house):
    """Requests are refused with 503 and Retry-After at once, and served again by themselves."""
    server, users, rooms, watcher = house
    stopped = wait_for_postmaster(server, not_these=[])
    os.kill(stopped, signal.SIGSTOP)  # accepts no connection, and is not restarted
    backends = [int(p) for p in os.listdir("/proc") if p.isdigit() and is_child(int(p), stopped)]
    for pid in backends:
        os.kill(pid, signal.SIGKILL)
    try:
        deadline = time.monotonic() + 30
        while True:
            began = time.monotonic()
            r = users[0].request("PUT", f"/rooms/{rooms[0]}/send/m.room.message/away-{began}",
                                 {"msgtype": "m.text", "body": "Is anybody there?"})
            if r.status_code == 503:
                break
            assert time.monotonic() < deadline, f"{r.status_code} {r.text}"
        assert int(r.headers["Retry-After"]) >= 1
        assert r.json()["errcode"]
    finally:
        os.kill(stopped, signal.SIGCONT)
    client = Stubborn(server, users[0])
    reply = client.call("PUT", f"/rooms/{rooms[0]}/send/m.room.message/back",
                        json={"msgtype": "m.text", "body": "I am back"})
    assert reply["event_id"] in history(watcher, rooms[0])


def is_child(pid, parent):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return int(stat.rsplit(")", 1)[1].split()[1]) == parent

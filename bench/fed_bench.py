"""Benchmarks of federation: fed_in, fed_out, fed_join, resolve, of Concorde and beside it of Synapse (in the
virtual environment SYNAPSE_HOME; without it only Concorde). bench/run.sh starts it. Each prints rows
of `| name | figure | ... |`. SECONDS_EACH, PDUS, MEMBERS as environment."""

import concurrent.futures
import contextlib
import os
import pathlib
import sys
import time

from fed_load import Meter, Sinks, Talker, Transactions
from federation import Ministry, Network, eventually, has_event
from remote import FED, Remote, q
from synapse import Synapse, make_database

SECONDS = float(os.environ.get("SECONDS_EACH", 10))
MEMBERS = int(os.environ.get("MEMBERS", 5000))
PDUS = int(os.environ.get("PDUS", 0))  # of fed_in; 0: by what the server will take in some seconds
VERSION = "11"


class Subject:
    """A server under load. All use the PostgreSQL of the Concorde, one after the other."""

    def __init__(self, name, server, postmaster, pdus):
        self.name, self.server, self.postmaster = name, server, postmaster
        self.pdus = PDUS or pdus

    def meter(self):
        return Meter(self.server.process.pid, self.postmaster)

    def row(self, what, n, meter):
        server, database = (1e6 * s / n for s in meter.cpu)
        print(f"| {self.name}: {what} | {n / meter.seconds:.0f} PDUs/s | server {server:.0f} µs | "
              f"postgres {database:.0f} µs | both {server + database:.0f} µs a PDU | |", flush=True)


# ---- receiving ----


def fed_in_of(subject, rooms_n, origins_n, what):
    """Transactions of 50 PDUs; every origin has its share of the rooms. Until the last event of each
    room can be read."""
    server = subject.server
    alice = server.user("alice")
    rooms = [alice.create_room(preset="public_chat", room_version=VERSION) for _ in range(rooms_n)]
    with contextlib.ExitStack() as ends:
        loads, last = [], {}
        for n in range(origins_n):
            remote = Remote(is_direct=True)
            ends.callback(remote.close)
            carol = remote.user("carol")
            mine = [remote.join(server.name, room, carol) for room in rooms[n::origins_n]]
            pdus = []
            for k in range(subject.pdus // origins_n):
                room = mine[k % len(mine)]
                i, event = remote.event(room, carol, "m.room.message", {
                    "msgtype": "m.text", "body": f"Message {k} of the benchmark, about as long as "
                    "what people write to each other in a working day."})
                pdus.append(event)
                last[room.id] = i
            loads.append(Transactions(
                remote, server.name, [pdus[k : k + 50] for k in range(0, len(pdus), 50)]))
        meter = subject.meter()
        with concurrent.futures.ThreadPoolExecutor(len(loads)) as pool:
            for done in [pool.submit(load.send) for load in loads]:
                done.result()
        for room, i in last.items():
            eventually(lambda: has_event(alice, room, i), 600)
        subject.row(what, sum(50 * len(load.requests) for load in loads), meter.stop())


def fed_in(subject):
    fed_in_of(subject, 1, 1, "received, 1 room")
    fed_in_of(subject, 50, 5, "received, 50 rooms of 5 servers")


# ---- sending ----


def fed_out_to(subject, destinations_n):
    server = subject.server
    alices = [server.user("alice") for _ in range(8)]
    rooms = [a.create_room(preset="public_chat", room_version=VERSION) for a in alices]
    sinks = Sinks(destinations_n)
    sinks.join(server.name, rooms)
    before = sinks.counts[:]
    talkers = [Talker(a, q(room)) for a, room in zip(alices, rooms)]
    meter = subject.meter()
    for t in talkers:
        t.start()
    time.sleep(SECONDS)
    for t in talkers:
        t.ends = True
    for t in talkers:
        t.join()
    sent = sum(t.sent for t in talkers)
    counts = lambda: [n - b for n, b in zip(sinks.counts, before)]
    with contextlib.suppress(AssertionError):
        eventually(lambda: min(counts()) >= sent, 120)
    meter.stop()
    arrived = sum(counts())
    subject.row(f"sent to {destinations_n}", arrived, meter)
    if min(counts()) < sent:
        print(f"| {subject.name}: only {arrived} of {sent * destinations_n} arrived | | | | | |")
    sinks.close()


def fed_out(subject):
    fed_out_to(subject, 1)
    fed_out_to(subject, 30)


# ---- joining ----


def fed_join(subject):
    """A room of MEMBERS on a server of one process; times from that server's answer to send_join."""
    remote = Remote(is_direct=True)
    creator = remote.user("creator")
    room = remote.create_room(creator, VERSION, members=MEMBERS)
    bob = subject.server.user("bob")
    bob.http.timeout = 600
    answered = []

    @remote.on("PUT", FED + "/v2/send_join/")
    def as_usual(request):
        from remote_answers import send_join
        answer = send_join(remote, request, room.id, "")
        answered.append(time.monotonic())
        return 200, answer

    meter, began = subject.meter(), time.monotonic()
    bob.join(room.id, via=[remote.name])
    joined = time.monotonic()
    bob.send(room.id, "the first message")
    first = time.monotonic()
    while len(bob.get(f"/rooms/{q(room.id)}/members")["chunk"]) < MEMBERS + 2:  # which waits for all
        time.sleep(0.01)
    complete = time.monotonic()
    meter.stop()
    print(f"| {subject.name}: join of {MEMBERS} members | reply to send_join after "
          f"{answered[0] - began:.2f} s | joined {joined - answered[0]:+.2f} s | first message "
          f"{first - answered[0]:+.2f} s | complete {complete - answered[0]:+.2f} s | server "
          f"{meter.cpu[0]:.2f} s, postgres {meter.cpu[1]:.2f} s CPU |", flush=True)
    remote.close()


# ---- state resolution ----

NAMES, FORK = 220, 31


def on_a_fork(remote, room, carol, prev, n):
    """n events that the server does not receive yet: every other one is state."""
    for k in range(n):
        if k % 2:
            i, event = remote.event(room, carol, "m.room.message",
                                    {"msgtype": "m.text", "body": f"{k}"}, prev=[prev])
        else:
            i, event = remote.event(room, carol, "m.room.topic", {"topic": f"{k}"}, "", prev=[prev])
        prev = i
    return i, event


def resolve(subject):
    """A fork in a room whose members have changed their names NAMES times each, which are chains of
    auth events: FORK events that come after a gap, the first time and again."""
    server = subject.server
    alice = server.user("alice")
    remote = Remote(is_direct=True)
    carol = remote.user("carol")
    room_id = alice.create_room(
        preset="public_chat", room_version=VERSION,
        power_level_content_override={"users": {alice.user_id: 100, carol: 50}})
    room = remote.join(server.name, room_id, carol)
    members = [carol] + [remote.user(name) for name in ("dave", "erin", "frank")]
    chains = [remote.event(room, user, "m.room.member",
                           {"membership": "join", "displayname": f"{user} {k}"}, user)
              for user in members for k in range(NAMES)]
    events = [event for _, event in chains]
    Transactions(remote, server.name,
                 [events[k : k + 50] for k in range(0, len(events), 50)]).send()
    last = chains[-1][0]
    eventually(lambda: has_event(alice, room_id, last), 60)
    for what in "first", "second":
        alice.send_state(room_id, "m.room.topic", {"topic": f"ours, before the {what}"})
        last, event = on_a_fork(remote, room, carol, last, FORK)
        meter, began = subject.meter(), time.monotonic()
        Transactions(remote, server.name, [[event]]).send()
        eventually(lambda: has_event(alice, room_id, last), 60)
        took = 1000 * (time.monotonic() - began)
        meter.stop()
        print(f"| {subject.name}: {FORK} events of a fork after a gap, chains of {NAMES}, the {what} "
              f"time | {took:.0f} ms | server {1000 * meter.cpu[0]:.0f} ms | "
              f"postgres {1000 * meter.cpu[1]:.0f} ms | |", flush=True)
    remote.close()


BENCHMARKS = {"fed_in": fed_in, "fed_out": fed_out, "fed_join": fed_join, "resolve": resolve}


def main(names):
    network = Network()
    with contextlib.ExitStack() as ends:
        concorde = Ministry(network, {"log_level": "info"})
        ends.callback(concorde.close)
        concorde.start()
        postmaster = int((concorde.data / "postgres/data/postmaster.pid").read_text().split()[0])
        subjects = [Subject("Concorde", concorde, postmaster, 20000)]
        if (pathlib.Path(os.environ.get("SYNAPSE_HOME", "/nowhere")) / "bin/python").exists():
            uri = (concorde.data / "concorde.lock").read_text().split(" ", 1)[1].strip()
            synapse = Synapse(network, make_database(uri, "synapse"))
            ends.callback(synapse.close)
            subjects.append(Subject("Synapse", synapse.start(), postmaster, 2000))
        only = os.environ.get("ONLY")
        print("| federation | | | | | |\n| --- | --- | --- | --- | --- | --- |")
        for name in names:
            for subject in subjects:
                if only in (None, subject.name):
                    BENCHMARKS[name](subject)


main(sys.argv[1:])

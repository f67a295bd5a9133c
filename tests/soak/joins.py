"""Soak: joins over federation, each followed at once by messages of every side, under load.

    CONCORDE_BIN=build/concorde PYTHONPATH=tests/api python3 tests/soak/joins.py [SECONDS] [LOAD]

Three servers share rooms. In each round a user of the second joins through the first while members on
the first and the third write; then the new member writes too. A round ends when each of the three has
read every message by /sync. LOAD processes (2) keep the processors busy. The script prints how long
the messages took, names each one that took longer than SLOW seconds, and fails when one never came, or
came twice."""

import itertools
import multiprocessing
import sys
import threading
import time

from federation import Ministry, Network
from syncing import events_of, section, timeline_filter
from waiting import attempts

SLOW, LOST = 3.0, 60.0


def burn():
    while True:
        pass


class Reader(threading.Thread):
    """Follows one room of one client: when each message body came, and what came twice."""

    def __init__(self, client, room):
        super().__init__(daemon=True)
        self.client, self.room, self.since = client, room, None
        self.seen, self.ids, self.twice = {}, set(), []
        self.done = threading.Event()

    def take(self, events):
        now = time.monotonic()
        for e in events:
            self.ids.add(e["event_id"])
            if e["type"] == "m.room.message":
                self.seen.setdefault(e["content"]["body"], now)

    def run(self):
        while not self.done.is_set():
            reply = self.client.sync(since=self.since, timeout=1000, **timeline_filter(limit=100))
            events = events_of(reply, self.room)
            self.twice += [e["content"].get("body", e["type"]) for e in events
                           if e["event_id"] in self.ids]
            self.take(events)
            timeline = section(reply, self.room).get("timeline", {})
            if timeline.get("limited") and "prev_batch" in timeline:  # fills the gap as clients do
                self.take(self.client.messages(
                    self.room, **{"from": timeline["prev_batch"], "limit": 100})["chunk"])
            self.since = reply["next_batch"]


def write(client, room, tag, sent, n=3):
    for i in range(n):
        body = f"{tag}-{i}"
        sent[body] = time.monotonic()
        client.send(room, body)
        time.sleep(0.02)


def run_round(number, a, b, c, clients):
    """(delays, messages that never came)"""
    alice, bob, carol = clients
    room = alice.create_room(preset="public_chat", name=f"round {number}")
    carol.join(room, via=[a.name])
    sent = {}
    readers = [Reader(alice, room), Reader(carol, room)]
    for r in readers:
        r.start()
    early = [threading.Thread(target=write, args=(x, room, f"{number}-{t}", sent, 12))
             for x, t in ((alice, "alice"), (carol, "carol"))]
    for t in early:
        t.start()
    bob.join(room, via=[a.name])
    joined = time.monotonic()
    readers.append(Reader(bob, room))
    readers[-1].start()
    write(bob, room, f"{number}-bob", sent)
    for t in early:
        t.join()
    deadline = time.monotonic() + LOST
    due = lambda r: {m for m, at in sent.items() if r is not readers[2] or at > joined}
    for _ in attempts(pause=0.02):
        if time.monotonic() > deadline or not any(due(r) - r.seen.keys() for r in readers):
            break
    for r in readers:
        r.done.set()
    delays, lost = [], []
    for r, who in zip(readers, ("alice", "carol", "bob")):
        for body in due(r):
            if body not in r.seen:
                lost.append(f"{body} never came to {who}")
                continue
            delays.append((r.seen[body] - max(sent[body], joined if who == "bob" else 0), body, who))
    for r, who in zip(readers, ("alice", "carol", "bob")):
        r.join()
        lost += [f"{what} came twice to {who}" for what in r.twice]
    for x in clients:
        x.leave(room)
    return delays, lost


def main(seconds=60, load=2):
    burners = [multiprocessing.Process(target=burn, daemon=True) for _ in range(load)]
    for p in burners:
        p.start()
    network = Network()
    servers = [Ministry(network).start() for _ in range(3)]
    clients = [s.user("soak") for s in servers]
    end, delays, lost = time.monotonic() + seconds, [], []
    try:
        for number in itertools.count(1):
            if time.monotonic() > end:
                break
            some, gone = run_round(number, *servers, clients)
            delays += some
            lost += gone
            for delay, body, who in some:
                if delay > SLOW:
                    print(f"slow: {body} came to {who} after {delay:.1f} s", flush=True)
            for line in gone:
                print(f"wrong: {line}", flush=True)
    finally:
        for p in burners:
            p.terminate()
        for s in servers:
            s.close()
    delays.sort()
    at = lambda f: delays[min(len(delays) - 1, int(len(delays) * f))][0]
    print(f"{number - 1} joins, {len(delays)} deliveries: p50 {at(.5):.2f} s, p99 {at(.99):.2f} s, "
          f"worst {at(1):.2f} s; {sum(d[0] > SLOW for d in delays)} slow, {len(lost)} lost or twice")
    return bool(lost)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))

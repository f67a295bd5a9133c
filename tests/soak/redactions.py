"""Soak: redactions that arrive before, with or after their target, under load.

    CONCORDE_BIN=build/concorde PYTHONPATH=tests/api python3 tests/soak/redactions.py [SECONDS] [LOAD]

A fake server sends a message and its redaction in separate transactions, at the same time or either
first by a few milliseconds, in rooms of several versions; another thread keeps the room
busy. A round is right when the message ends up redacted, and wrong when it is not after LOST seconds.
LOAD processes (2) keep the processors busy. The script fails when a round was wrong."""

import itertools
import multiprocessing
import random
import sys
import threading
import time

from federation import Ministry, Network
from joins import burn
from remote import Remote
from waiting import attempts

VERSIONS = "1", "10", "12"
LOST, TARGETS = 20.0, 4


def put_later(remote, server, event, wait):
    time.sleep(wait)
    remote.put_transaction(server, [event])


def redaction_of(remote, room, carol, target, heads):
    top_level = int(room.version) < 11
    content, more = ({}, {"redacts": target}) if top_level else ({"redacts": target}, {})
    return remote.event(room, carol, "m.room.redaction", content, prev=heads, **more)[1]


def run_round(a, alice, remote, room, carol):
    """The ids of messages that were not redacted."""
    heads, events = room.heads[-1:], []
    for n in range(TARGETS):
        target, event = remote.event(room, carol, "m.room.message",
                                     {"msgtype": "m.text", "body": f"secret {n}"}, prev=heads)
        events.append((target, event, redaction_of(remote, room, carol, target, heads)))
    room.heads = room.heads[-20:]
    threads = []
    for target, event, redaction in events:
        spread = random.choice((0, 0.002, 0.02))
        for e in (event, redaction):
            threads.append(threading.Thread(
                target=put_later, args=(remote, a.name, e, random.random() * spread)))
    for t in threads:
        t.start()
    alice.send(room.id, "meanwhile")
    for t in threads:
        t.join()
    left, deadline = [t for t, _, _ in events], time.monotonic() + LOST
    for _ in attempts():
        left = [t for t in left if alice.event(room.id, t)["content"] != {}]
        if not left or time.monotonic() > deadline:
            break
    remote.send(room, carol, "done")
    return left


def main(seconds=60, load=2):
    burners = [multiprocessing.Process(target=burn, daemon=True) for _ in range(load)]
    for p in burners:
        p.start()
    a, remote = Ministry(Network()).start(), Remote()
    alice, carol = a.user("soak"), remote.user("carol")
    end, rounds, wrong = time.monotonic() + seconds, 0, 0
    try:
        rooms = [remote.join(a.name, alice.create_room(preset="public_chat", room_version=v), carol)
                 for v in VERSIONS]
        for room in itertools.cycle(rooms):
            if time.monotonic() > end:
                break
            for target in run_round(a, alice, remote, room, carol):
                wrong += 1
                print(f"wrong: {target} in a room of version {room.version}", flush=True)
            rounds += 1
    finally:
        for p in burners:
            p.kill()
        remote.close()
        a.close()
    print(f"{rounds} rounds of {TARGETS} redactions, {wrong} wrong")
    return 1 if wrong or not rounds else 0


if __name__ == "__main__":
    sys.exit(main(*[float(x) if i == 0 else int(x) for i, x in enumerate(sys.argv[1:])]))

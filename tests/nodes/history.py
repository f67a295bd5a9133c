"""What clients asked and were answered, and whether a single correct server could have answered so, in the manner
of Jepsen's list-append: rooms are the lists, messages the elements.

A History is a list of operations, each with the client (`process`), times of time.monotonic(), and how many of
its attempts ended without an answer (`lost`: such an attempt may still take effect later). check() returns its
violations of:

stored      every acknowledged message is in /messages, once, as it was sent, and those of one sender in its order
timeline    each reader's /sync replies bring the messages in the order of /messages, from its first reply on (all
            of them, if that had none) to the end, without gaps or repetitions
fresh       an initial /sync or a page of /messages has what was acknowledged before the request
value       receipts and account data: the value at the end is the last one, or one written at the same time
to_device   messages to a device arrive at least once, in the order of each sender, and not again once the token
            that came with them was used
keys        each one-time key is given once, and was uploaded
"""

import bisect
import collections
import dataclasses
import json
import time
import typing


class Violation(typing.NamedTuple):
    rule: str
    text: str


@dataclasses.dataclass
class Operation:
    """kind    key           value         result
    send       room          number        event id
    sync       -             since         {"next", "rooms": {room: [event id]}, "to_device": [[sender, number]]}
    read       initial, page -             {room: [event id]}, oldest first: the newest ones
    stored     room          -             [[event id, sender, number]], oldest first: all, at the end
    write      what, where   value         -              (of a receipt or of account data)
    value      what, where   -             the value, at the end
    to_device  receiver      number        -
    upload     device        [key id]      -
    claim      device        -             key id, or None"""

    process: str
    kind: str
    key: typing.Any
    value: typing.Any
    invoked: float
    done: float | None = None  # None: it was never acknowledged
    result: typing.Any = None
    lost: int = 0

    def ok(self, result=None):
        self.done, self.result = time.monotonic(), result
        return self


class History:
    def __init__(self):
        self.operations = []

    def begin(self, process, kind, key=None, value=None):
        self.operations.append(Operation(process, kind, key, value, time.monotonic()))
        return self.operations[-1]

    def of(self, *kinds):
        return [o for o in self.operations if o.kind in kinds]

    def acknowledged(self, *kinds):
        return [o for o in self.of(*kinds) if o.done is not None]

    def save(self, path):
        with open(path, "w") as f:
            for o in self.operations:
                f.write(json.dumps(dataclasses.asdict(o)) + "\n")

    @classmethod
    def load(cls, path):
        made = cls()
        with open(path) as f:
            for line in f:
                made.operations.append(Operation(**json.loads(line)))
        return made


def check(history):
    """All violations."""
    lists = {o.key: o.result for o in history.acknowledged("stored")}
    places = {room: {event: n for n, (event, _, _) in enumerate(events)} for room, events in lists.items()}
    return [
        *check_stored(history, lists, places), *check_timelines(history, lists, places),
        *check_fresh(history, places), *check_values(history), *check_to_device(history), *check_keys(history),
    ]


def check_stored(history, lists, places):
    for room, events in lists.items():
        for what in (event for event, _, _ in events), ((sender, n) for _, sender, n in events):
            for one, times in collections.Counter(what).items():
                if times > 1:
                    yield Violation("stored", f"{room}: {one} is there {times} times")
    last = {}  # by room and sender
    for o in history.acknowledged("send"):
        place = places.get(o.key, {}).get(o.result)
        if place is None:
            yield Violation("stored", f"{o.key}: {o.result} ({o.process} {o.value}) is missing")
            continue
        if lists[o.key][place][1:] != [o.process, o.value]:
            yield Violation("stored", f"{o.key}: {o.result} is {lists[o.key][place][1:]}, "
                                      f"not {o.process} {o.value}")
        if place <= last.get((o.key, o.process), -1):
            yield Violation("stored", f"{o.key}: {o.result} ({o.process} {o.value}) is before an earlier one")
        last[o.key, o.process] = place


def check_run(room, events, place, where, expected=None):
    """Are these events of the room next to each other? expected: the place of the first one."""
    for event in events:
        at = place.get(event)
        if at is None:
            yield Violation("timeline", f"{where}: {event} is not in {room}")
            continue
        if expected is not None and at != expected:
            what = "again or too late" if at < expected else f"after a gap of {at - expected}"
            yield Violation("timeline", f"{where}: {event} (number {at} of {room}) came {what}")
        expected = at + 1


def check_timelines(history, lists, places):
    seen, firsts = collections.defaultdict(list), {}  # by reader and room
    for o in history.acknowledged("sync"):
        for room, events in o.result["rooms"].items():
            firsts.setdefault((o.process, room), None if events else 0)  # it was empty: then all must come
            seen[o.process, room] += events
    for (reader, room), events in seen.items():
        yield from check_run(room, events, places.get(room, {}), reader, firsts[reader, room])
        if lists.get(room) and events[-1:] != [lists[room][-1][0]]:
            yield Violation("timeline", f"{reader}: the end of {room} is missing after {events[-1:]}")
    for o in history.acknowledged("read"):
        for room, events in o.result.items():
            yield from check_run(room, events, places.get(room, {}), f"{o.process} ({o.key})")


class Acknowledged:
    """How far a room was acknowledged at a time."""

    def __init__(self, history, places):
        self.by_room = collections.defaultdict(lambda: ([], []))
        newest = collections.defaultdict(lambda: -1)
        for o in sorted(history.acknowledged("send"), key=lambda o: o.done):
            times, numbers = self.by_room[o.key]
            newest[o.key] = max(newest[o.key], places.get(o.key, {}).get(o.result, -1))
            times.append(o.done)
            numbers.append(newest[o.key])

    def at(self, room, when):
        times, numbers = self.by_room[room]
        n = bisect.bisect_left(times, when)
        return numbers[n - 1] if n else -1


def check_fresh(history, places):
    acknowledged = Acknowledged(history, places)
    for o in history.acknowledged("read"):
        for room, events in o.result.items():
            at = max((places.get(room, {}).get(e, -1) for e in events), default=-1)
            newest = acknowledged.at(room, o.invoked)
            if at < newest:
                yield Violation("fresh", f"{o.process} ({o.key}) at {o.invoked:.3f}: {room} ends {newest - at} "
                                         "messages before what was acknowledged")


def late_syncs(history):
    """(how many, of how many) /sync replies with a token lack what was acknowledged before the request. Such a reply
    is no violation: the next one brings it."""
    places = {o.key: {e: n for n, (e, _, _) in enumerate(o.result)} for o in history.acknowledged("stored")}
    acknowledged, reached, late, all_of_them = Acknowledged(history, places), {}, 0, 0
    for o in history.acknowledged("sync"):
        for room, events in o.result["rooms"].items():
            for e in events[-1:]:
                reached[o.process, room] = places[room].get(e, -1)
        mine = [(room, at) for (process, room), at in reached.items() if process == o.process]
        late += any(at < acknowledged.at(room, o.invoked) for room, at in mine)
        all_of_them += 1
    return late, all_of_them


def check_values(history):
    writes = collections.defaultdict(list)
    for o in history.of("write"):
        writes[tuple(o.key)].append(o)
    for o in history.acknowledged("value"):
        mine = writes[tuple(o.key)]
        began = max((w.invoked for w in mine if w.done is not None), default=0)
        possible = [w.value for w in mine if w.done is None or w.lost or w.done >= began]
        if o.result not in possible and mine:
            yield Violation("value", f"{' '.join(o.key)} is {o.result}; possible: {possible[-5:]}")


def check_to_device(history):
    came, times = collections.defaultdict(list), collections.Counter()
    for o in history.acknowledged("sync"):
        for sender, n in o.result["to_device"]:
            came[sender, o.process].append(n)
            times[sender, o.process, n] += 1
    for (sender, receiver, n), count in times.items():
        if count > 1:
            yield Violation("to_device", f"{receiver} got {n} of {sender} {count} times")
    for (sender, receiver), numbers in came.items():
        if numbers != sorted(numbers):
            yield Violation("to_device", f"{receiver} got messages of {sender} out of order")
    for o in history.acknowledged("to_device"):
        if not times[o.process, o.key, o.value]:
            yield Violation("to_device", f"{o.key} never got {o.value} of {o.process}")


def check_keys(history):
    uploaded = {(o.key, key) for o in history.of("upload") for key in o.value}
    given = collections.Counter((o.key, o.result) for o in history.acknowledged("claim") if o.result)
    for (device, key), times in given.items():
        if times > 1:
            yield Violation("keys", f"{key} of {device} was given {times} times")
        if (device, key) not in uploaded:
            yield Violation("keys", f"{key} of {device} was never uploaded")

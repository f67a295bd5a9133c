"""The checker finds each kind of violation in a history that was broken on purpose."""

import pytest

from history import History, Operation, check, late_syncs

ROOM = "!room"


class Maker:
    """Builds a history in which operations follow each other; each takes a second."""

    def __init__(self):
        self.history, self.time = History(), 0.0
        self.events = []

    def did(self, process, kind, key=None, value=None, result=None, lost=0, done=True):
        o = Operation(process, kind, key, value, self.time, self.time + 1 if done else None, result, lost)
        self.history.operations.append(o)
        self.time += 2
        return o

    def send(self, process, n, stored=True, **how):
        event = f"${process}{n}"
        if stored:
            self.events.append([event, process, n])
        return self.did(process, "send", ROOM, n, event, **how)

    def sync(self, process, events=(), to_device=(), is_first=False):
        return self.did(process, "sync", None, "s1", {
            "next": "s2", "rooms": {ROOM: list(events)} if events or is_first else {}, "to_device": list(to_device)})

    def read(self, events, how="initial"):
        return self.did("late", "read", how, None, {ROOM: events})

    def end(self):
        self.did("end", "stored", ROOM, None, self.events)
        return self.history


def good():
    m = Maker()
    m.sync("z", is_first=True)
    a1, b1 = m.send("a", 1), m.send("b", 1)
    m.sync("x", [a1.result])
    m.read([a1.result, b1.result])
    a2 = m.send("a", 2, lost=1)
    m.sync("x", [b1.result, a2.result], [["a", 1]])
    m.sync("y", [b1.result, a2.result])
    m.sync("z", [a1.result, b1.result, a2.result])
    m.read([a2.result], "page")
    m.did("a", "to_device", "x", 1)
    m.did("a", "write", ["m.read", ROOM], b1.result)
    m.did("a", "write", ["m.read", ROOM], a2.result)
    m.did("end", "value", ["m.read", ROOM], None, a2.result)
    m.did("x", "upload", "x", ["k1", "k2"])
    m.did("a", "claim", "x", None, "k1")
    m.did("b", "claim", "x", None, "k2")
    m.did("b", "claim", "x", None, None)
    return m


def test_a_good_history():
    assert check(good().end()) == []
    assert late_syncs(good().end()) == (1, 5)  # the first reply lacks b's message


def result_of(m, kind, n=0):
    return m.history.of(kind)[n].result


BROKEN = [
    ("stored", "an acknowledged message is lost", lambda m: m.send("a", 3, stored=False)),
    ("stored", "a message is stored twice", lambda m: m.events.append(["$again", "b", 1])),
    ("stored", "an event is listed twice", lambda m: m.events.append(m.events[1])),
    ("stored", "messages of one sender are out of order",
     lambda m: m.events.__setitem__(slice(0, 3), [m.events[2], m.events[1], m.events[0]])),
    ("stored", "another sender's event was acknowledged", lambda m: m.events[0].__setitem__(1, "b")),
    ("timeline", "a reader misses a message", lambda m: result_of(m, "sync", 2)["rooms"][ROOM].pop(0)),
    ("timeline", "a reader misses the first message", lambda m: result_of(m, "sync", 4)["rooms"][ROOM].pop(0)),
    ("timeline", "a reader gets nothing of a room", lambda m: m.sync("w", is_first=True)),
    ("timeline", "a reader gets a message again", lambda m: m.sync("x", [m.events[2][0]])),
    ("timeline", "two readers see different orders", lambda m: result_of(m, "sync", 3)["rooms"][ROOM].reverse()),
    ("timeline", "a reader never gets the last message", lambda m: result_of(m, "sync", 2)["rooms"][ROOM].pop()),
    ("timeline", "a reader gets what is not stored", lambda m: m.sync("x", ["$uncommitted"])),
    ("timeline", "a page has a gap", lambda m: m.read([m.events[0][0], m.events[2][0]], "page")),
    ("fresh", "an initial sync lacks an acknowledged message", lambda m: m.read([e for e, _, _ in m.events[:2]])),
    ("fresh", "a page lacks all messages", lambda m: m.read([], "page")),
    ("value", "an old value came back", lambda m: m.did("end", "value", ["m.read", ROOM], None, m.events[1][0])),
    ("value", "a value is lost", lambda m: m.did("end", "value", ["m.read", ROOM], None, None)),
    ("to_device", "a message never arrives", lambda m: m.did("a", "to_device", "y", 2)),
    ("to_device", "a message arrives again", lambda m: m.sync("x", to_device=[["a", 1]])),
    ("to_device", "messages arrive out of order", lambda m: m.sync("y", to_device=[["a", 8], ["a", 7]])),
    ("keys", "a key is given twice", lambda m: m.did("b", "claim", "x", None, "k1")),
    ("keys", "a key comes from nowhere", lambda m: m.did("b", "claim", "x", None, "k9")),
]


@pytest.mark.parametrize("rule, change", [(rule, change) for rule, _, change in BROKEN],
                         ids=[name for _, name, _ in BROKEN])
def test_a_broken_history(rule, change):
    m = good()
    change(m)
    found = {v.rule for v in check(m.end())}
    assert rule in found
    assert rule == "stored" or found == {rule}  # other rules compare with what is stored


GOOD = [
    ("a message without an answer may be stored", lambda m: m.send("b", 2, done=False)),
    ("or not", lambda m: m.send("b", 2, stored=False, done=False)),
    ("a repeated write may take effect later", lambda m: (
        m.did("a", "write", ["type", ""], 1, lost=1), m.did("a", "write", ["type", ""], 2),
        m.did("end", "value", ["type", ""], None, 1))),
    ("a write without an answer may take effect", lambda m: (
        m.did("a", "write", ["type", ""], 1), m.did("a", "write", ["type", ""], 2, done=False),
        m.did("end", "value", ["type", ""], None, 2))),
    ("a to-device message without an answer may be lost", lambda m: m.did("a", "to_device", "x", 5, done=False)),
    ("a claim without an answer takes a key", lambda m: m.did("b", "claim", "x", None, None, done=False)),
]


@pytest.mark.parametrize("change", [change for _, change in GOOD], ids=[name for name, _ in GOOD])
def test_what_may_happen(change):
    m = good()
    change(m)
    violations = check(m.end())
    # A message that was stored late is not yet in the timelines of this history.
    assert [v for v in violations if "the end of" not in v.text] == []


def test_a_history_is_saved_whole(tmp_path):
    history = good().end()
    history.save(tmp_path / "history")
    assert History.load(tmp_path / "history").operations == history.operations

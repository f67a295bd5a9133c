"""Notifications through gateways that misbehave, and across restarts: nothing is lost."""

import contextlib
import subprocess
import threading

import pytest

from push_gateway import Gateway, pusher
from serving import Server
from waiting import eventually


@pytest.fixture
def gateways():
    made = []

    def make(n):
        made.extend(Gateway() for _ in range(n))
        return made

    yield make
    for g in made:
        g.close()


@pytest.fixture
def pushing(gateways):
    """A server, and gateways of the apps app.0, app.1, ..."""
    made = []

    def start(n=1, **settings):
        found = gateways(n)
        s = Server({"push.rewrite": [f"app.{i}={g.url}" for i, g in enumerate(found)],
                    **{k.replace("__", "."): v for k, v in settings.items()}}).start()
        made.append(s)
        return s, found

    yield start
    for s in made:
        s.close()


def passing(server, check):
    """What check() returns at last, while pauses pass: the clock moves, but no faster than leases are renewed."""
    def passed():
        with contextlib.suppress(AssertionError):
            return eventually(check, 0.5)
        server.advance(1)
    return eventually(passed, 90)


def text(body):
    return {"msgtype": "m.text", "body": body}


def room_of(register, server, *names):
    clients = [register(n, on=server) for n in names]
    room = clients[0].create_room(preset="public_chat")
    for c in clients[1:]:
        c.join(room)
    return *clients, room


@pytest.mark.parametrize("status, headers", [(500, {}), (502, {}), (429, {"Retry-After": "600"}),
                                             (307, {"Location": "http://127.0.0.1:1/"})])
def test_failures_are_retried_until_they_end(register, pushing, status, headers):
    server, (gateway,) = pushing()
    alice, bob, room = room_of(register, server, "alice", "bob")
    key = pusher(bob, app="app.0")
    gateway.answer = lambda n: (status, headers, b"{}")
    events = [alice.send(room, text(str(i))) for i in range(3)]
    eventually(lambda: gateway.got)
    gateway.answer = None
    if status == 429:
        server.advance(601)
    passing(server, lambda: len(gateway.events(key)) >= 3)
    assert gateway.events(key) == events
    if status == 429:  # it was left alone for as long as it had asked for
        assert [n["status"] for n in gateway.got].count(429) == 1


def test_a_refused_notification_does_not_hold_up_the_others(register, pushing):
    server, (gateway,) = pushing()
    alice, bob, room = room_of(register, server, "alice", "bob")
    key = pusher(bob, app="app.0")
    bad = alice.send(room, text("bad"))
    gateway.answer = lambda n: (400, {}, b"{}") if n.get("event_id") == bad else None
    good = alice.send(room, text("good"))
    passing(server, lambda: good in gateway.events(key))


def test_a_silent_gateway_delays_no_other(register, pushing):
    server, (silent, well) = pushing(2)
    alice, *others, room = room_of(register, server, "alice", *(f"user{i}" for i in range(12)))
    release = threading.Event()
    silent.answer = lambda n: release.wait(60) and None
    for i, c in enumerate(others):
        for k in range(8):
            pusher(c, app="app.0", key=f"silent {i} {k}")
        pusher(c, app="app.1", key=f"well {i}")
    event = alice.send(room, text("hello"))
    for i in range(len(others)):
        assert [n["event_id"] for n in well.wait(f"well {i}")] == [event]
    assert not silent.got and 0 < silent.most_at_once <= 32
    release.set()
    eventually(lambda: len(silent.got) >= 8 * len(others))


def test_an_endless_answer(register, pushing):
    server, (gateway,) = pushing()
    alice, bob, room = room_of(register, server, "alice", "bob")
    key = pusher(bob, app="app.0")
    gateway.answer = lambda n: (200, {}, b" " * (1 << 20))
    alice.send(room, text("one"))
    eventually(lambda: gateway.got)
    gateway.answer = None
    passing(server, lambda: len(gateway.of(key)) > 1)


def test_what_was_read_or_redacted_meanwhile_is_not_sent(register, pushing):
    server, (gateway,) = pushing()
    alice, bob, room = room_of(register, server, "alice", "bob")
    key = pusher(bob, app="app.0", data={"org.matrix.msc4076.disable_badge_count": True})
    gateway.answer = lambda n: (500, {}, b"{}")
    read = alice.send(room, text("read"))
    redacted = alice.send(room, text("redacted"))
    eventually(lambda: gateway.got)
    bob.read(room, read)
    alice.redact(room, redacted)
    last = alice.send(room, text("last"))
    gateway.answer = None
    passing(server, lambda: last in gateway.events(key))
    assert gateway.events(key) == [last]


def test_what_is_older_than_a_day_is_not_sent(register, pushing):
    server, (gateway,) = pushing()
    alice, bob, room = room_of(register, server, "alice", "bob")
    key = pusher(bob, app="app.0")
    gateway.answer = lambda n: (500, {}, b"{}")
    alice.send(room, text("old"))
    eventually(lambda: gateway.got)
    server.advance(25 * 3600)
    gateway.answer = None
    new = alice.send(room, text("new"))
    passing(server, lambda: new in gateway.events(key))
    assert gateway.events(key) == [new]


def test_more_than_a_queue_holds(register, pushing):
    """A gateway that was away for long gets all of it, in order, once."""
    server, (gateway,) = pushing()
    alice, bob, room = room_of(register, server, "alice", "bob")
    key = pusher(bob, app="app.0")
    gateway.answer = lambda n: (500, {}, b"{}")
    events = [alice.send(room, text(str(i))) for i in range(50)]
    eventually(lambda: gateway.got)
    gateway.answer = None
    passing(server, lambda: len(gateway.events(key)) >= 50)
    assert gateway.events(key) == events


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_restart(register, pushing, is_killed):
    """What waits is sent after it, and what was sent before is not sent again."""
    server, (gateway,) = pushing()
    alice, bob, room = room_of(register, server, "alice", "bob")
    key = pusher(bob, app="app.0")
    sent = [alice.send(room, text(f"sent {i}")) for i in range(3)]
    gateway.wait(key, 3)
    stored = server.database_uri

    def cursor():
        out = subprocess.run(["psql", stored, "-Atc", "SELECT min(s.position) >= max(e.position) FROM push_slices s, "
                              "events e"], capture_output=True, text=True)
        return out.stdout.strip() == "t"

    eventually(cursor)
    gateway.answer = lambda n: (500, {}, b"{}")
    waiting = [alice.send(room, text(f"waiting {i}")) for i in range(20)]
    eventually(lambda: any(n["status"] == 500 for n in gateway.got))
    if is_killed:
        server.kill()
    else:
        assert server.stop() == 0
    gateway.answer = None
    server.start()
    passing(server, lambda: len(gateway.events(key)) >= 23)
    assert gateway.events(key) == sent + waiting


def test_killed_in_the_middle(register, pushing):
    """Nothing is lost; what was sent in the second before may come once more."""
    server, (gateway,) = pushing()
    alice, bob, room = room_of(register, server, "alice", "bob")
    key = pusher(bob, app="app.0")
    events = [alice.send(room, text(str(i))) for i in range(20)]
    server.kill()
    server.start()
    passing(server, lambda: set(events) <= set(gateway.events(key)))
    got = gateway.events(key)
    assert list(dict.fromkeys(got)) == events
    assert max(got.count(e) for e in events) <= 2


def test_counts_that_could_not_be_sent(register, pushing):
    server, (gateway,) = pushing()
    alice, bob, room = room_of(register, server, "alice", "bob")
    key = pusher(bob, app="app.0")
    event = alice.send(room, text("one"))
    gateway.wait(key)
    gateway.answer = lambda n: (500, {}, b"{}")
    bob.read(room, event)
    eventually(lambda: any(n["status"] == 500 for n in gateway.got))
    gateway.answer = None
    counts = passing(server, lambda: gateway.of(key, counts=True))
    assert [n["counts"] for n in counts] == [{"unread": 0}]

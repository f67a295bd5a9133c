"""Threads: their summaries, and the list of a room's threads."""

import pytest

from client import q
from relations import bundled, edit, ids, in_thread, react, relates


@pytest.fixture
def room(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    return room


def threads(client, room, **params):
    return client.get(f"/_matrix/client/v1/rooms/{q(room)}/threads", params=params)


def test_summary(alice, bob, room):
    root = alice.send(room, "root")
    in_thread(bob, room, root, "first")
    last = in_thread(bob, room, root, "last")
    react(alice, room, root)
    summary = bundled(bob, room, root)["m.thread"]
    assert summary["count"] == 2 and summary["current_user_participated"] is True
    latest = summary["latest_event"]
    assert latest["event_id"] == last and latest["content"]["body"] == "last"
    assert latest["room_id"] == room and latest["unsigned"]["age"] >= 0


def test_participation(alice, bob, register, room):
    carol = register("carol")
    carol.join(room)
    root = alice.send(room, "root")
    in_thread(bob, room, root, "reply")
    took_part = lambda c: bundled(c, room, root)["m.thread"]["current_user_participated"]
    assert (took_part(alice), took_part(bob), took_part(carol)) == (True, True, False)
    in_thread(carol, room, root, "me, too")
    assert took_part(carol) is True


def test_latest_event_shows_its_edit(alice, bob, room):
    root = alice.send(room, "root")
    reply = in_thread(bob, room, root, "reply")
    newest = edit(bob, room, reply, "better")
    summary = bundled(alice, room, root)["m.thread"]
    assert summary["count"] == 1  # the edit is not part of the thread
    assert summary["latest_event"]["event_id"] == reply
    assert summary["latest_event"]["unsigned"]["m.relations"]["m.replace"]["event_id"] == newest


def test_redacted_replies_do_not_count(alice, bob, room):
    root = alice.send(room, "root")
    first = in_thread(bob, room, root, "first")
    second = in_thread(bob, room, root, "second")
    bob.redact(room, second)
    summary = bundled(alice, room, root)["m.thread"]
    assert summary["count"] == 1 and summary["latest_event"]["event_id"] == first
    bob.redact(room, first)
    assert bundled(alice, room, root) == {}
    assert ids(threads(alice, room)) == []


def test_redacted_root_keeps_its_thread(alice, bob, room):
    root = alice.send(room, "root")
    in_thread(bob, room, root, "reply")
    alice.redact(room, root)
    assert bundled(alice, room, root)["m.thread"]["count"] == 1


def test_threads_do_not_start_at_related_events(alice, room):
    root = alice.send(room, "root")
    children = [in_thread(alice, room, root, "reply"), react(alice, room, root),
                edit(alice, room, root, "better")]
    for i, child in enumerate(children):
        alice.fails(400, "M_UNKNOWN", "PUT", f"/rooms/{q(room)}/send/m.room.message/nested{i}",
                    {"msgtype": "m.text", "body": "x", **relates("m.thread", child)})
    reply = alice.send(room, {"msgtype": "m.text", "body": "rich reply",
                              "m.relates_to": {"m.in_reply_to": {"event_id": root}}})
    in_thread(alice, room, reply, "about the reply")
    assert bundled(alice, room, reply)["m.thread"]["count"] == 1


def test_list_is_ordered_by_latest_event(alice, bob, room):
    a, b, c = (alice.send(room, x) for x in "abc")
    for root in (a, b, c, a):
        in_thread(bob, room, root, "reply")
    r = threads(alice, room)
    assert ids(r) == [a, c, b] and "next_batch" not in r
    assert r["chunk"][0]["unsigned"]["m.relations"]["m.thread"]["count"] == 2


def test_list_in_pages(alice, room):
    roots = [alice.send(room, str(i)) for i in range(5)]
    for root in roots:
        in_thread(alice, room, root, "reply")
    seen, at = [], {}
    for _ in range(10):
        r = threads(alice, room, limit=2, **at)
        seen += ids(r)
        if "next_batch" not in r:
            break
        at = {"from": r["next_batch"]}
    assert seen == roots[::-1]


def test_list_of_those_taken_part_in(alice, bob, register, room):
    carol = register("carol")
    carol.join(room)
    a, b = alice.send(room, "a"), bob.send(room, "b")
    in_thread(bob, room, a, "reply")
    in_thread(alice, room, b, "reply")
    in_thread(carol, room, b, "reply")
    own = lambda c: ids(threads(c, room, include="participated"))
    assert own(alice) == own(bob) == [b, a] and own(carol) == [b]
    assert ids(threads(carol, room, include="all")) == [b, a]


def test_list_refuses(alice, register, room):
    path = f"/_matrix/client/v1/rooms/{q(room)}/threads"
    alice.fails(400, "M_INVALID_PARAM", "GET", path, params={"include": "some"})
    alice.fails(400, "M_INVALID_PARAM", "GET", path, params={"limit": "0"})
    alice.fails(400, "M_INVALID_PARAM", "GET", path, params={"from": "x"})
    register("carol").fails(403, "M_FORBIDDEN", "GET", path)


def test_list_ends_where_the_user_left(alice, bob, room):
    seen = alice.send(room, "seen")
    in_thread(alice, room, seen, "reply")
    bob.leave(room)
    unseen = alice.send(room, "unseen")
    in_thread(alice, room, unseen, "reply")
    assert ids(threads(bob, room)) == [seen]

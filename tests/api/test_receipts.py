"""Receipts and read markers."""

import time

import pytest

from client import q


@pytest.fixture
def room(alice, bob):
    r = alice.create_room(preset="public_chat")
    bob.join(r)
    return r


def receipts(reply, room):
    """{event: {type: {user: {...}}}} of all m.receipt events of a room."""
    out = {}
    for e in reply["rooms"]["join"].get(room, {}).get("ephemeral", {}).get("events", []):
        if e["type"] == "m.receipt":
            for event, types in e["content"].items():
                for type, users in types.items():
                    for user, data in users.items():
                        out[(event, type, user, data.get("thread_id"))] = data
    return out


def reply(root):
    return {"msgtype": "m.text", "body": "x",
            "m.relates_to": {"rel_type": "m.thread", "event_id": root}}


def test_a_receipt_is_seen_by_all(alice, bob, room):
    event = alice.send(room, "hello")
    alice.next_sync(), bob.next_sync()
    before = time.time() * 1000 - 1000
    assert bob.read(room, event) == {}
    for c in (alice, bob):
        got = receipts(c.next_sync(timeout=10000), room)
        assert list(got) == [(event, "m.read", bob.user_id, None)]
        assert before < got[(event, "m.read", bob.user_id, None)]["ts"] < before + 60000
    assert (event, "m.read", bob.user_id, None) in receipts(alice.sync(), room)


def test_a_private_one_is_not(alice, bob, room):
    event = alice.send(room, "hello")
    alice.next_sync(), bob.next_sync()
    bob.read(room, event, kind="m.read.private")
    assert receipts(alice.next_sync(), room) == {}
    assert receipts(alice.sync(), room) == {}
    assert list(receipts(bob.next_sync(), room)) == [(event, "m.read.private", bob.user_id, None)]
    assert (event, "m.read.private", bob.user_id, None) in receipts(bob.sync(), room)


def test_never_backwards(alice, bob, room):
    first, second = alice.send(room, "1"), alice.send(room, "2")
    bob.read(room, second)
    alice.next_sync()
    bob.read(room, first)
    bob.read(room, second)
    assert receipts(alice.next_sync(), room) == {}
    assert list(receipts(alice.sync(), room)) == [(second, "m.read", bob.user_id, None)]


def test_only_the_newest_is_notified(alice, bob, room):
    events = [alice.send(room, str(i)) for i in range(3)]
    alice.next_sync()
    for e in events:
        bob.read(room, e)
        bob.read(room, e, thread_id="main")
        bob.read(room, e, kind="m.read.private")
    assert set(receipts(alice.next_sync(), room)) == {
        (events[2], "m.read", bob.user_id, None), (events[2], "m.read", bob.user_id, "main")}


def test_threads(alice, bob, room):
    root = alice.send(room, "root")
    in_thread = alice.send(room, reply(root))
    bob.read(room, root, thread_id="main")
    bob.read(room, in_thread, thread_id=root)
    bob.read(room, in_thread)
    assert set(receipts(alice.sync(), room)) == {
        (root, "m.read", bob.user_id, "main"), (in_thread, "m.read", bob.user_id, root),
        (in_thread, "m.read", bob.user_id, None)}
    # The root itself may be read as part of its thread.
    other = alice.send(room, "another root")
    bob.read(room, other, thread_id=other)


@pytest.mark.parametrize("thread", ["", 7, None, {}, "$unknown", "nonsense"])
def test_bad_threads(alice, bob, room, thread):
    event = alice.send(room, "hello")
    bob.fails(400, "M_INVALID_PARAM", "POST", f"/rooms/{q(room)}/receipt/m.read/{q(event)}",
              {"thread_id": thread})


def test_events_of_other_threads(alice, bob, room):
    root, other = alice.send(room, "root"), alice.send(room, "other")
    in_thread = alice.send(room, reply(root))
    for event, thread in ((in_thread, "main"), (in_thread, other), (other, root)):
        bob.fails(400, "M_INVALID_PARAM", "POST", f"/rooms/{q(room)}/receipt/m.read/{q(event)}",
                  {"thread_id": thread})
    bob.fails(400, "M_INVALID_PARAM", "POST", f"/rooms/{q(room)}/receipt/m.fully_read/{q(root)}",
              {"thread_id": "main"})


def test_a_reaction_is_in_the_thread_of_its_target(alice, bob, room):
    root = alice.send(room, "root")
    in_thread = alice.send(room, reply(root))

    def react(event):
        return alice.send(room, {"m.relates_to": {"rel_type": "m.annotation", "event_id": event,
                                                  "key": "x"}}, type="m.reaction")

    bob.read(room, react(in_thread), thread_id=root)
    # Events with another relation to the root are in the main timeline, but clients show them in the
    # thread, and send such receipts.
    bob.read(room, react(root), thread_id=root)
    about = alice.send(room, {"m.relates_to": {"rel_type": "m.reference", "event_id": root}},
                       type="org.example.about")
    bob.read(room, react(about), thread_id=root)
    bob.read(room, about, thread_id="main")
    bob.fails(400, "M_INVALID_PARAM", "POST",
              f"/rooms/{q(room)}/receipt/m.read/{q(about)}", {"thread_id": in_thread})


def test_refusals(alice, bob, room, register):
    event = alice.send(room, "hello")
    elsewhere = alice.create_room()
    bob.fails(400, "M_INVALID_PARAM", "POST", f"/rooms/{q(room)}/receipt/m.seen/{q(event)}")
    bob.fails(404, "M_NOT_FOUND", "POST", f"/rooms/{q(room)}/receipt/m.read/{q('$nothing')}")
    alice.fails(404, "M_NOT_FOUND", "POST", f"/rooms/{q(elsewhere)}/receipt/m.read/{q(event)}")
    register("carol").fails(403, "M_FORBIDDEN", "POST",
                            f"/rooms/{q(room)}/receipt/m.read/{q(event)}")


def fully_read(client, room):
    return client.get(f"/user/{q(client.user_id)}/rooms/{q(room)}/account_data/m.fully_read")


def test_fully_read(alice, bob, room):
    first, second = alice.send(room, "1"), alice.send(room, "2")
    bob.next_sync()
    bob.read(room, second, kind="m.fully_read")
    assert fully_read(bob, room) == {"event_id": second}
    joined = bob.next_sync()["rooms"]["join"][room]
    assert joined["account_data"]["events"] == [
        {"type": "m.fully_read", "content": {"event_id": second}}]
    assert receipts(bob.sync(), room) == {}
    bob.read(room, first, kind="m.fully_read")
    assert fully_read(bob, room) == {"event_id": second}


def test_read_markers(alice, bob, room):
    a, b, c = (alice.send(room, x) for x in "abc")
    path = f"/rooms/{q(room)}/read_markers"
    assert bob.post(path, {}) == {}
    bob.post(path, {"m.fully_read": a, "m.read": b, "m.read.private": c})
    assert fully_read(bob, room) == {"event_id": a}
    assert set(receipts(bob.sync(), room)) == {(b, "m.read", bob.user_id, None),
                                               (c, "m.read.private", bob.user_id, None)}
    bob.post(path, {"m.read": c})
    assert (c, "m.read", bob.user_id, None) in receipts(alice.sync(), room)
    assert fully_read(bob, room) == {"event_id": a}
    bob.fails(400, "M_BAD_JSON", "POST", path, {"m.read": 5})
    bob.fails(404, "M_NOT_FOUND", "POST", path, {"m.fully_read": "$nothing"})


def test_receipts_of_a_room_that_is_joined_later(alice, bob, room, register):
    event = alice.send(room, "hello")
    bob.read(room, event)
    carol = register("carol")
    carol.next_sync()
    carol.join(room)
    assert (event, "m.read", bob.user_id, None) in receipts(carol.next_sync(), room)


def test_the_ephemeral_filter(alice, bob, room):
    event = alice.send(room, "hello")
    bob.read(room, event)
    no_receipts = '{"room":{"ephemeral":{"not_types":["m.receipt"]}}}'
    assert receipts(alice.sync(filter=no_receipts), room) == {}


def test_receipts_in_a_large_room_wake_syncs(register):
    """In a large room receipts are sent together, a little later."""
    import threading

    speaker = register("speaker")
    room = speaker.create_room(preset="public_chat")
    crowd = [register("listener") for _ in range(34)]
    for one in crowd:
        one.join(room)
    event = speaker.send(room, "who is listening?")
    replies = {}

    def wait(one, since):
        deadline = 20
        while deadline:
            reply = one.sync(since=since, timeout=5000)
            since = reply["next_batch"]
            joined = reply["rooms"]["join"].get(room, {})
            for e in joined.get("ephemeral", {}).get("events", []):
                if e["type"] == "m.receipt" and crowd[0].user_id in str(e["content"].get(event)):
                    replies[one.user_id] = True
                    return
            deadline -= 1

    threads = [threading.Thread(target=wait, args=(one, one.sync()["next_batch"])) for one in crowd[1:]]
    for thread in threads:
        thread.start()
    crowd[0].read(room, event)
    for thread in threads:
        thread.join(60)
    assert len(replies) == len(crowd) - 1

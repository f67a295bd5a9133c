"""Rooms of version 3 and later, "Handling redactions": clients are shown a redaction when it is applied,
and not before. In versions 1 and 2 a redaction may come before its target as well."""

import json
import secrets
import threading

import pytest

import pdus
from client import timeline
from federation import history, received
from remote import FED, q
from restoring import busy_workers, commits_held
from waiting import eventually


def redaction(remote, room, sender, target, **options):
    """(id, event) of a redaction; content or top level, as the version has it."""
    content, more = {"redacts": target}, {}
    if int(room.version) < 11:
        content, more = {}, {"redacts": target}
    return remote.event(room, sender, "m.room.redaction", content, **more, **options)


def is_withheld(client, room, event_id, since):
    """On every route that could return it."""
    shown = history(client, room)
    assert event_id not in shown
    client.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(room)}/event/{q(event_id)}")
    client.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(room)}/context/{q(event_id)}")
    around = client.get(f"/rooms/{q(room)}/context/{q(shown[0])}?limit=20")
    first = client.get(f"/rooms/{q(room)}/initialSync?limit=100")
    filter_ = json.dumps({"room": {"timeline": {"limit": 50}}})
    replies = [client.sync(filter=filter_), client.sync(since=since, filter=filter_), around, first]
    return all(event_id not in json.dumps(r) for r in replies)


@pytest.mark.parametrize("version", ["1", "3", "6", "10", "11", "12"])
def test_it_waits_for_its_target(room_of, version):
    a, alice, remote, room, carol = room_of(version)
    since, heads = alice.sync()["next_batch"], room.heads[:]
    target, event = remote.event(room, carol, "m.room.message", {"body": "SECRET", "msgtype": "m.text"})
    redacts, redaction_event = redaction(remote, room, carol, target, prev=heads)
    room.heads = [redacts]
    assert remote.put_transaction(a.name, [redaction_event]) == {"pdus": {redacts: {}}}
    later = remote.send(room, carol, "later")
    received(alice, room.id, later)
    assert is_withheld(alice, room.id, redacts, since)
    assert remote.get(a.name, f"{FED}/v1/event/{q(redacts)}")["pdus"]  # servers get it

    remote.put_transaction(a.name, [event])
    gone = eventually(lambda: alice.event(room.id, target))
    assert gone["content"] == {}
    assert gone["unsigned"]["redacted_because"]["event_id"] == redacts
    assert {redacts, target} <= set(history(alice, room.id))
    listed = {e["event_id"]: e for e in timeline(alice.sync(since=since), room.id)}
    assert listed[target]["content"] == {}


def too_long(remote):
    """Longer than an index entry, even when compressed."""
    return "$" + secrets.token_urlsafe(9000) + ":" + remote.name


@pytest.mark.parametrize("version", ["1", "10", "11", "12"])
@pytest.mark.parametrize("what", [lambda remote: "$nothing:" + remote.name, too_long])
def test_a_redaction_of_an_impossible_id(room_of, version, what):
    a, alice, remote, room, carol = room_of(version, power_level_content_override={"redact": 0})
    since = alice.sync()["next_batch"]
    redacts, event = redaction(remote, room, carol, what(remote))
    assert remote.put_transaction(a.name, [event]) == {"pdus": {redacts: {}}}
    room.heads = [redacts]
    received(alice, room.id, remote.send(room, carol, "later"))
    assert is_withheld(alice, room.id, redacts, since)


@pytest.mark.parametrize("version", ["1", "10", "12"])
@pytest.mark.parametrize("what", [lambda remote: "$nothing:" + remote.name, too_long])
def test_a_relation_to_an_invalid_event_id(room_of, version, what):
    a, alice, remote, room, carol = room_of(version)
    relation = {"rel_type": "m.thread", "event_id": what(remote)}
    content = {"msgtype": "m.text", "body": "x", "m.relates_to": relation}
    said, event = remote.event(room, carol, "m.room.message", content)
    assert remote.put_transaction(a.name, [event]) == {"pdus": {said: {}}}
    received(alice, room.id, said)


@pytest.mark.parametrize("version", ["3", "10", "12"])
def test_one_that_is_not_allowed(room_of, version):
    a, alice, remote, room, carol = room_of(version)
    since = alice.sync()["next_batch"]
    target = alice.send(room.id, "stays")
    remote.wait_for(lambda: target in remote.pdu_ids(version))
    redacts, event = redaction(remote, room, carol, target)
    remote.put_transaction(a.name, [event])
    received(alice, room.id, remote.send(room, carol, "later"))
    assert is_withheld(alice, room.id, redacts, since)
    assert alice.event(room.id, target)["content"]["body"] == "stays"


@pytest.mark.parametrize("version", ["3", "12"])
def test_one_that_points_into_another_room(room_of, version):
    a, alice, remote, room, carol = room_of(version)
    other = remote.join(a.name, alice.create_room(preset="public_chat", room_version=version), carol)
    elsewhere = remote.send(other, carol, "stays")
    received(alice, other.id, elsewhere)
    since = alice.sync()["next_batch"]
    redacts, event = redaction(remote, room, carol, elsewhere)
    remote.put_transaction(a.name, [event])
    received(alice, room.id, remote.send(room, carol, "later"))
    assert is_withheld(alice, room.id, redacts, since)
    assert alice.event(other.id, elsewhere)["content"]["body"] == "stays"


def test_each_of_several_redactions_is_checked(room_of, remotes):
    """An event that came after two redactions of it, one allowed and one not."""
    a, alice, remote, room, carol = room_of()
    dan_remote = remotes()
    dan = dan_remote.user("dan")
    theirs = dan_remote.join(a.name, room.id, dan)
    since, heads = alice.sync()["next_batch"], theirs.heads[:]
    remote.wait_for(lambda: heads[0] in remote.pdu_ids())
    target, event = remote.event(room, carol, "m.room.message", {"body": "x"}, prev=heads)
    good, good_event = redaction(remote, room, carol, target, prev=heads)
    bad, bad_event = redaction(dan_remote, theirs, dan, target, prev=heads)
    dan_remote.put_transaction(a.name, [bad_event])
    remote.put_transaction(a.name, [good_event])
    remote.put_transaction(a.name, [event])
    assert eventually(lambda: alice.event(room.id, target))["unsigned"]["redacted_because"][
        "event_id"] == good
    assert good in history(alice, room.id)
    assert is_withheld(alice, room.id, bad, since)


def test_a_second_one_is_shown(room_of):
    a, alice, remote, room, carol = room_of()
    target = remote.send(room, carol, "x")
    first, event = redaction(remote, room, carol, target)
    remote.put_transaction(a.name, [event])
    second, again = redaction(remote, room, carol, target)
    remote.put_transaction(a.name, [again])
    received(alice, room.id, second)
    assert alice.event(room.id, target)["unsigned"]["redacted_because"]["event_id"] == first


def test_own_redactions_need_a_target(two):
    alice = two[0].user("alice")
    room, other = (alice.create_room() for _ in range(2))
    elsewhere = alice.send(other, "stays")
    for wrong, status, errcode in ((elsewhere, 400, "M_UNKNOWN"), ("nonsense", 404, "M_NOT_FOUND"),
                                   ("$" + "A" * 43, 404, "M_NOT_FOUND")):
        alice.fails(status, errcode, "PUT", f"/rooms/{q(room)}/redact/{q(wrong)}/1")
        alice.fails(status, errcode, "PUT", f"/rooms/{q(room)}/send/m.room.redaction/{q(wrong)}",
                    {"redacts": wrong})
    assert alice.event(other, elsewhere)["content"]["body"] == "stays"


@pytest.mark.parametrize("version", ["1", "10", "12"])
def test_a_redaction_that_overtakes_its_target(ministries, remotes, version):
    """Both wait for another writer of the room; when the target looked for a redaction, none was
    stored yet."""
    a, remote = ministries(), remotes()
    alice = a.user("alice")
    room_id = alice.create_room(preset="public_chat", room_version=version)
    carol = remote.user("carol")
    room = remote.join(a.name, room_id, carol)
    heads = room.heads[:]
    target, event = remote.event(room, carol, "m.room.message", {"body": "SECRET", "msgtype": "m.text"})
    redacts, redaction_event = redaction(remote, room, carol, target, prev=heads)
    threads = [threading.Thread(target=alice.send_state, args=(room_id, "m.room.topic", {"topic": "x"}))]
    threads += [threading.Thread(target=remote.put_transaction, args=(a.name, [e]))
                for e in (redaction_event, event)]
    with commits_held(a) as waiting:
        for n, t in enumerate(threads):
            t.start()
            eventually(lambda: waiting() and busy_workers(alice, "federation") == n)
    for t in threads:
        t.join()
    gone = eventually(lambda: alice.event(room_id, target))
    assert gone["content"] == {}
    assert gone["unsigned"]["redacted_because"]["event_id"] == redacts


@pytest.mark.parametrize("allowed", [False, True])
def test_withheld_redactions_have_no_effect(room_of, allowed):
    """It does not notify, changes no count, and is not in a thread."""
    a, alice, remote, room, carol = room_of()
    root = remote.send(room, carol, "root")
    target = remote.send(room, carol, "x") if allowed else alice.send(room.id, "stays")
    if not allowed:
        remote.wait_for(lambda: target in remote.pdu_ids())
    received(alice, room.id, target)
    alice.post(f"/rooms/{q(room.id)}/receipt/m.read/{q(target)}", {})
    unread = remote.send(room, carol, {"msgtype": "m.text", "body": "x",
                                       "m.mentions": {"user_ids": [alice.user_id]}})
    received(alice, room.id, unread)
    redacts, event = remote.event(room, carol, "m.room.redaction", {
        "redacts": target, "body": alice.user_id, "m.mentions": {"user_ids": [alice.user_id]},
        "m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    assert remote.put_transaction(a.name, [event]) == {"pdus": {redacts: {}}}
    received(alice, room.id, remote.send(room, carol, "later"))
    reply = alice.sync(filter=json.dumps({"room": {"timeline": {"unread_thread_notifications": True}}}))
    joined = reply["rooms"]["join"][room.id]
    assert joined["unread_notifications"] == {"notification_count": 2, "highlight_count": 1}
    in_thread = {"notification_count": 1, "highlight_count": 1}
    assert joined.get("unread_thread_notifications", {}) == ({root: in_thread} if allowed else {})
    thread = alice.event(room.id, root)["unsigned"].get("m.relations", {}).get("m.thread")
    assert bool(thread) == allowed
    assert ([e["event_id"] for e in alice.get(f"/_matrix/client/v1/rooms/{q(room.id)}/threads")["chunk"]]
            == ([root] if allowed else []))

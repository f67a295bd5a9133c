"""Typing, receipts and presence between servers (server-server API, "EDUs")."""

import time

import pytest

from client import q
from sending import enter, wait_for_event
from waiting import eventually


@pytest.fixture
def ministry(shared_ministries):
    return shared_ministries(1)[0]


@pytest.fixture
def alice(ministry):
    return ministry.user("alice")


@pytest.fixture
def shared(ministry, remote, alice):
    """(room, carol): carol is a user of the remote, alice one of ours."""
    return enter(remote, ministry, alice)


def ephemeral(reply, room, type):
    part = reply.get("rooms", {}).get("join", {}).get(room, {})
    return [e["content"] for e in part.get("ephemeral", {}).get("events", []) if e["type"] == type]


def deny(alice, room):
    alice.send_state(room, "m.room.server_acl", {"allow": ["*"], "deny": ["localhost"]})


# ---- typing ----


def set_typing(client, room, typing, **body):
    client.put(f"/rooms/{q(room)}/typing/{q(client.user_id)}", {"typing": typing, **body})


def test_typing_is_sent(remote, alice, shared):
    room, _ = shared
    sent = lambda: [(c["room_id"], c["user_id"], c["typing"]) for c in remote.edus_of("m.typing")]
    set_typing(alice, room, True, timeout=30000)
    eventually(lambda: sent() == [(room, alice.user_id, True)])
    set_typing(alice, room, True, timeout=30000)
    set_typing(alice, room, False)
    eventually(lambda: sent() == [(room, alice.user_id, True), (room, alice.user_id, False)])
    set_typing(alice, room, True, timeout=300)
    eventually(lambda: sent()[2:] == [(room, alice.user_id, True), (room, alice.user_id, False)])


def test_typing_is_heard(ministry, remote, alice, shared):
    room, carol = shared
    alice.next_sync()
    say = lambda typing, user=carol, where=room: remote.send_edu(
        ministry.name, "m.typing", {"room_id": where, "user_id": user, "typing": typing})
    say(True)
    alice.sync_until(lambda r: ephemeral(r, room, "m.typing") == [{"user_ids": [carol]}])
    for wrong in (remote.user("not-there"), "@x:elsewhere.example", alice.user_id, "nonsense"):
        say(True, wrong)
    say(True, where="!unknown")
    say(False)
    alice.sync_until(lambda r: ephemeral(r, room, "m.typing") == [{"user_ids": []}])
    assert not remote.edus_of("m.typing")  # servers are not sent their own users' typing


# ---- receipts ----


def receipt(user, event, ts=1533358089009, **data):
    return {"m.read": {user: {"event_ids": [event], "data": {"ts": ts, **data}}}}


def test_public_receipts_are_sent_and_private_ones_are_not(remote, alice, shared):
    room, _ = shared
    event = alice.send(room, "read me")
    second = alice.send(room, "me too")
    root = alice.send(room, "a thread")
    reply = alice.send(room, {"msgtype": "m.text", "body": "in it", "m.relates_to": {
        "rel_type": "m.thread", "event_id": root}})
    alice.read(room, event)
    alice.read(room, second, kind="m.read.private")
    alice.read(room, reply, thread_id=root)
    alice.read(room, second, thread_id="main")
    alice.read(room, reply)
    found = {}

    def all_came():
        for c in remote.edus_of("m.receipt"):
            assert list(c) == [room] and list(c[room]) == ["m.read"]
            for user, r in c[room]["m.read"].items():
                assert user == alice.user_id and abs(r["data"]["ts"] / 1000 - time.time()) < 60
                found[r["data"].get("thread_id")] = r["event_ids"]
        return found == {None: [reply], "main": [second], root: [reply]}

    eventually(all_came)
    assert "private" not in str([r.raw for r in remote.requests])


def test_receipts_are_heard(ministry, remote, alice, shared):
    room, carol = shared
    first, event = alice.send(room, "one"), alice.send(room, "two")
    wait_for_event(remote, event)
    alice.next_sync()
    tell = lambda content: remote.send_edu(ministry.name, "m.receipt", content)
    tell({room: receipt(carol, event), "!unknown": receipt(carol, event)})
    seen = alice.sync_until(lambda r: ephemeral(r, room, "m.receipt"))
    assert seen == [{event: {"m.read": {carol: {"ts": 1533358089009}}}}]
    for nothing in (receipt(carol, first), receipt(carol, "$unknown"), receipt(alice.user_id, event),
                    receipt(remote.user("not-there"), event), receipt(carol, event, ts="x"),
                    {"m.read.private": receipt(carol, event)["m.read"]}, {"m.read": [carol]}, 7):
        tell({room: nothing})
    tell({room: receipt(carol, event, ts=5, thread_id="main")})
    seen = alice.sync_until(lambda r: ephemeral(r, room, "m.receipt"))
    assert seen == [{event: {"m.read": {carol: {"ts": 5, "thread_id": "main"}}}}]
    tell({room: receipt(carol, event, thread_id="$" + "x" * 43)})
    assert not ephemeral(alice.next_sync(timeout=300), room, "m.receipt")
    assert not remote.edus_of("m.receipt")


def test_a_receipt_before_its_event_is_not_lost(ministry, remote, alice, shared):
    room, carol = shared
    alice.next_sync()
    theirs = remote.rooms[room]
    event, pdu = remote.event(theirs, carol, "m.room.message", {"msgtype": "m.text", "body": "late"})
    remote.send_edu(ministry.name, "m.receipt", {room: receipt(carol, event)})
    remote.put_transaction(ministry.name, [pdu])
    seen = alice.sync_until(lambda r: ephemeral(r, room, "m.receipt"))
    assert seen == [{event: {"m.read": {carol: {"ts": 1533358089009}}}}]


# ---- presence ----


def presences(reply):
    return {e["sender"]: e["content"] for e in reply.get("presence", {}).get("events", [])}


def test_presence_is_sent(remote, alice, shared):
    alice.put(f"/presence/{q(alice.user_id)}/status",
              {"presence": "unavailable", "status_msg": "at lunch"})
    pushed = lambda: [p for c in remote.edus_of("m.presence") for p in c["push"]]
    sent = eventually(lambda: [p for p in pushed() if p["presence"] == "unavailable"])[0]
    assert sent["user_id"] == alice.user_id and sent["status_msg"] == "at lunch"
    assert 0 <= sent["last_active_ago"] < 10000 and sent["currently_active"] is False
    alice.put(f"/presence/{q(alice.user_id)}/status", {"presence": "online"})
    eventually(lambda: pushed()[-1]["presence"] == "online" and "status_msg" not in pushed()[-1])


def test_presence_is_heard(ministry, remote, alice, shared):
    _, carol = shared
    alice.next_sync()
    push = lambda *pushes: remote.send_edu(ministry.name, "m.presence", {"push": list(pushes)})
    push({"user_id": alice.user_id, "presence": "offline", "last_active_ago": 1},
         {"user_id": carol, "presence": "dancing", "last_active_ago": 1}, 7,
         {"user_id": carol, "presence": "online", "last_active_ago": 5000,
          "currently_active": True, "status_msg": "here"})
    seen = alice.sync_until(lambda r: presences(r).get(carol))
    assert seen["presence"] == "online" and seen["status_msg"] == "here"
    assert 5000 <= seen["last_active_ago"] < 60000
    got = alice.get(f"/presence/{q(carol)}/status")
    assert got["presence"] == "online"
    push({"user_id": carol, "presence": "offline", "last_active_ago": 6000})
    alice.sync_until(lambda r: presences(r).get(carol, {}).get("presence") == "offline")


def test_a_server_that_joins_is_sent_presence(ministry, remotes, alice):
    early, late = remotes(), remotes()
    heard = lambda remote: [p for c in remote.edus_of("m.presence") for p in c["push"]
                            if p["user_id"] == alice.user_id and p["presence"] == "online"]
    enter(early, ministry, alice)
    alice.sync(set_presence="online")
    eventually(lambda: heard(early))
    enter(late, ministry, alice)
    eventually(lambda: heard(late))


def test_without_presence_none_is_sent_or_accepted(ministries, remote):
    a = ministries(presence__enabled="false")
    alice = a.user("alice")
    room, carol = enter(remote, a, alice)
    alice.put(f"/presence/{q(alice.user_id)}/status", {"presence": "online"})
    remote.send_edu(a.name, "m.presence", {"push": [
        {"user_id": carol, "presence": "online", "last_active_ago": 1}]})
    a.advance(2)  # presence would be sent each second
    wait_for_event(remote, alice.send(room, "hello"))
    a.advance(2)
    wait_for_event(remote, alice.send(room, "hello again"))
    assert not remote.edus_of("m.presence")
    assert alice.get(f"/presence/{q(carol)}/status")["presence"] == "offline"


# ---- access control lists ----


def test_a_denied_server_is_not_heard(ministry, remote, alice, shared):
    room, carol = shared
    event = alice.send(room, "hello")
    deny(alice, room)
    alice.next_sync()
    remote.send_edu(ministry.name, "m.typing", {"room_id": room, "user_id": carol, "typing": True})
    remote.send_edu(ministry.name, "m.receipt", {room: receipt(carol, event)})
    reply = alice.next_sync(timeout=500)
    assert not ephemeral(reply, room, "m.typing") and not ephemeral(reply, room, "m.receipt")


def test_a_denied_server_is_sent_no_edus(remote, alice, shared):
    room, _ = shared
    event = alice.send(room, "hello")
    deny(alice, room)
    set_typing(alice, room, True)
    alice.read(room, event)
    other, _ = enter(remote, alice.server, alice)
    alice.read(other, alice.send(other, "elsewhere"))
    eventually(lambda: remote.edus_of("m.receipt"))
    assert all(list(c) == [other] for c in remote.edus_of("m.receipt"))
    assert not remote.edus_of("m.typing")


def test_invalid_edus_harm_no_others(ministry, remote, alice, shared):
    room, carol = shared
    alice.next_sync()
    remote.put_transaction(ministry.name, edus=[
        7, {}, {"edu_type": "m.typing"}, {"edu_type": "m.typing", "content": []},
        {"edu_type": "m.typing", "content": {"room_id": 1}}, {"edu_type": "x.unknown", "content": {}},
        {"edu_type": "m.receipt", "content": {room: None}},
        {"edu_type": "m.presence", "content": {"push": {}}},
        {"edu_type": "m.typing", "content": {"room_id": room, "user_id": carol, "typing": True}}])
    alice.sync_until(lambda r: ephemeral(r, room, "m.typing") == [{"user_ids": [carol]}])

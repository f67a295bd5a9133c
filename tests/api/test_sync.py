"""Client-server API, "Syncing": initial and incremental replies."""

import threading
import time

import pytest

from client import Client, q
from syncing import bodies, events_of, ids, inline, members_in, section, state_of, timeline_filter
from server import metric


def test_a_brand_new_user(alice):
    r = alice.sync()
    assert isinstance(r["next_batch"], str)
    for name in "join", "invite", "knock", "leave":
        assert not r.get("rooms", {}).get(name)
    types = [e["type"] for e in r["account_data"]["events"]]
    assert types.count("m.push_rules") == 1
    assert r.get("to_device", {}).get("events", []) == []
    assert r["device_unused_fallback_key_types"] == []
    again = alice.sync(since=r["next_batch"])
    assert not any(again.get("rooms", {}).values())
    assert not again.get("account_data", {}).get("events")


def test_needs_a_token(anonymous):
    anonymous.fails(401, "M_MISSING_TOKEN", "GET", "/sync")


def test_initial_room(alice, bob):
    room = alice.create_room(name="A room", invite=[bob.user_id], topic="T")
    bob.join(room)
    sent = alice.send(room, "hello")
    part = section(bob.sync(), room)
    line = part["timeline"]
    assert ids(line["events"])[-1] == sent
    state = state_of(bob.sync(), room)
    everything = {(e["type"], e["state_key"]): e["event_id"] for e in alice.state(room)}
    shown = {k: e["event_id"] for k, e in state.items()}
    for e in line["events"]:
        if "state_key" in e:
            shown[e["type"], e["state_key"]] = e["event_id"]
    assert shown == everything
    for e in line["events"] + list(state.values()):
        assert "room_id" not in e
        assert {"event_id", "type", "sender", "origin_server_ts", "content"} <= set(e)
        assert isinstance(e["unsigned"]["age"], int)
    assert part["summary"]["m.joined_member_count"] == 2
    assert part["unread_notifications"] == {"notification_count": 1, "highlight_count": 0}


def test_incremental_sync_has_only_new_events(alice):
    rooms = [alice.create_room() for _ in range(3)]
    since = alice.sync()["next_batch"]
    sent = alice.send(rooms[1], "new")
    r = alice.sync(since=since)
    assert list(r["rooms"]["join"]) == [rooms[1]]
    part = section(r, rooms[1])
    assert ids(part["timeline"]["events"]) == [sent]
    assert part["timeline"]["limited"] is False
    assert part["state"]["events"] == []
    assert alice.sync(since=since)["rooms"]["join"].keys() == {rooms[1]}  # the same for each request
    assert not alice.sync(since=r["next_batch"])["rooms"].get("join")


def test_transaction_id_for_the_device_that_sent(alice):
    room = alice.create_room()
    other = alice.another_device()
    mine, theirs = alice.sync()["next_batch"], other.sync()["next_batch"]
    alice.send(room, "x", txn="of-mine")
    assert events_of(alice.sync(since=mine), room)[0]["unsigned"]["transaction_id"] == "of-mine"
    assert "transaction_id" not in events_of(other.sync(since=theirs), room)[0]["unsigned"]


def test_full_state(alice, bob):
    room = alice.create_room(invite=[bob.user_id])
    bob.join(room)
    since = alice.sync()["next_batch"]
    assert not alice.sync(since=since)["rooms"].get("join")
    r = alice.sync(since=since, full_state="true")
    keys = {(e["type"], e["state_key"]) for e in alice.state(room)}
    assert set(state_of(r, room)) == keys
    assert events_of(r, room) == []
    started = time.monotonic()
    alice.sync(since=since, full_state="true", timeout=20000)  # "return immediately"
    assert time.monotonic() - started < 5


def test_sixty_rooms_with_changes_in_three(alice, bob):
    rooms = [alice.create_room(preset="public_chat") for _ in range(60)]
    for room in rooms[::2]:
        bob.join(room)
    alice.next_sync()
    assert not alice.next_sync()["rooms"].get("join")
    sent = {room: alice.send(room, "x") for room in (rooms[3], rooms[30], rooms[59])}
    r = alice.next_sync()
    assert {room: ids(events_of(r, room))[0] for room in r["rooms"]["join"]} == sent
    assert list(bob.sync()["rooms"]["join"].keys() ^ set(rooms[::2])) == []


def test_redacted_events(alice):
    room = alice.create_room()
    before = alice.sync()["next_batch"]
    secret = alice.send(room, "secret")
    redaction = alice.redact(room, secret, reason="because")
    for reply in alice.sync(since=before), alice.sync():
        shown = {e["event_id"]: e for e in events_of(reply, room)}
        assert shown[secret]["content"] == {}
        assert shown[secret]["unsigned"]["redacted_because"]["event_id"] == redaction
        assert redaction in shown


# ---- summaries ---------------------------------------------------------------------------------


def test_summary_and_heroes(register):
    users = [register(name) for name in ("ann", "ben", "cat", "dan", "eve", "fay", "gus", "hal")]
    ann = users[0]
    room = ann.create_room(preset="public_chat")
    for user in users[1:4]:
        user.join(room)
    ann.invite(room, users[4])
    summary = section(ann.sync(), room)["summary"]
    assert summary["m.joined_member_count"] == 4
    assert summary["m.invited_member_count"] == 1
    assert sorted(summary["m.heroes"]) == sorted(u.user_id for u in users[1:5])
    for user in users[5:]:
        user.join(room)
    summary = section(ann.sync(), room)["summary"]
    assert len(summary["m.heroes"]) == 5 and ann.user_id not in summary["m.heroes"]
    ann.send_state(room, "m.room.name", {"name": "named"})
    assert not section(ann.sync(), room)["summary"].get("m.heroes")


def test_summary_is_sent_when_members_change(alice, bob):
    room = alice.create_room(preset="public_chat")
    alice.next_sync()
    alice.send(room, "x")
    assert not section(alice.next_sync(), room).get("summary")
    bob.join(room)
    summary = section(alice.next_sync(), room)["summary"]
    assert summary["m.joined_member_count"] == 2 and summary["m.heroes"] == [bob.user_id]
    bob.leave(room)
    summary = section(alice.next_sync(), room)["summary"]
    assert summary["m.joined_member_count"] == 1
    assert summary["m.heroes"] == [bob.user_id]  # members who have left


# ---- ephemeral, account data -------------------------------------------------------------------


def ephemeral(reply, room, kind):
    return [e for e in section(reply, room).get("ephemeral", {}).get("events", [])
            if e["type"] == kind]


def test_receipts(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    sent = alice.send(room, "x")
    alice.next_sync(), bob.next_sync()
    bob.read(room, sent)
    r = alice.next_sync()
    assert ephemeral(r, room, "m.receipt")[0]["content"][sent]["m.read"].keys() == {bob.user_id}
    assert not ephemeral(alice.next_sync(), room, "m.receipt")
    assert ephemeral(alice.sync(), room, "m.receipt")  # an initial sync has all
    assert section(bob.next_sync(), room)["unread_notifications"]["notification_count"] == 0
    alice.read(room, sent, kind="m.read.private")
    assert not ephemeral(bob.next_sync(), room, "m.receipt")
    private = ephemeral(alice.next_sync(), room, "m.receipt")
    assert private[0]["content"][sent]["m.read.private"].keys() == {alice.user_id}


def test_ephemeral_events_of_newly_joined_rooms(alice, bob):
    room = alice.create_room(preset="public_chat")
    sent = alice.send(room, "x")
    alice.read(room, sent)
    bob.next_sync()
    alice.put(f"/rooms/{q(room)}/typing/{q(alice.user_id)}", {"typing": True, "timeout": 30000})
    bob.join(room)
    r = bob.next_sync()
    assert ephemeral(r, room, "m.typing")[0]["content"]["user_ids"] == [alice.user_id]
    assert ephemeral(r, room, "m.receipt")[0]["content"][sent]["m.read"].keys() == {alice.user_id}


def test_typing(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.next_sync()
    path = f"/rooms/{q(room)}/typing/{q(bob.user_id)}"
    bob.put(path, {"typing": True, "timeout": 30000})
    r = alice.next_sync()
    assert ephemeral(r, room, "m.typing")[0]["content"]["user_ids"] == [bob.user_id]
    assert events_of(r, room) == []
    assert not section(alice.next_sync(), room)
    bob.put(path, {"typing": False})
    assert ephemeral(alice.next_sync(), room, "m.typing")[0]["content"]["user_ids"] == []


def test_account_data(alice):
    room = alice.create_room()
    other = alice.another_device()
    alice.next_sync(), other.next_sync()
    alice.put(f"/user/{q(alice.user_id)}/account_data/org.test", {"a": 1})
    alice.put(f"/user/{q(alice.user_id)}/rooms/{q(room)}/account_data/org.room", {"b": 2})
    alice.put(f"/user/{q(alice.user_id)}/rooms/{q(room)}/tags/u.work", {"order": 0.5})
    for client in alice, other:
        r = client.next_sync()
        assert r["account_data"]["events"] == [{"type": "org.test", "content": {"a": 1}}]
        mine = {e["type"]: e["content"] for e in section(r, room)["account_data"]["events"]}
        assert mine == {"org.room": {"b": 2}, "m.tag": {"tags": {"u.work": {"order": 0.5}}}}
        assert not client.next_sync()["account_data"]["events"]
    r = alice.sync()
    assert {"org.test", "m.push_rules"} <= {e["type"] for e in r["account_data"]["events"]}
    types = {e["type"] for e in section(r, room)["account_data"]["events"]}
    assert types == {"org.room", "m.tag"}


def test_changed_push_rules(alice):
    alice.next_sync()
    alice.put("/pushrules/global/content/mine", {"pattern": "wake", "actions": ["notify"]})
    (event,) = alice.next_sync()["account_data"]["events"]
    assert event["type"] == "m.push_rules"
    rules = [r["rule_id"] for r in event["content"]["global"]["content"]]
    assert "mine" in rules and ".m.rule.contains_user_name" in rules


# ---- to-device, device lists, keys -------------------------------------------------------------


def send_to(sender, receiver, n=1, device=None):
    for i in range(n):
        sender.put(f"/sendToDevice/m.test/{time.monotonic_ns()}",
                   {"messages": {receiver.user_id: {device or receiver.device_id: {"n": i}}}})


def test_to_device_until_acknowledged(alice, bob):
    since = bob.sync()["next_batch"]
    send_to(alice, bob, 3)
    first = bob.sync(since=since)
    wanted = [{"type": "m.test", "sender": alice.user_id, "content": {"n": i}} for i in range(3)]
    assert first["to_device"]["events"] == wanted
    assert bob.sync(since=since)["to_device"]["events"] == wanted  # the reply was lost
    assert bob.sync(since=first["next_batch"])["to_device"]["events"] == []
    assert bob.sync(since=since)["to_device"]["events"] == []  # acknowledged messages are deleted


def test_to_device_in_portions(alice, bob):
    """At most a hundred in a reply; rooms wait until all are sent."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.next_sync()
    send_to(alice, bob, 130)
    sent = [alice.send(room, "x")]
    numbers, seen = [], []
    for _ in range(4):
        r = bob.next_sync()
        portion = [e["content"]["n"] for e in r["to_device"]["events"]]
        assert len(portion) <= 100
        numbers += portion
        seen += ids(events_of(r, room))
    assert numbers == list(range(130))
    assert seen == sent


def test_key_counts_are_always_there(alice):
    r = alice.sync()
    assert r["device_one_time_keys_count"].get("signed_curve25519", 0) == 0
    assert "device_unused_fallback_key_types" in alice.sync(since=r["next_batch"])
    assert "device_one_time_keys_count" in alice.sync(since=r["next_batch"])


def upload_keys(client):
    client.post("/keys/upload", {"device_keys": {
        "user_id": client.user_id, "device_id": client.device_id, "algorithms": ["m.olm.v1"],
        "keys": {f"ed25519:{client.device_id}": "x" * 43}, "signatures": {}}})


def changed_devices(reply):
    lists = reply.get("device_lists", {})
    return sorted(lists.get("changed", [])), sorted(lists.get("left", []))


@pytest.mark.parametrize("how", ["shown", "hidden", "room not wanted", "lazily"])
def test_device_lists_follow_members(alice, bob, how):
    """device_lists does not depend on the filter."""
    room = alice.create_room(preset="public_chat")
    params = {
        "shown": {}, "hidden": timeline_filter(types=["m.none"]),
        "room not wanted": inline(room={"not_rooms": [room]}),
        "lazily": inline(room={"state": {"lazy_load_members": True}, "timeline": {"limit": 1}}),
    }[how]
    alice.next_sync(**params)
    bob.join(room)
    alice.send(room, "x"), alice.send(room, "y")
    assert changed_devices(alice.next_sync(**params)) == ([bob.user_id], [])
    bob.leave(room)
    alice.send(room, "x"), alice.send(room, "y")
    assert changed_devices(alice.next_sync(**params)) == ([], [bob.user_id])
    assert changed_devices(alice.next_sync(**params)) == ([], [])


def test_device_lists_when_one_joins_or_leaves(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.next_sync()
    bob.join(room)
    assert alice.user_id in changed_devices(bob.next_sync())[0]
    bob.leave(room)
    assert changed_devices(bob.next_sync()) == ([], [alice.user_id])


# ---- waiting -----------------------------------------------------------------------------------


class Waiting:
    """A long poll in a thread. Presence is filtered out, since it would wake it."""

    def __init__(self, client, timeout=30000, **room):
        params = inline(presence={"not_types": ["*"]}, room=room)
        self.reply, self.seconds = None, None
        self.client = Client(client.server, client.user_id, client.token, client.device_id)
        since, parked = client.sync(**params)["next_batch"], metric(client.server, "concorde_http_requests_parked")
        self.thread = threading.Thread(target=self._run, args=(since, timeout, params))
        self.thread.start()
        client.server.wait_until_parked(parked + 1)
        assert self.reply is None, "there was nothing to tell yet"

    def _run(self, since, timeout, params):
        started = time.monotonic()
        self.reply = self.client.sync(since=since, timeout=timeout, **params)
        self.seconds = time.monotonic() - started
        self.client.close()

    def result(self):
        self.thread.join(20)
        assert self.reply is not None, "it was not woken"
        assert self.seconds < 15
        return self.reply


@pytest.fixture
def pair(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    return alice, bob, room


def test_woken_by_a_message(pair):
    alice, bob, room = pair
    w = Waiting(bob)
    sent = alice.send(room, "x")
    assert ids(events_of(w.result(), room)) == [sent]


def test_woken_by_an_invite(alice, bob):
    w = Waiting(bob)
    room = alice.create_room(invite=[bob.user_id])
    assert room in w.result()["rooms"]["invite"]


def test_woken_by_a_kick(pair):
    alice, bob, room = pair
    w = Waiting(bob)
    alice.kick(room, bob)
    assert room in w.result()["rooms"]["leave"]


def test_woken_by_to_device(alice, bob):
    w = Waiting(bob)
    send_to(alice, bob)
    assert len(w.result()["to_device"]["events"]) == 1


def test_woken_by_actions_of_another_device(alice):
    other = alice.another_device()
    w = Waiting(alice)
    other.put(f"/user/{q(alice.user_id)}/account_data/org.test", {"a": 1})
    assert w.result()["account_data"]["events"][0]["type"] == "org.test"
    w = Waiting(alice)
    room = other.create_room()
    assert room in w.result()["rooms"]["join"]
    w = Waiting(alice)
    other.leave(room)
    assert room in w.result()["rooms"]["leave"]


def test_woken_by_a_receipt_and_typing(pair):
    alice, bob, room = pair
    sent = alice.send(room, "x")
    w = Waiting(alice)
    bob.read(room, sent)
    assert ephemeral(w.result(), room, "m.receipt")
    w = Waiting(alice)
    bob.put(f"/rooms/{q(room)}/typing/{q(bob.user_id)}", {"typing": True, "timeout": 30000})
    assert ephemeral(w.result(), room, "m.typing")


def test_woken_by_new_keys(pair):
    alice, bob, room = pair
    w = Waiting(alice)
    bob.another_device()
    upload = bob.another_device()
    upload_keys(upload)
    assert w.result()["device_lists"]["changed"] == [bob.user_id]


def test_not_woken_by_other_rooms(pair, register):
    alice, bob, room = pair
    w = Waiting(bob, timeout=1500)
    carol = register("carol")
    carol.send(carol.create_room(), "x")
    w.result()
    assert 1.2 < w.seconds < 5
    assert not w.reply["rooms"].get("join")


def test_not_woken_by_filtered_events(pair):
    alice, bob, room = pair
    w = Waiting(bob, timeout=1500, timeline={"not_types": ["m.room.message"]})
    alice.send(room, "x")
    w.result()
    assert 1.2 < w.seconds < 5


def test_timeout(alice):
    since = alice.sync()["next_batch"]
    for timeout, least, most in (0, 0, 1), (700, 0.6, 3):
        started = time.monotonic()
        # Her own presence would be in the reply too: filtered out.
        r = alice.sync(since=since, timeout=timeout, filter='{"presence":{"not_types":["*"]}}')
        assert least <= time.monotonic() - started < most
        since = r["next_batch"]
    started = time.monotonic()
    alice.sync(timeout=20000)  # an initial sync never waits
    assert time.monotonic() - started < 5


def test_many_wait_for_one_room(register):
    alice = register("alice")
    room = alice.create_room(preset="public_chat")
    others = [register("waiter") for _ in range(15)]
    for other in others:
        other.join(room)
    waiting = [Waiting(other) for other in others]
    sent = alice.send(room, "x")
    for w in waiting:
        assert ids(events_of(w.result(), room)) == [sent]


# ---- tokens ------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["x", "s", "s-1", "s1_", "s1_2_g", "s1_2_3_4", "s1_2_", "t1", "s1x", "s" + "9" * 40])
def test_garbage_tokens(alice, token):
    alice.fails(400, "M_INVALID_PARAM", "GET", "/sync", params={"since": token})


def test_a_token_from_the_future(alice):
    """After the database was restored: the client continues from the current position."""
    room = alice.create_room()
    since = alice.sync(since="s999999999999_1")["next_batch"]
    sent = alice.send(room, "x")
    assert ids(events_of(alice.sync(since=since), room)) == [sent]


def test_an_empty_token_is_none(alice):
    room = alice.create_room()
    assert section(alice.sync(since=""), room)


# ---- presence ----------------------------------------------------------------------------------


def test_presence(pair):
    alice, bob, room = pair
    alice.next_sync()
    bob.put(f"/presence/{q(bob.user_id)}/status", {"presence": "unavailable", "status_msg": "tea"})

    def is_idle(reply):
        return [e["content"] for e in reply["presence"]["events"]
                if e["sender"] == bob.user_id and e["content"].get("status_msg") == "tea"]

    assert alice.sync_until(is_idle)[-1]["presence"] == "unavailable"
    alice.fails(400, "M_INVALID_PARAM", "GET", "/sync", params={"set_presence": "asleep"})

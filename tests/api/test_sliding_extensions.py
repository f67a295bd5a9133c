"""Simplified sliding sync (MSC4186): its extensions (MSC3884, 3885, 3959, 3960, 4508)."""

import json

import test_to_device
from client import q
from e2ee import Device
from sliding import Sliding, window

ALL = {"all": window((0, 19))}
ONE = {"one": window((0, 0))}


def on(*names, **options):
    return {name: {"enabled": True} | options for name in names}


def send(client, to, content):
    test_to_device.send(client, {to.user_id: {to.device_id: content}})


def test_to_device_messages_have_a_token_of_their_own(alice, bob):
    a, b = Sliding(bob), Sliding(bob, "other")
    send(alice, bob, {"n": 1})
    first = a.sync(extensions=on("to_device"))["extensions"]["to_device"]
    assert [e["content"] for e in first["events"]] == [{"n": 1}]
    # Not acknowledged by `pos`, nor by another connection's.
    assert b.sync(extensions=on("to_device"))["extensions"]["to_device"]["events"] == first["events"]
    again = a.sync(extensions=on("to_device"))["extensions"]["to_device"]
    assert again["events"] == first["events"]
    since = on("to_device", since=first["next_batch"])
    assert a.sync(extensions=since)["extensions"]["to_device"]["events"] == []
    assert b.sync(extensions=on("to_device"))["extensions"]["to_device"]["events"] == []
    for n in 2, 3:
        send(alice, bob, {"n": n})
    got = a.sync(extensions=on("to_device", since=first["next_batch"], limit=1), timeout=20000)
    got = got["extensions"]["to_device"]
    assert [e["content"] for e in got["events"]] == [{"n": 2}]
    got = a.sync(extensions=on("to_device", since=got["next_batch"]))["extensions"]["to_device"]
    assert [e["content"] for e in got["events"]] == [{"n": 3}]


def test_device_lists_and_key_counts(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    Device(alice).upload(one_time=3)
    s = Sliding(alice)
    got = s.sync(ALL, extensions=on("e2ee"))["extensions"]["e2ee"]
    assert got["device_one_time_keys_count"]["signed_curve25519"] == 3
    assert got["device_unused_fallback_key_types"] == [] and "device_lists" not in got
    Device(bob).upload()
    got = s.sync(ALL, extensions=on("e2ee"), timeout=20000)["extensions"]["e2ee"]
    assert got["device_lists"]["changed"] == [bob.user_id]
    bob.leave(room)
    got = s.sync(ALL, extensions=on("e2ee"))["extensions"]["e2ee"]
    assert got["device_lists"]["left"] == [bob.user_id]
    assert "e2ee" not in s.sync(ALL)["extensions"]


def test_account_data(alice):
    first, second = alice.create_room(), alice.create_room()
    me = f"/user/{q(alice.user_id)}"
    alice.put(f"{me}/account_data/de.test", {"n": 1})
    for room in first, second:
        alice.put(f"{me}/rooms/{q(room)}/account_data/de.room", {"of": room})
    s = Sliding(alice)
    got = s.sync(ONE, extensions=on("account_data"))["extensions"]["account_data"]
    assert {"m.push_rules", "de.test"} == {e["type"] for e in got["global"]}
    assert got["rooms"] == {second: [{"type": "de.room", "content": {"of": second}}]}
    assert "account_data" not in s.sync(ONE, extensions=on("account_data"))["extensions"]
    alice.put(f"{me}/account_data/de.test", {"n": 2})
    got = s.sync(ONE, extensions=on("account_data"), timeout=20000)["extensions"]["account_data"]
    assert got == {"global": [{"type": "de.test", "content": {"n": 2}}]}
    alice.put(f"{me}/rooms/{q(first)}/account_data/de.room", {"n": 3})  # in no range
    assert "account_data" not in s.sync(ONE, extensions=on("account_data"))["extensions"]
    got = s.sync(ALL, extensions=on("account_data"))["extensions"]["account_data"]
    assert got["rooms"] == {first: [{"type": "de.room", "content": {"n": 3}}]}


def test_receipts(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    old, new = alice.send(room, "old"), alice.send(room, "new")
    bob.read(room, old)
    s = Sliding(alice)
    lists = {"all": window((0, 19), limit=1)}
    # Of events that are not in the timeline none but the user's own.
    assert "receipts" not in s.sync(lists, extensions=on("receipts"))["extensions"]
    bob.read(room, new)
    got = s.sync(lists, extensions=on("receipts"), timeout=20000)
    assert got["rooms"] == {}
    event = got["extensions"]["receipts"]["rooms"][room]
    assert event["type"] == "m.receipt" and list(event["content"]) == [new]
    assert list(event["content"][new]["m.read"]) == [bob.user_id]
    got = Sliding(alice, "b").sync(lists, extensions=on("receipts"))["extensions"]["receipts"]
    assert list(got["rooms"][room]["content"]) == [new]
    got = Sliding(bob).sync({"all": window((0, 19), limit=0)}, extensions=on("receipts"))
    assert list(got["extensions"]["receipts"]["rooms"][room]["content"]) == [new]


def test_typing(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)

    def typing(on):
        bob.put(f"/rooms/{q(room)}/typing/{q(bob.user_id)}", {"typing": on, "timeout": 60000})

    s = Sliding(alice)
    assert "typing" not in s.sync(ALL, extensions=on("typing"))["extensions"]
    for is_on, users in (True, [bob.user_id]), (False, []):
        typing(is_on)
        got = s.sync(ALL, extensions=on("typing"), timeout=20000)
        assert got["rooms"] == {}
        assert got["extensions"]["typing"]["rooms"] == {
            room: {"type": "m.typing", "content": {"user_ids": users}}}
    assert "typing" not in s.sync(ALL, extensions=on("typing"))["extensions"]
    typing(True)
    got = Sliding(alice, "b").sync(ALL, extensions=on("typing"))["extensions"]["typing"]
    assert got["rooms"][room]["content"]["user_ids"] == [bob.user_id]


def test_extensions_of_some_rooms(alice, bob):
    rooms = [alice.create_room(preset="public_chat") for _ in range(2)]
    for room in rooms:
        bob.join(room)
        bob.put(f"/rooms/{q(room)}/typing/{q(bob.user_id)}", {"typing": True, "timeout": 60000})
    sub = {rooms[0]: {"timeline_limit": 1, "required_state": []}}

    def typing_in(**scope):
        s = Sliding(alice, json.dumps(scope))
        got = s.sync({"one": window((0, 0))}, rooms=sub, extensions=on("typing", **scope))
        return sorted(got["extensions"].get("typing", {}).get("rooms", {}))

    assert typing_in() == sorted(rooms)
    assert typing_in(lists=[]) == [rooms[0]]
    assert typing_in(rooms=[]) == [rooms[1]]
    assert typing_in(lists=[], rooms=[]) == []
    assert typing_in(lists=["unknown"], rooms=["!unknown:x"]) == []
    assert typing_in(lists=["one"], rooms=[rooms[0]]) == sorted(rooms)
    assert typing_in(lists=["*"], rooms=["*"]) == sorted(rooms)

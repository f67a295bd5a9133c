"""Simplified sliding sync (MSC4186): lists, their ranges and filters, and subscriptions."""

import pytest

from client import q
from sliding import Sliding, bodies, state_keys, window


def listed(client, **filters):
    """The rooms of a list with these filters, on a connection of its own."""
    return set(Sliding(client, str(filters)).sync({"a": window(limit=1, **filters)})["rooms"])


def test_ranges(alice):
    rooms = [alice.create_room() for _ in range(5)][::-1]  # the newest first
    s = Sliding(alice)
    reply = s.sync({"a": window((0, 1)), "b": window((3, 3), (9, 12))})
    assert set(reply["rooms"]) == {rooms[0], rooms[1], rooms[3]}
    assert reply["lists"] == {"a": {"count": 5}, "b": {"count": 5}}
    assert set(s.sync({"a": window((0, 3))})["rooms"]) == {rooms[2]}
    alice.send(rooms[4], "up")
    assert set(s.sync({"a": window((0, 1))})["rooms"]) == {rooms[4]}
    alice.send(rooms[3], "x")
    assert set(s.sync({"a": window((4, 4))})["rooms"]) == set()
    assert set(s.sync({"a": window()})["rooms"]) == {rooms[3]}


def test_a_room_out_of_range_comes_with_all_that_is_new(alice, bob):
    a, b = (alice.create_room(preset="public_chat") for _ in range(2))
    for room in a, b:
        bob.join(room)
    s = Sliding(bob)
    one = {"a": window((0, 0), limit=3)}
    s.sync({"a": window((0, 1), limit=3)})
    for n in range(2):
        alice.send(a, f"a{n}")
    alice.send_state(a, "m.room.name", {"name": "A"})
    alice.send(b, "b")
    assert set(s.sync(one)["rooms"]) == {b}
    got = s.sync({"a": window((0, 1), limit=3)})["rooms"]
    assert set(got) == {a} and bodies(got[a]) == ["a0", "a1"] and not got[a]["limited"]
    assert "initial" not in got[a] and got[a]["name"] == "A" and got[a]["num_live"] == 0
    assert state_keys(got[a]) == [("m.room.name", "")]


def test_filters(alice, bob):
    plain = alice.create_room(name="Überblick 7")
    space = alice.create_room(creation_content={"type": "m.space"})
    other = alice.create_room(creation_content={"type": "de.other"})
    secret = alice.create_room(initial_state=[{"type": "m.room.encryption", "state_key": "", "content": {
        "algorithm": "m.megolm.v1.aes-sha2"}}])
    invite = bob.create_room(invite=[alice.user_id], name="invited", creation_content={"type": "m.space"})
    everything = {plain, space, other, secret, invite}
    me = f"/user/{q(alice.user_id)}"
    alice.put(f"{me}/account_data/m.direct", {bob.user_id: [secret]})
    alice.put(f"{me}/rooms/{q(plain)}/tags/m.favourite", {})
    alice.put(f"{me}/rooms/{q(other)}/tags/m.lowpriority", {})
    alice.put(f"{me}/rooms/{q(other)}/tags/m.favourite", {})
    alice.send_state(space, "m.space.child", {"via": ["x"]}, plain)
    alice.send_state(space, "m.space.child", {}, secret)
    assert listed(alice) == everything
    assert listed(alice, is_dm=True) == {secret} and listed(alice, is_dm=False) == everything - {secret}
    assert listed(alice, is_encrypted=True) == {secret}
    assert listed(alice, is_encrypted=False) == everything - {secret}
    assert listed(alice, is_invite=True) == {invite} and listed(alice, is_invite=False) == everything - {invite}
    assert listed(alice, room_types=["m.space"]) == {space, invite}
    assert listed(alice, room_types=[None, "de.other"]) == {plain, other, secret}
    assert listed(alice, not_room_types=["m.space"]) == {plain, other, secret}
    assert listed(alice, room_types=["m.space"], not_room_types=["m.space"]) == set()
    assert listed(alice, tags=["m.favourite", "x"]) == {plain, other}
    assert listed(alice, tags=["m.favourite"], not_tags=["m.lowpriority"]) == {plain}
    assert listed(alice, not_tags=["m.lowpriority"]) == everything - {other}
    assert listed(alice, spaces=[space, "!unknown:x"]) == {plain} and listed(alice, spaces=[plain]) == set()
    assert listed(alice, room_name_like="ÜBER") == {plain} and listed(alice, room_name_like="vite") == {invite}


def test_lists_follow_what_changes(alice, bob):
    room, other = alice.create_room(), alice.create_room()
    me = f"/user/{q(alice.user_id)}"
    lists = {"encrypted": window((0, 9), is_encrypted=True), "named": window((0, 9), room_name_like="foo"),
             "tagged": window((0, 9), tags=["m.favourite"]), "dm": window((0, 9), is_dm=True),
             "not": window((0, 9), is_encrypted=False)}
    s = Sliding(alice)

    def counts():
        return {name: part["count"] for name, part in s.sync(lists)["lists"].items()}

    assert counts() == {"encrypted": 0, "named": 0, "tagged": 0, "dm": 0, "not": 2}
    alice.send_state(room, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})
    alice.send_state(other, "m.room.name", {"name": "Foo"})
    assert counts() == {"encrypted": 1, "named": 1, "tagged": 0, "dm": 0, "not": 1}
    alice.put(f"{me}/rooms/{q(room)}/tags/m.favourite", {})
    alice.put(f"{me}/account_data/m.direct", {bob.user_id: [other]})
    assert counts() == {"encrypted": 1, "named": 1, "tagged": 1, "dm": 1, "not": 1}
    alice.send_state(other, "m.room.name", {"name": "Bar"})
    alice.delete(f"{me}/rooms/{q(room)}/tags/m.favourite")
    assert counts() == {"encrypted": 1, "named": 0, "tagged": 0, "dm": 1, "not": 1}


def test_subscriptions(alice, bob):
    mine, others = alice.create_room(), bob.create_room(preset="public_chat")
    sub = {"timeline_limit": 5, "required_state": [["m.room.create", ""]]}
    s = Sliding(alice)
    rooms = {room: sub for room in (mine, others, "!unknown:test.example")}
    got = s.sync(rooms=rooms)
    assert set(got["rooms"]) == {mine} and got["lists"] == {}
    assert state_keys(got["rooms"][mine]) == [("m.room.create", "")]
    alice.send(mine, "x")
    assert bodies(s.sync(rooms=rooms)["rooms"][mine]) == ["x"]
    alice.send(mine, "y")
    assert s.sync()["rooms"] == {}
    assert bodies(s.sync(rooms=rooms)["rooms"][mine]) == ["y"]


def test_configs_of_a_list_and_a_subscription_are_combined(alice):
    room = alice.create_room(name="N", topic="T")
    for n in range(4):
        alice.send(room, str(n))
    sub = {room: {"timeline_limit": 3, "required_state": [["m.room.topic", ""]]}}
    got = Sliding(alice).sync({"a": window((0, 0), limit=1, state=[["m.room.create", ""]])}, rooms=sub)
    assert bodies(got["rooms"][room]) == ["1", "2", "3"]
    assert state_keys(got["rooms"][room]) == [("m.room.create", ""), ("m.room.topic", "")]


def test_a_higher_timeline_limit(alice):
    room = alice.create_room()
    for n in range(6):
        alice.send(room, str(n))
    s = Sliding(alice)
    assert bodies(s.sync({"a": window((0, 0), limit=1)})["rooms"][room]) == ["5"]
    got = s.sync({"a": window((0, 0), limit=3)}, timeout=20000)["rooms"][room]
    assert bodies(got) == ["3", "4", "5"] and got["unstable_expanded_timeline"] is True
    assert got["limited"] is True and got["num_live"] == 0 and "initial" not in got
    assert s.sync({"a": window((0, 0), limit=2)})["rooms"] == {}
    assert s.sync({"a": window((0, 0), limit=3)})["rooms"] == {}


def test_more_required_state(alice, bob):
    room = alice.create_room(name="N", topic="T", preset="public_chat")
    bob.join(room)
    s = Sliding(alice)

    def state(*wanted, limit=0):
        got = s.sync({"a": window((0, 0), limit=limit, state=[list(w) for w in wanted])})["rooms"]
        return state_keys(got[room]) if got else None

    assert state(("m.room.name", "")) == [("m.room.name", "")]
    assert state(("m.room.name", ""), ("m.room.topic", "")) == [("m.room.topic", "")]
    assert state(("m.room.name", ""), ("m.room.topic", "")) is None
    assert state(("m.room.name", "")) is None
    me, him = ("m.room.member", alice.user_id), ("m.room.member", bob.user_id)
    assert state(("m.room.name", ""), ("m.room.member", "$ME")) == [me]
    assert state(("m.room.name", ""), ("m.room.member", "*")) == [him]
    kinds = {k for k, _ in state(("*", "*"))}
    assert {"m.room.create", "m.room.power_levels", "m.room.topic"} <= kinds and "m.room.name" not in kinds


def test_lazily_loaded_members(alice, bob, register):
    carol = register("carol")
    room = alice.create_room(preset="public_chat")
    for other in bob, carol:
        other.join(room)
    bob.send(room, "b")
    lists = {"a": window((0, 0), limit=1, state=[["m.room.member", "$LAZY"]])}
    s = Sliding(alice)
    member = {c: ("m.room.member", c.user_id) for c in (alice, bob, carol)}
    assert state_keys(s.sync(lists)["rooms"][room]) == [member[bob]]
    bob.send(room, "again")
    assert state_keys(s.sync(lists)["rooms"][room]) == []
    carol.send(room, "c")
    assert state_keys(s.sync(lists)["rooms"][room]) == [member[carol]]
    carol.leave(room)  # a change where nothing was left out
    assert state_keys(s.sync(lists)["rooms"][room]) == [member[carol]]


@pytest.mark.parametrize("lists", [{"a": {}}, {"a": {"timeline_limit": "1"}}, [], {"a": window((3, 1))}])
def test_bad_lists(alice, lists):
    r = Sliding(alice).request(lists)
    assert r.status_code == 400, r.text

"""Simplified sliding sync (MSC4186): rooms, in the first answer of a connection and later ones."""

from sliding import Sliding, bodies, state_keys, window

ALL = {"all": window((0, 19))}


def test_the_first_answer(alice):
    room = alice.create_room(name="A room")
    alice.send(room, "one")
    alice.send(room, "two")
    s = Sliding(alice)
    reply = s.sync({"all": window((0, 19), limit=2)})
    assert reply["lists"] == {"all": {"count": 1}} and list(reply["rooms"]) == [room]
    got = reply["rooms"][room]
    assert got["initial"] is True and got["name"] == "A room" and got["limited"] is True
    assert bodies(got) == ["one", "two"] and got["num_live"] == 0
    assert state_keys(got) == [("m.room.create", ""), ("m.room.name", "")]
    assert (got["joined_count"], got["invited_count"]) == (1, 0)
    assert (got["notification_count"], got["highlight_count"]) == (0, 0)
    assert got["bump_stamp"] > 0 and "is_dm" not in got and "heroes" not in got
    earlier = alice.messages(room, **{"from": got["prev_batch"], "limit": 1})["chunk"]
    assert earlier[0]["type"] == "m.room.name"


def test_only_changes_come_later(alice, bob):
    room = alice.create_room(preset="public_chat", name="A room")
    bob.join(room)
    s = Sliding(alice)
    first = s.sync(ALL)["rooms"][room]
    assert s.sync(ALL)["rooms"] == {}
    bob.send(room, "new")
    got = s.sync(ALL)["rooms"][room]
    assert bodies(got) == ["new"] and got["num_live"] == 1 and not got["limited"]
    assert "initial" not in got and "name" not in got and not got["required_state"]
    assert "joined_count" not in got and got["notification_count"] == 1
    assert got["bump_stamp"] > first["bump_stamp"]
    alice.send_state(room, "m.room.name", {"name": "B"})
    got = s.sync(ALL)["rooms"][room]
    assert got["name"] == "B" and state_keys(got) == [("m.room.name", "")]
    assert s.sync(ALL)["rooms"] == {}


def test_a_lost_reply_can_be_asked_for_again(alice):
    room = alice.create_room()
    s = Sliding(alice)
    s.sync(ALL)
    other = alice.create_room()
    alice.send(room, "one")
    before = s.pos
    first = s.sync(ALL)
    again = s.sync(ALL, pos=before)
    assert first["rooms"].keys() == again["rooms"].keys() == {room, other}
    assert again["rooms"][other]["initial"] is True
    assert s.sync(ALL)["rooms"] == {}


def test_an_unknown_position(alice, bob):
    alice.create_room()
    s, other = Sliding(alice), Sliding(bob)
    s.sync(ALL)
    other.sync(ALL)
    for pos in "x", "s1_0", s.pos + "0", other.pos, alice.sync()["next_batch"]:
        s.fails(400, "M_UNKNOWN_POS", lists=ALL, pos=pos)
    Sliding(alice, conn_id="other").fails(400, "M_UNKNOWN_POS", lists=ALL, pos=s.pos)
    old = s.pos
    for _ in range(2):
        alice.create_room()
        s.sync(ALL)
    s.fails(400, "M_UNKNOWN_POS", lists=ALL, pos=old)
    assert s.sync(ALL)["rooms"] == {}


def test_waiting(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    s = Sliding(alice)
    s.sync(ALL)
    bob.send(room, "new")
    assert bodies(s.sync(ALL, timeout=20000)["rooms"][room]) == ["new"]
    assert s.sync(ALL, timeout=10)["rooms"] == {}


def test_invites_and_knocks(alice, bob):
    room = alice.create_room(name="Invited", invite=[bob.user_id])
    s = Sliding(bob)
    got = s.sync(ALL)["rooms"][room]
    kinds = {e["type"] for e in got["invite_state"]}
    assert {"m.room.create", "m.room.name", "m.room.member"} <= kinds
    assert got["initial"] is True and "timeline" not in got and "required_state" not in got
    assert s.sync(ALL)["rooms"] == {}
    bob.join(room)
    alice.send(room, "welcome")
    got = s.sync(ALL)["rooms"][room]
    assert "welcome" in bodies(got) and got["name"] == "Invited"
    assert {("m.room.create", ""), ("m.room.name", "")} <= set(state_keys(got))


def test_rooms_that_the_user_leaves(alice, bob):
    left = alice.create_room(preset="public_chat")
    kicked = alice.create_room(preset="public_chat")
    for room in left, kicked:
        bob.join(room)
    s = Sliding(bob)
    assert set(s.sync(ALL)["rooms"]) == {left, kicked}
    bob.leave(left)
    alice.kick(kicked, bob)
    alice.send(left, "secret")
    reply = s.sync(ALL)
    assert set(reply["rooms"]) == {left, kicked}
    for got in reply["rooms"].values():
        assert [e["content"]["membership"] for e in got["timeline"]] == ["leave"]
        assert "secret" not in bodies(got) and "joined_count" not in got
    reply = s.sync(ALL)
    assert reply["rooms"] == {} and reply["lists"]["all"]["count"] == 1
    reply = Sliding(bob, "other").sync(ALL)  # where they were put out of is sent on each connection
    assert set(reply["rooms"]) == {kicked}
    bob.join(left)
    assert s.sync(ALL)["rooms"][left]["initial"] is True


def test_direct_messages(alice, bob):
    room = alice.create_room(invite=[bob.user_id], is_direct=True)
    bob.join(room)
    alice.put(f"/user/{alice.user_id}/account_data/m.direct", {bob.user_id: [room]})
    s = Sliding(alice)
    got = s.sync(ALL)["rooms"][room]
    assert got["is_dm"] is True
    assert got["heroes"] == [{"user_id": bob.user_id, "displayname": "bob"}] or \
        got["heroes"][0]["user_id"] == bob.user_id
    alice.put(f"/user/{alice.user_id}/account_data/m.direct", {})
    assert s.sync(ALL)["rooms"][room]["is_dm"] is False
    assert s.sync(ALL)["rooms"] == {}


def test_counts_after_a_receipt(alice, bob):
    """From another device of the user, without an event."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    event = alice.send(room, "x")
    s = Sliding(bob)
    assert s.sync(ALL)["rooms"][room]["notification_count"] == 1
    alice.read(room, event)  # another user's changes no count
    assert s.sync(ALL)["rooms"] == {}
    bob.another_device().read(room, event)
    got = s.sync(ALL, timeout=20000)["rooms"][room]
    assert got["notification_count"] == 0 and got["timeline"] == [] and not got["limited"]
    assert s.sync(ALL)["rooms"] == {}

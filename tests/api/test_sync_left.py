"""`leave` of /sync: left rooms, but none that the user was never in."""

from client import timeline

SECRET = [{"type": "m.room.history_visibility", "state_key": "",
           "content": {"history_visibility": "joined"}}]


def left(reply, room):
    return reply["rooms"]["leave"].get(room)


def test_a_rejected_invite_shows_the_leave_and_no_state(alice, bob):
    room = alice.create_room(preset="private_chat", name="Secret")
    alice.invite(room, bob)
    since = bob.sync()["next_batch"]
    bob.leave(room)
    shown = left(bob.sync(since=since), room)
    assert shown["state"]["events"] == []
    assert [e["content"]["membership"] for e in shown["timeline"]["events"]] == ["leave"]


def test_a_withdrawn_invite_shows_no_state(alice, bob):
    room = alice.create_room(preset="private_chat", name="Secret")
    alice.invite(room, bob)
    since = bob.sync()["next_batch"]
    alice.kick(room, bob)
    shown = left(bob.sync(since=since), room)
    assert shown["state"]["events"] == []
    assert {e["type"] for e in shown["timeline"]["events"]} <= {"m.room.member"}


def test_a_ban_without_membership_shows_only_itself(alice, bob):
    room = alice.create_room(preset="private_chat", name="Secret")
    since = bob.sync()["next_batch"]
    alice.ban(room, bob)
    for reply in bob.sync(since=since), bob.sync(filter='{"room":{"include_leave":true}}'):
        shown = left(reply, room) or {"state": {"events": []}, "timeline": {"events": []}}
        assert shown["state"]["events"] == []
        assert {e["type"] for e in shown["timeline"]["events"]} <= {"m.room.member"}


def test_joining_and_leaving_between_two_syncs_shows_the_room(alice, bob):
    room = alice.create_room(preset="public_chat", name="Square")
    since = bob.sync()["next_batch"]
    bob.join(room)
    alice.send(room, "hello bob")
    bob.leave(room)
    alice.send(room, "he is gone")
    shown = left(bob.sync(since=since), room)
    everything = shown["state"]["events"] + shown["timeline"]["events"]
    assert any(e["type"] == "m.room.create" for e in everything)
    bodies = [e["content"].get("body") for e in shown["timeline"]["events"]]
    assert "hello bob" in bodies and "he is gone" not in bodies


def test_messages_between_leaving_and_rejoining_stay_hidden(alice, bob):
    room = alice.create_room(preset="private_chat", initial_state=SECRET)
    alice.invite(room, bob)
    bob.join(room)
    since = bob.sync()["next_batch"]
    bob.leave(room)
    alice.send(room, "while he is out")
    alice.invite(room, bob)
    bob.join(room)
    alice.send(room, "welcome back")
    bodies = [e["content"].get("body") for e in timeline(bob.sync(since=since), room)]
    assert "welcome back" in bodies and "while he is out" not in bodies

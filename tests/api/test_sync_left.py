"""`leave` of /sync: left rooms, but none that the user was never in."""

from client import timeline

SECRET = [{"type": "m.room.history_visibility", "state_key": "",
           "content": {"history_visibility": "joined"}}]


def left(reply, room):
    return reply["rooms"]["leave"].get(room)


def test_who_rejects_an_invite_is_shown_their_leaving_and_no_state(alice, bob):
    room = alice.create_room(preset="private_chat", name="Secret")
    alice.invite(room, bob)
    since = bob.sync()["next_batch"]
    bob.leave(room)
    shown = left(bob.sync(since=since), room)
    assert shown["state"]["events"] == []
    assert [e["content"]["membership"] for e in shown["timeline"]["events"]] == ["leave"]


def test_whose_invite_is_withdrawn_is_shown_no_state(alice, bob):
    room = alice.create_room(preset="private_chat", name="Secret")
    alice.invite(room, bob)
    since = bob.sync()["next_batch"]
    alice.kick(room, bob)
    shown = left(bob.sync(since=since), room)
    assert shown["state"]["events"] == []
    assert {e["type"] for e in shown["timeline"]["events"]} <= {"m.room.member"}


def test_who_is_banned_from_afar_is_shown_nothing_else(alice, bob):
    room = alice.create_room(preset="private_chat", name="Secret")
    since = bob.sync()["next_batch"]
    alice.ban(room, bob)
    for reply in bob.sync(since=since), bob.sync(filter='{"room":{"include_leave":true}}'):
        shown = left(reply, room) or {"state": {"events": []}, "timeline": {"events": []}}
        assert shown["state"]["events"] == []
        assert {e["type"] for e in shown["timeline"]["events"]} <= {"m.room.member"}


def test_who_joined_and_left_between_two_syncs_is_shown_the_room(alice, bob):
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


def test_what_was_said_between_leaving_and_rejoining_stays_hidden(alice, bob):
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

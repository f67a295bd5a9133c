"""Knocking on rooms of other servers (server-server-api, "Knocking upon a room")."""

import pytest

import pdus
from federation import membership, same_state
from remote import FED, q
from waiting import eventually

KNOCKABLE = pdus.VERSIONS[6:]


def knocking(client, room):
    knock = client.sync().get("rooms", {}).get("knock", {}).get(room)
    return knock and {(e["type"], e["state_key"]): e for e in knock["knock_state"]["events"]}


def knock(client, room, via, **body):
    return client.post(f"/knock/{q(room)}", body, params={"via": via})


def knock_room(client, version, rule="knock"):
    return client.create_room(
        preset="private_chat", room_version=version, name="Archive", initial_state=[
            {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": rule}}])


@pytest.mark.parametrize("version", KNOCKABLE)
def test_knock_and_be_let_in(two, version):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = knock_room(alice, version)
    assert knock(bob, room, a.name, reason="files")["room_id"] == room
    state = eventually(lambda: knocking(bob, room))
    assert state["m.room.name", ""]["content"] == {"name": "Archive"}
    assert state["m.room.create", ""]["sender"] == alice.user_id
    assert state["m.room.member", bob.user_id]["content"]["membership"] == "knock"
    member = alice.state(room, "m.room.member", bob.user_id)
    assert member["membership"] == "knock" and member["reason"] == "files"
    alice.invite(room, bob)
    eventually(lambda: room in bob.sync().get("rooms", {}).get("invite", {}))
    bob.join(room)
    eventually(lambda: same_state(room, alice, bob))


def test_taking_a_knock_back(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = knock_room(alice, "11")
    knock(bob, room, a.name)
    bob.leave(room)
    assert not knocking(bob, room)
    eventually(lambda: membership(alice, room, bob) == "leave")


def test_a_knock_that_is_refused(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = knock_room(alice, "12")
    knock(bob, room, a.name)
    alice.kick(room, bob)
    eventually(lambda: not knocking(bob, room))


def test_rooms_that_refuse_knocks(two, remote):
    a, b = two
    alice, bob, carol = a.user("alice"), b.user("bob"), remote.user("carol")
    private = alice.create_room(preset="private_chat", room_version="11")
    old = alice.create_room(preset="private_chat", room_version="6")
    for room in private, old:
        bob.fails(403, "M_FORBIDDEN", "POST", f"/knock/{q(room)}", params={"via": a.name})
    room = knock_room(alice, "11")
    path = f"{FED}/v1/make_knock/{q(room)}/{q(carol)}"
    e = remote.fails(a.name, 400, "M_INCOMPATIBLE_ROOM_VERSION", "GET", f"{path}?ver=7")
    assert e["room_version"] == "11"


@pytest.mark.parametrize("version", KNOCKABLE)
def test_a_foreign_server_knocks(two, remote, version):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = knock_room(alice, version)
    i, reply = remote.knock(a.name, room, carol, reason="please")
    state = {e["type"]: e for e in reply["knock_room_state"]}
    assert state["m.room.name"]["content"]["name"] == "Archive"
    for e in state.values():  # full events, with the create event
        assert remote.check_event(e, version)
    assert "m.room.create" in state
    assert membership(alice, room, carol) == "knock"
    remote.leave(a.name, room, carol)
    assert membership(alice, room, carol) == "leave"


def test_send_knock_checks_the_event(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = knock_room(alice, "11")
    made = remote.make(a.name, "knock", room, carol)["event"]
    bad, forbidden = (400, "M_INVALID_PARAM"), (403, "M_FORBIDDEN")
    for wrong, refusal in (({"content": {"membership": "join"}}, bad), ({"type": "m.room.topic"}, bad),
                           ({"sender": alice.user_id, "state_key": alice.user_id}, forbidden)):
        i, event = remote.fill_template({**made, **wrong}, "11", carol)
        remote.fails(a.name, *refusal, "PUT", f"{FED}/v1/send_knock/{q(room)}/{q(i)}", event)
    i, event = remote.fill_template(made, "11", carol)
    for what in "send_knock", "send_leave":
        remote.fails(a.name, 400, "M_BAD_JSON", "PUT", f"{FED}/v1/{what}/{q(room)}/{q(i)}",
                     {**event, "content": {"membership": "knock", "x": 2**53}})
    event["signatures"] = {remote.name: {remote.key_id: "A" * 86}}
    remote.fails(a.name, *forbidden, "PUT", f"{FED}/v1/send_knock/{q(room)}/{q(i)}", event)


@pytest.mark.parametrize("version", ["7", "12"])
def test_knocking_on_a_foreign_room(two, remote, version):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, version, join_rule="knock",
                              state=[("m.room.name", "", {"name": "Far"})])
    knock(alice, room.id, remote.name)
    assert knocking(alice, room.id)["m.room.name", ""]["content"]["name"] == "Far"
    assert alice.user_id in room.members("knock")
    alice.leave(room.id)
    remote.wait_for(lambda: alice.user_id in room.members("leave"))


def test_the_state_shown_to_a_knock_may_be_invalid(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, "11", join_rule="knock")
    remote.on("PUT", f"{FED}/v1/send_knock/", (200, {"knock_room_state": [5, {}, {"type": 7}]}))
    knock(alice, room.id, remote.name)
    assert set(knocking(alice, room.id)) == {("m.room.member", alice.user_id)}


def answer(remote, room, sender, target, membership):
    """An answer to the target's current membership, not yet sent."""
    return remote.event(room, sender, "m.room.member", {"membership": membership}, target)[1]


@pytest.mark.parametrize("late_answer", ["leave", "ban", "invite"])
def test_an_answer_to_an_earlier_knock(two, remote, late_answer):
    """The answer was under way when the knock was retracted and repeated: it ends the earlier one."""
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, "11", join_rule="knock")
    key = "m.room.member", alice.user_id
    knock(alice, room.id, remote.name)
    first = remote.wait_for(lambda: room.find(room.state[key])["content"]["membership"] == "knock"
                            and room.state[key])
    late = remote.sign(room, room.build(carol, "m.room.member", {"membership": late_answer},
                                        alice.user_id))
    alice.leave(room.id)
    remote.wait_for(lambda: room.find(room.state[key])["content"]["membership"] == "leave")
    knock(alice, room.id, remote.name)
    second = remote.wait_for(lambda: room.find(room.state[key])["content"]["membership"] == "knock"
                             and room.state[key])
    assert first != second
    i = pdus.event_id(late, "11")
    if late_answer == "invite":
        remote.fails(a.name, 403, "M_FORBIDDEN", "PUT", f"{FED}/v2/invite/{q(room.id)}/{q(i)}",
                     {"event": late, "room_version": "11", "invite_room_state": []})
    else:
        assert "error" in remote.put_transaction(a.name, [late])["pdus"][i]
    assert knocking(alice, room.id)
    refusal = answer(remote, room, carol, alice.user_id, "leave")
    assert remote.put_transaction(a.name, [refusal])["pdus"] == {pdus.event_id(refusal, "11"): {}}
    eventually(lambda: not knocking(alice, room.id))


def test_an_invite_that_was_taken_back_late(two, remote):
    """It was repeated before the retraction of the earlier one arrived."""
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, "11", join_rule="invite")
    invited = lambda: room.id in alice.sync().get("rooms", {}).get("invite", {})
    remote.invite(room, carol, alice.user_id)
    assert eventually(invited)
    late = answer(remote, room, carol, alice.user_id, "leave")
    remote.invite(room, carol, alice.user_id)
    assert "error" in remote.put_transaction(a.name, [late])["pdus"][pdus.event_id(late, "11")]
    assert invited()
    back = answer(remote, room, carol, alice.user_id, "leave")
    remote.put_transaction(a.name, [back])
    eventually(lambda: not invited())

"""Client-server API, "Creation"."""

import pytest

from client import Client, q

VERSIONS = [str(v) for v in range(1, 13)]


def by_type(events, type):
    return [e for e in events if e["type"] == type]


def content(client, room, type, key=""):
    return client.state(room, type, key)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version(alice, bob, version):
    room = alice.create_room(room_version=version, invite=[bob.user_id])
    create = by_type(alice.state(room), "m.room.create")[0]
    assert create["content"]["room_version"] == version
    assert create["sender"] == alice.user_id
    assert ("creator" in create["content"]) == (int(version) < 11)
    assert (":" in room) == (int(version) < 12)
    if version == "12":
        assert room[1:] == create["event_id"][1:]
    levels = content(alice, room, "m.room.power_levels")
    if int(version) < 12:
        assert levels["users"] == {alice.user_id: 100}
    else:
        assert levels["users"] == {}
        assert levels["events"]["m.room.tombstone"] > levels["state_default"]
    assert content(alice, room, "m.room.member", bob.user_id)["membership"] == "invite"
    bob.join(room)
    event = bob.send(room, "hello")
    alice.redact(room, event, reason="no")
    alice.kick(room, bob)
    alice.invite(room, bob)
    bob.join(room)
    alice.ban(room, bob)
    bob.fails(403, "M_FORBIDDEN", "POST", f"/rooms/{q(room)}/join")
    alice.unban(room, bob)
    alice.invite(room, bob)
    bob.leave(room)


def test_unknown_version(alice):
    alice.fails(400, "M_UNSUPPORTED_ROOM_VERSION", "POST", "/createRoom", {"room_version": "ancient"})


@pytest.mark.parametrize(
    "preset, rule, guests",
    [("private_chat", "invite", "can_join"), ("trusted_private_chat", "invite", "can_join"),
     ("public_chat", "public", None)],
)
def test_presets(alice, preset, rule, guests):
    room = alice.create_room(preset=preset)
    assert content(alice, room, "m.room.join_rules") == {"join_rule": rule}
    if guests:
        assert content(alice, room, "m.room.guest_access") == {"guest_access": guests}
    else:  # "forbidden" is the default, and needs no event
        assert "m.room.guest_access" not in [e["type"] for e in alice.state(room)]
    assert content(alice, room, "m.room.history_visibility") == {"history_visibility": "shared"}


def test_visibility_chooses_the_preset(alice):
    room = alice.create_room(visibility="public")
    assert content(alice, room, "m.room.join_rules") == {"join_rule": "public"}
    room = alice.create_room()
    assert content(alice, room, "m.room.join_rules") == {"join_rule": "invite"}


def test_trusted_invited_have_the_creators_power(alice, bob):
    body = {"preset": "trusted_private_chat", "invite": [bob.user_id]}
    old = alice.create_room(room_version="11", **body)
    assert content(alice, old, "m.room.power_levels")["users"] == {
        alice.user_id: 100, bob.user_id: 100}
    new = alice.create_room(
        room_version="12", creation_content={"additional_creators": ["@carol:elsewhere.example"]},
        **body)
    assert content(alice, new, "m.room.create")["additional_creators"] == [
        "@carol:elsewhere.example", bob.user_id]
    assert content(alice, new, "m.room.power_levels")["users"] == {}
    bob.join(new)
    bob.send_state(new, "m.room.power_levels", {"users": {"@dave:test.example": 100}})


def test_additional_creators_must_be_user_ids(alice):
    for wrong in "@a:b", ["not a user"], [1]:
        alice.fails(
            400, "M_INVALID_PARAM", "POST", "/createRoom",
            {"room_version": "12", "creation_content": {"additional_creators": wrong}})


def test_creators_cannot_be_listed_in_power_levels(alice):
    alice.fails(
        400, "M_INVALID_ROOM_STATE", "POST", "/createRoom",
        {"room_version": "12", "power_level_content_override": {"users": {alice.user_id: 100}}})


def test_events_come_in_the_order_of_the_spec(alice, bob):
    room = alice.create_room(
        room_alias_name="ordered", name="Name", topic="Topic", invite=[bob.user_id],
        initial_state=[{"type": "org.example.first", "content": {}}])
    assert [e["type"] for e in alice.state(room) if e["type"] != "m.room.member"] == [
        "m.room.create", "m.room.power_levels", "m.room.canonical_alias", "m.room.join_rules",
        "m.room.history_visibility", "m.room.guest_access", "org.example.first", "m.room.name",
        "m.room.topic"]
    assert content(alice, room, "m.room.canonical_alias") == {"alias": "#ordered:test.example"}


def test_name_and_topic(alice):
    room = alice.create_room(
        name="Name", topic="Topic",
        initial_state=[{"type": "m.room.name", "content": {"name": "overridden"}},
                       {"type": "m.room.topic", "content": {"topic": "overridden"}}])
    assert content(alice, room, "m.room.name") == {"name": "Name"}
    assert content(alice, room, "m.room.topic") == {
        "topic": "Topic", "m.topic": {"m.text": [{"body": "Topic", "mimetype": "text/plain"}]}}


def test_a_new_room_is_of_bounded_size(alice):
    """Other writes wait for the one that creates it."""
    state = [{"type": "org.example.x", "state_key": str(i), "content": {}} for i in range(1001)]
    users = [f"@u{i}:test.example" for i in range(501)]
    alice.fails(413, "M_TOO_LARGE", "POST", "/createRoom", {"initial_state": state})
    alice.fails(413, "M_TOO_LARGE", "POST", "/createRoom", {"invite": users})
    room = alice.create_room(initial_state=state[:1000])
    assert sum(e["type"] == "org.example.x" for e in alice.state(room)) == 1000


def test_initial_state_overrides_the_preset(alice):
    room = alice.create_room(
        preset="private_chat",
        initial_state=[
            {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}},
            {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}},
            {"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}},
            {"type": "org.example.keyed", "state_key": "key", "content": {"a": 1}}])
    assert content(alice, room, "m.room.join_rules") == {"join_rule": "knock"}
    assert content(alice, room, "m.room.history_visibility") == {"history_visibility": "joined"}
    assert content(alice, room, "m.room.encryption") == {"algorithm": "m.megolm.v1.aes-sha2"}
    assert content(alice, room, "org.example.keyed", "key") == {"a": 1}


def test_creation_content(alice):
    room = alice.create_room(
        room_version="10",
        creation_content={"m.federate": False, "type": "m.space", "creator": "@eve:test.example",
                          "room_version": "1", "org.example": [1]})
    assert content(alice, room, "m.room.create") == {
        "m.federate": False, "type": "m.space", "creator": alice.user_id, "room_version": "10",
        "org.example": [1]}


def test_power_levels_can_be_overridden(alice):
    room = alice.create_room(
        room_version="11",
        power_level_content_override={"events_default": 20, "users": {alice.user_id: 100, "@b:x.example": 7}})
    levels = content(alice, room, "m.room.power_levels")
    assert levels["events_default"] == 20
    assert levels["users"] == {alice.user_id: 100, "@b:x.example": 7}
    assert levels["ban"] == 50


def test_power_levels_must_leave_the_creator_in_power(alice):
    alice.fails(400, "M_BAD_JSON", "POST", "/createRoom",
                {"room_version": "11", "power_level_content_override": {"users": {}}})
    alice.fails(
        400, "M_INVALID_ROOM_STATE", "POST", "/createRoom",
        {"room_version": "11", "name": "x",
         "power_level_content_override": {"users": {alice.user_id: 10}}})


def test_direct_invites_say_so_and_bring_the_profile(alice, bob):
    room = alice.create_room(invite=[bob.user_id, bob.user_id], is_direct=True)
    invite = content(alice, room, "m.room.member", bob.user_id)
    assert invite == {"membership": "invite", "is_direct": True,
                      "displayname": bob.user_id[1:].split(":")[0]}
    assert "is_direct" not in content(alice, room, "m.room.member", alice.user_id)


def test_alias(alice, bob):
    room = alice.create_room(room_alias_name="taken-once")
    r = bob.get("/directory/room/" + q("#taken-once:test.example"))
    assert r == {"room_id": room, "servers": ["test.example"]}
    bob.fails(400, "M_ROOM_IN_USE", "POST", "/createRoom", {"room_alias_name": "taken-once"})
    assert len(bob.get("/joined_rooms")["joined_rooms"]) == 0


@pytest.mark.parametrize("name", ["with space", "with:colon", "", "x" * 255])
def test_alias_that_is_none(alice, name):
    alice.fails(400, "M_INVALID_PARAM", "POST", "/createRoom", {"room_alias_name": name})


@pytest.mark.parametrize(
    "body, errcode",
    [({"visibility": "secret"}, "M_INVALID_PARAM"), ({"preset": "chat"}, "M_INVALID_PARAM"),
     ({"invite": ["bob"]}, "M_INVALID_PARAM"), ({"invite": "@bob:test.example"}, "M_BAD_JSON"),
     ({"invite": [1]}, "M_INVALID_PARAM"), ({"name": 1}, "M_BAD_JSON"),
     ({"room_version": 12}, "M_BAD_JSON"), ({"creation_content": []}, "M_BAD_JSON"),
     ({"initial_state": {}}, "M_BAD_JSON"), ({"initial_state": ["x"]}, "M_BAD_JSON"),
     ({"initial_state": [{"content": {}}]}, "M_MISSING_PARAM"),
     ({"initial_state": [{"type": "m.room.name"}]}, "M_MISSING_PARAM"),
     ({"initial_state": [{"type": "m.room.create", "content": {}}]}, "M_INVALID_ROOM_STATE"),
     ({"initial_state": [{"type": "x", "content": {"float": 1.5}}]}, "M_BAD_JSON"),
     ({"power_level_content_override": {"ban": "fifty"}}, "M_INVALID_ROOM_STATE")],
)
def test_bad_requests(alice, body, errcode):
    alice.fails(400, errcode, "POST", "/createRoom", body)
    assert alice.get("/joined_rooms") == {"joined_rooms": []}


def test_too_large_state(alice):
    alice.fails(413, "M_TOO_LARGE", "POST", "/createRoom",
                {"initial_state": [{"type": "x", "content": {"body": "x" * 70000}}]})


def test_invites_by_address_are_refused(alice):
    alice.fails(
        403, "M_THREEPID_DENIED", "POST", "/createRoom",
        {"invite_3pid": [{"id_server": "id.example", "id_access_token": "t", "medium": "email",
                          "address": "bob@example.org"}]})


def test_published(alice):
    room = alice.create_room(visibility="public", preset="private_chat")
    assert alice.get(f"/directory/list/room/{q(room)}") == {"visibility": "public"}
    room = alice.create_room(preset="public_chat")
    assert alice.get(f"/directory/list/room/{q(room)}") == {"visibility": "private"}


def test_needs_a_user(anonymous):
    anonymous.fails(401, "M_MISSING_TOKEN", "POST", "/createRoom", {})


def test_survives_a_restart(fresh_server, register):
    server = fresh_server()
    alice = register("alice", on=server)
    room = alice.create_room(name="Kept", room_alias_name="kept")
    event = alice.send(room, "hello", txn="once")
    server.restart()
    again = Client(server, alice.user_id, alice.token)
    assert again.state(room, "m.room.name") == {"name": "Kept"}
    assert again.send(room, "hello", txn="once") == event
    assert again.get("/directory/room/" + q("#kept:test.example"))["room_id"] == room
    again.close()

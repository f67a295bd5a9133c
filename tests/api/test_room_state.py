"""Client-server API, "Getting events for a room" and state events."""

import pytest

from client import q


def put(client, room, type, body, key=None, **options):
    path = f"/rooms/{q(room)}/state/{q(type)}" + ("" if key is None else f"/{q(key)}")
    return client.call("PUT", path, body, **options)


def refused(client, room, type, body, status, errcode, key=""):
    client.fails(status, errcode, "PUT", f"/rooms/{q(room)}/state/{q(type)}/{q(key)}", body)


def unreadable(client, room, what):
    client.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(room)}/{what}")


def test_set_and_get(alice):
    room = alice.create_room()
    event = put(alice, room, "org.example", {"a": 1}, "key")["event_id"]
    assert event.startswith("$")
    assert alice.state(room, "org.example", "key") == {"a": 1}
    whole = alice.get(f"/rooms/{q(room)}/state/org.example/key", params={"format": "event"})
    assert whole["event_id"] == event
    assert whole["content"] == {"a": 1}
    assert whole["type"] == "org.example"
    assert whole["state_key"] == "key"
    assert whole["sender"] == alice.user_id
    assert whole["room_id"] == room
    assert whole["unsigned"]["age"] >= 0
    alice.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(room)}/state/org.example/other")
    alice.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(room)}/state/org.other/key")
    alice.fails(400, "M_INVALID_PARAM", "GET",
                f"/rooms/{q(room)}/state/org.example/key?format=xml")


def test_empty_key_with_and_without_slash(alice):
    room = alice.create_room()
    put(alice, room, "m.room.name", {"name": "one"})
    assert alice.get(f"/rooms/{q(room)}/state/m.room.name/") == {"name": "one"}
    put(alice, room, "m.room.name", {"name": "two"}, "")
    assert alice.get(f"/rooms/{q(room)}/state/m.room.name") == {"name": "two"}


def test_keys_of_every_kind(alice):
    room = alice.create_room()
    for key in "a/b", "ä ö", "%2F", "?", "x" * 255:
        put(alice, room, "org.example", {"key": key}, key)
        assert alice.state(room, "org.example", key) == {"key": key}


def test_the_same_again_sends_nothing(alice, bob):
    room = alice.create_room(power_level_content_override={"state_default": 0})
    first = put(alice, room, "org.example", {"a": 1, "b": 2})["event_id"]
    assert put(alice, room, "org.example", {"b": 2, "a": 1})["event_id"] == first
    assert put(alice, room, "org.example", {"a": 2})["event_id"] != first
    assert put(alice, room, "org.example", {"a": 1, "b": 2})["event_id"] != first


def test_whole_state(alice):
    room = alice.create_room(name="Room")
    state = alice.state(room)
    keys = [(e["type"], e["state_key"]) for e in state]
    assert len(keys) == len(set(keys))
    assert ("m.room.create", "") in keys
    assert ("m.room.member", alice.user_id) in keys
    for e in state:
        assert set(e) >= {"content", "event_id", "origin_server_ts", "room_id", "sender", "type"}


@pytest.mark.parametrize(
    "body, errcode",
    [([], "M_BAD_JSON"), ("text", "M_BAD_JSON"), ({"x": 1.5}, "M_BAD_JSON"),
     ({"x": 2**53}, "M_BAD_JSON")],
)
def test_contents_that_are_none(alice, body, errcode):
    refused(alice, alice.create_room(), "org.example", body, 400, errcode)


def test_content_that_is_not_json(alice):
    room = alice.create_room()
    r = alice.request("PUT", f"/rooms/{q(room)}/state/org.example", content=b"{]")
    assert (r.status_code, r.json()["errcode"]) == (400, "M_NOT_JSON")


def test_sizes(alice):
    room = alice.create_room()
    refused(alice, room, "org.example", {"x": "x" * 65536}, 413, "M_TOO_LARGE")
    refused(alice, room, "x" * 256, {}, 413, "M_TOO_LARGE")
    refused(alice, room, "org.example", {}, 413, "M_TOO_LARGE", "x" * 256)


def test_setting_needs_power(alice, bob):
    room = alice.create_room(preset="public_chat")
    refused(bob, room, "m.room.name", {"name": "mine"}, 403, "M_FORBIDDEN")
    bob.join(room)
    refused(bob, room, "m.room.name", {"name": "mine"}, 403, "M_FORBIDDEN")
    refused(alice, "!nowhere:test.example", "m.room.name", {"name": "x"}, 403, "M_FORBIDDEN")
    refused(alice, room, "m.room.create", {"room_version": "1"}, 400, "M_INVALID_PARAM")
    refused(alice, room, "org.example", {}, 403, "M_FORBIDDEN", "@bob:test.example")


def test_power_levels_are_checked(alice):
    room = alice.create_room(room_version="11")
    refused(alice, room, "m.room.power_levels",
            {"users": {alice.user_id: 100, "@bob:test.example": 101}}, 403, "M_FORBIDDEN")
    refused(alice, room, "m.room.power_levels", {"users": {alice.user_id: "100"}}, 403,
            "M_FORBIDDEN")


# ---- who may read ----


def test_outsiders_and_the_invited_read_nothing(alice, bob):
    room = alice.create_room(invite=[bob.user_id])
    for what in "state", "state/m.room.name", "members", "joined_members":
        unreadable(bob, room, what)
        unreadable(bob, "!nowhere:test.example", what)


def test_world_readable_rooms_are_for_all(alice, bob):
    room = alice.create_room(initial_state=[
        {"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}])
    assert bob.state(room, "m.room.history_visibility")
    assert bob.get(f"/rooms/{q(room)}/members")["chunk"]
    unreadable(bob, room, "joined_members")


def test_users_who_left_see_the_state_at_their_leave(alice, bob, register):
    carol = register("carol")
    room = alice.create_room(preset="public_chat", name="before")
    bob.join(room)
    alice.send_state(room, "m.room.name", {"name": "at the end"})
    bob.leave(room)
    alice.send_state(room, "m.room.name", {"name": "after"})
    alice.send_state(room, "org.example", {})
    carol.join(room)
    assert bob.state(room, "m.room.name") == {"name": "at the end"}
    bob.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(room)}/state/org.example")
    names = [e["content"] for e in bob.state(room) if e["type"] == "m.room.name"]
    assert names == [{"name": "at the end"}]
    members = bob.get(f"/rooms/{q(room)}/members")["chunk"]
    assert {m["state_key"] for m in members} == {alice.user_id, bob.user_id}
    unreadable(bob, room, "joined_members")
    bob.join(room)
    assert bob.state(room, "m.room.name") == {"name": "after"}


def test_the_banned_read_nothing(alice, bob):
    room = alice.create_room(preset="public_chat", name="before")
    bob.join(room)
    alice.ban(room, bob)
    for what in ("state", "state/m.room.name", "members", "joined_members", "messages?dir=b",
                 "initialSync"):
        unreadable(bob, room, what)
    alice.unban(room, bob)
    assert bob.state(room, "m.room.name") == {"name": "before"}
    alice.send_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    alice.ban(room, bob)
    assert bob.state(room, "m.room.name") == {"name": "before"}


def test_a_rejected_invite_shows_nothing(alice, bob):
    room = alice.create_room(invite=[bob.user_id])
    bob.leave(room)
    unreadable(bob, room, "state")


# ---- members ----


def members(client, room, **params):
    chunk = client.get(f"/rooms/{q(room)}/members", params=params)["chunk"]
    return {e["state_key"]: e["content"]["membership"] for e in chunk}


def test_members_and_filters(alice, bob, register):
    carol, dave = register("carol"), register("dave")
    room = alice.create_room(preset="public_chat", invite=[carol.user_id])
    bob.join(room)
    bob.leave(room)
    alice.ban(room, dave)
    everyone = {alice.user_id: "join", bob.user_id: "leave", carol.user_id: "invite",
                dave.user_id: "ban"}
    assert members(alice, room) == everyone
    assert members(alice, room, membership="join") == {alice.user_id: "join"}
    rest = {k: v for k, v in everyone.items() if v != "leave"}
    assert members(alice, room, not_membership="leave") == rest
    assert members(alice, room, membership="ban", not_membership="ban") == everyone
    alice.fails(400, "M_INVALID_PARAM", "GET", f"/rooms/{q(room)}/members?membership=away")
    alice.fails(400, "M_INVALID_PARAM", "GET", f"/rooms/{q(room)}/members?at=nowhere")


def test_members_at_a_token(alice, bob):
    room = alice.create_room(preset="public_chat")
    token = alice.sync()["next_batch"]
    bob.join(room)
    assert members(alice, room, at=token) == {alice.user_id: "join"}
    assert members(alice, room) == {alice.user_id: "join", bob.user_id: "join"}


def test_members_at_the_very_beginning_are_the_first_ones(alice, bob):
    room = alice.create_room(preset="public_chat")
    token = alice.sync(filter='{"room":{"timeline":{"limit":100}}}'
                       )["rooms"]["join"][room]["timeline"]["prev_batch"]
    bob.join(room)
    assert members(alice, room, at=token) == {alice.user_id: "join"}


def test_joined_members(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.put(f"/profile/{q(bob.user_id)}/displayname", {"displayname": 'B "ob"'})
    bob.put(f"/profile/{q(bob.user_id)}/avatar_url", {"avatar_url": "mxc://test.example/b"})
    bob.join(room)
    joined = alice.get(f"/rooms/{q(room)}/joined_members")["joined"]
    assert set(joined[alice.user_id]) == {"display_name", "avatar_url"}
    assert joined[alice.user_id]["avatar_url"] is None
    assert joined[bob.user_id] == {"display_name": 'B "ob"', "avatar_url": "mxc://test.example/b"}
    assert set(joined) == {alice.user_id, bob.user_id}


def test_many_members_are_read_in_pages(alice, bob):
    """More than one query reads."""
    room = alice.create_room(preset="public_chat")
    for n in range(3):
        alice.ban(room, f"@spam{n}:elsewhere.example")
    assert len(members(alice, room)) == 4
    many = alice.create_room(initial_state=[
        {"type": "m.room.member", "state_key": f"@spam{n:04}:elsewhere.example",
         "content": {"membership": "ban"}} for n in range(900)])
    found = members(alice, many)
    assert len(found) == 901
    others = [e for e in alice.state(alice.create_room()) if e["type"] != "m.room.member"]
    assert len(alice.state(many)) == 901 + len(others)
    assert members(alice, many, membership="join") == {alice.user_id: "join"}


# ---- canonical aliases ----


def test_canonical_alias_must_lead_here(alice):
    room = alice.create_room(room_alias_name="canonical-one")
    other = alice.create_room(room_alias_name="canonical-two")
    good, elsewhere = "#canonical-one:test.example", "#canonical-two:test.example"
    for body in ({"alias": elsewhere}, {"alias": "#nowhere:test.example"},
                 {"alt_aliases": [good, elsewhere]}):
        refused(alice, room, "m.room.canonical_alias", body, 400, "M_BAD_ALIAS")
    for body in ({"alias": "nonsense"}, {"alt_aliases": ["nonsense"]}, {"alt_aliases": [1]},
                 {"alt_aliases": [good + "\0x"]}, {"alt_aliases": "x"}, {"alias": 1}):
        refused(alice, room, "m.room.canonical_alias", body, 400, "M_INVALID_PARAM")
    alice.send_state(room, "m.room.canonical_alias", {"alias": good, "alt_aliases": [good]})
    alice.delete("/directory/room/" + q(elsewhere))
    assert alice.state(other, "m.room.canonical_alias") == {}
    for empty in {}, {"alias": ""}, {"alias": None}:
        alice.send_state(room, "m.room.canonical_alias", empty)


def test_canonical_alias_may_keep_old_aliases(alice):
    room = alice.create_room(room_alias_name="keeps-one")
    alice.put("/directory/room/" + q("#keeps-two:test.example"), {"room_id": room})
    one, two = "#keeps-one:test.example", "#keeps-two:test.example"
    alice.send_state(room, "m.room.canonical_alias", {"alias": one, "alt_aliases": [two]})
    alice.delete("/directory/room/" + q(two))
    assert alice.state(room, "m.room.canonical_alias")["alias"] == one


def test_values_that_version_12_forbids(alice, bob):
    """By no user: the request itself is invalid."""
    room = alice.create_room(creation_content={"additional_creators": [bob.user_id]})
    alice.invite(room, bob)
    bob.join(room)
    levels = alice.state(room, "m.room.power_levels")
    for creator in alice, bob:
        for sender in alice, bob:
            sender.fails(400, "M_INVALID_PARAM", "PUT", f"/rooms/{q(room)}/state/m.room.power_levels",
                         {**levels, "users": {creator.user_id: 100}})
    alice.fails(400, "M_INVALID_PARAM", "PUT", f"/rooms/{q(room)}/state/m.room.create",
                {"room_version": "12"})
    old = alice.create_room(room_version="11")
    alice.fails(403, "M_FORBIDDEN", "PUT", f"/rooms/{q(old)}/state/m.room.create",
                {"room_version": "11", "x": 1})

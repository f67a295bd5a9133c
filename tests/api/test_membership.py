"""Client-server API, "Room membership", "Knocking on rooms", "Restricted rooms", "Guest Access"."""

import json

import pytest

from client import Client, q

VERSIONS = [str(v) for v in range(1, 13)]


def member(client, room, user):
    return client.state(room, "m.room.member", user.user_id)


def post(client, room, action, body=None):
    return client.post(f"/rooms/{q(room)}/{action}", body or {})


def refused(client, room, action, body=None, status=403, errcode="M_FORBIDDEN"):
    return client.fails(status, errcode, "POST", f"/rooms/{q(room)}/{action}", body or {})


# ---- joining ----


def test_join_by_id_alias_and_both_paths(alice, bob):
    room = alice.create_room(preset="public_chat", room_alias_name="join-here")
    assert bob.join(room, via=["test.example", "elsewhere.example"]) == room
    bob.leave(room)
    assert bob.join("#join-here:test.example") == room
    bob.leave(room)
    assert post(bob, room, "join", {"reason": "curious"}) == {"room_id": room}
    name = bob.user_id[1:].split(":")[0]
    assert member(bob, room, bob) == {
        "membership": "join", "displayname": name, "reason": "curious"}


def test_join_brings_the_profile(alice, bob):
    bob.put(f"/profile/{q(bob.user_id)}/displayname", {"displayname": "Bob B."})
    bob.put(f"/profile/{q(bob.user_id)}/avatar_url", {"avatar_url": "mxc://test.example/a"})
    room = alice.create_room(preset="public_chat", invite=[bob.user_id])
    assert member(alice, room, bob) == {
        "membership": "invite", "displayname": "Bob B.", "avatar_url": "mxc://test.example/a"}
    bob.join(room)
    assert member(alice, room, bob) == {
        "membership": "join", "displayname": "Bob B.", "avatar_url": "mxc://test.example/a"}


def test_joining_again_changes_nothing(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    before = bob.get(f"/rooms/{q(room)}/state/m.room.member/{q(bob.user_id)}",
                     params={"format": "event"})
    assert bob.join(room) == room
    after = bob.get(f"/rooms/{q(room)}/state/m.room.member/{q(bob.user_id)}",
                    params={"format": "event"})
    assert before["event_id"] == after["event_id"]


def test_join_without_invite_is_refused(alice, bob):
    room = alice.create_room()
    bob.fails(403, "M_FORBIDDEN", "POST", f"/join/{q(room)}")
    refused(bob, room, "join")


def test_join_of_unknown_rooms(alice):
    alice.fails(404, "M_NOT_FOUND", "POST", f"/join/{q('!nowhere:test.example')}")
    alice.fails(404, "M_NOT_FOUND", "POST", f"/join/{q('#nowhere:test.example')}")
    alice.fails(404, "M_NOT_FOUND", "POST", f"/join/{q('#room:elsewhere.invalid')}")
    alice.fails(400, "M_INVALID_PARAM", "POST", "/join/nonsense")
    refused(alice, "!nowhere:test.example", "join", status=404, errcode="M_NOT_FOUND")
    refused(alice, "nonsense", "join", status=404, errcode="M_NOT_FOUND")


def test_join_takes_no_reason_but_text(alice):
    room = alice.create_room()
    alice.fails(400, "M_BAD_JSON", "POST", f"/rooms/{q(room)}/leave", {"reason": 1})


def test_many_join_at_once(alice, register):
    """Each join is built upon the head that another one changes."""
    from concurrent.futures import ThreadPoolExecutor

    room = alice.create_room(preset="public_chat")
    crowd = [register("crowd") for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda c: c.join(room), crowd))
    joined = alice.get(f"/rooms/{q(room)}/joined_members")["joined"]
    assert set(joined) == {alice.user_id} | {c.user_id for c in crowd}


# ---- inviting ----


def test_invite(alice, bob):
    room = alice.create_room()
    assert alice.invite(room, bob, reason="come") == {}
    assert member(alice, room, bob)["membership"] == "invite"
    assert member(alice, room, bob)["reason"] == "come"
    assert alice.invite(room, bob, reason="come") == {}
    bob.join(room)
    refused(alice, room, "invite", {"user_id": bob.user_id})


def test_rejected_invite(alice, bob):
    room = alice.create_room(invite=[bob.user_id])
    bob.leave(room, reason="no")
    assert member(alice, room, bob) == {"membership": "leave", "reason": "no"}
    refused(bob, room, "join")


def test_invites_need_power(alice, bob, register):
    carol = register("carol")
    room = alice.create_room(preset="public_chat")
    refused(bob, room, "invite", {"user_id": carol.user_id})
    bob.join(room)
    refused(bob, room, "invite", {"user_id": carol.user_id})


@pytest.mark.parametrize(
    "body, status, errcode",
    [({}, 400, "M_MISSING_PARAM"), ({"user_id": 1}, 400, "M_BAD_JSON"),
     ({"user_id": "bob"}, 400, "M_INVALID_PARAM"),
     ({"user_id": "@bob:test.example", "reason": {}}, 400, "M_BAD_JSON"),
     ({"id_server": "id.example", "id_access_token": "t", "medium": "email"}, 400,
      "M_MISSING_PARAM"),
     ({"id_server": "id.example", "id_access_token": "t", "medium": "email",
       "address": "bob@example.org"}, 403, "M_THREEPID_DENIED")],
)
def test_bad_invites(alice, body, status, errcode):
    refused(alice, alice.create_room(), "invite", body, status, errcode)


def test_invite_to_a_room_that_is_not_there(alice, bob):
    refused(alice, "!nowhere:test.example", "invite", {"user_id": bob.user_id})


def test_invite_of_the_banned_is_refused(alice, bob):
    room = alice.create_room()
    alice.ban(room, bob)
    refused(alice, room, "invite", {"user_id": bob.user_id})


def test_invites_can_be_blocked(alice, bob):
    path = f"/user/{q(bob.user_id)}/account_data/m.invite_permission_config"
    bob.put(path, {"default_action": "block"})
    room = alice.create_room()
    refused(alice, room, "invite", {"user_id": bob.user_id}, errcode="M_INVITE_BLOCKED")
    member_refused(alice, room, bob, {"membership": "invite"}, errcode="M_INVITE_BLOCKED")
    alice.fails(403, "M_INVITE_BLOCKED", "POST", "/createRoom", {"invite": [bob.user_id]})
    bob.put(path, {})
    alice.invite(room, bob)


# ---- leaving and forgetting ----


def test_leave(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    assert bob.leave(room, reason="bye") == {}
    assert member(alice, room, bob) == {"membership": "leave", "reason": "bye"}
    assert bob.get("/joined_rooms") == {"joined_rooms": []}
    refused(bob, room, "leave", {"reason": "again"})


def test_leaving_twice_is_harmless(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.leave(room)
    bob.leave(room)


def test_leaving_where_one_never_was(alice, bob):
    room = alice.create_room()
    refused(bob, room, "leave")
    refused(bob, "!nowhere:test.example", "leave", status=404, errcode="M_NOT_FOUND")


def test_forget(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    refused(bob, room, "forget", status=400, errcode="M_UNKNOWN")
    bob.leave(room)
    with_left = json.dumps({"room": {"include_leave": True}})
    assert bob.state(room, "m.room.join_rules")
    assert room in bob.sync(filter=with_left)["rooms"]["leave"]
    assert post(bob, room, "forget") == {}
    assert room not in bob.sync(filter=with_left).get("rooms", {}).get("leave", {})
    bob.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(room)}/state")
    bob.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(room)}/messages?dir=b")
    bob.join(room)
    assert bob.state(room, "m.room.join_rules")


def test_forgetting_unknown_rooms(alice, bob):
    refused(bob, alice.create_room(), "forget", status=404, errcode="M_NOT_FOUND")


# ---- kicking and banning ----


def test_kick(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    assert alice.kick(room, bob, reason="off") == {}
    assert member(alice, room, bob) == {"membership": "leave", "reason": "off"}
    bob.join(room)


def test_kick_takes_back_invites(alice, bob):
    room = alice.create_room(invite=[bob.user_id])
    alice.kick(room, bob)
    assert member(alice, room, bob)["membership"] == "leave"


def test_kick_refusals(alice, bob, register):
    carol = register("carol")
    room = alice.create_room(preset="public_chat")
    refused(alice, room, "kick", {"user_id": carol.user_id})
    bob.join(room)
    carol.join(room)
    refused(bob, room, "kick", {"user_id": carol.user_id})
    refused(bob, room, "kick", {"user_id": alice.user_id})
    carol.leave(room)
    refused(alice, room, "kick", {"user_id": carol.user_id})
    alice.ban(room, carol)
    refused(alice, room, "kick", {"user_id": carol.user_id}, errcode="M_BAD_STATE")
    refused(carol, room, "kick", {"user_id": bob.user_id})


def test_ban_and_unban(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    assert alice.ban(room, bob, reason="spam") == {}
    assert member(alice, room, bob) == {"membership": "ban", "reason": "spam"}
    bob.fails(403, "M_FORBIDDEN", "POST", f"/join/{q(room)}")
    assert alice.unban(room, bob, reason="sorry") == {}
    assert member(alice, room, bob) == {"membership": "leave", "reason": "sorry"}
    refused(alice, room, "unban", {"user_id": bob.user_id}, errcode="M_BAD_STATE")
    bob.join(room)


def test_ban_of_a_user_who_was_never_in_the_room(alice):
    room = alice.create_room()
    alice.ban(room, "@outsider:elsewhere.example")
    refused(alice, room, "ban", {"user_id": "unknown"}, 400, "M_INVALID_PARAM")


def test_ban_may_request_redactions(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.ban(room, bob, **{"org.matrix.msc4293.redact_events": True})
    assert member(alice, room, bob)["org.matrix.msc4293.redact_events"] is True


# ---- knocking ----


@pytest.mark.parametrize("version", VERSIONS)
def test_knock(alice, bob, version):
    room = alice.create_room(
        room_version=version,
        initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}])
    path = f"/knock/{q(room)}"
    if int(version) < 7:
        bob.fails(403, "M_FORBIDDEN", "POST", path)
        return
    assert bob.post(path, {"reason": "please"}) == {"room_id": room}
    assert member(alice, room, bob)["membership"] == "knock"
    assert member(alice, room, bob)["reason"] == "please"
    bob.fails(403, "M_FORBIDDEN", "POST", f"/join/{q(room)}")
    alice.invite(room, bob)
    bob.join(room)
    bob.fails(403, "M_FORBIDDEN", "POST", path)


def test_knock_taken_back_and_rejected(alice, bob):
    room = alice.create_room(
        initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}])
    bob.post(f"/knock/{q(room)}")
    bob.leave(room)
    assert member(alice, room, bob)["membership"] == "leave"
    bob.post(f"/knock/{q(room)}")
    alice.kick(room, bob)
    alice.ban(room, bob)
    bob.fails(403, "M_FORBIDDEN", "POST", f"/knock/{q(room)}")


def test_knock_refusals(alice, bob):
    room = alice.create_room()
    bob.fails(403, "M_FORBIDDEN", "POST", f"/knock/{q(room)}")
    bob.fails(404, "M_NOT_FOUND", "POST", f"/knock/{q('!nowhere:test.example')}")


# ---- restricted rooms ----


def restricted(alice, allowed, rule="restricted", version="12", **body):
    allow = [{"type": "m.room_membership", "room_id": r} for r in allowed]
    return alice.create_room(
        room_version=version,
        initial_state=[{"type": "m.room.join_rules",
                        "content": {"join_rule": rule, "allow": allow}}], **body)


@pytest.mark.parametrize("version", VERSIONS[7:])
def test_restricted_join(alice, bob, version):
    space = alice.create_room(preset="public_chat")
    room = restricted(alice, [space], version=version)
    bob.fails(403, "M_FORBIDDEN", "POST", f"/join/{q(room)}")
    bob.join(space)
    bob.join(room)
    assert member(bob, room, bob)["join_authorised_via_users_server"] == alice.user_id
    bob.leave(space)
    bob.send(room, "still here")


def test_restricted_join_by_invite_needs_no_authorising_user(alice, bob):
    room = restricted(alice, [], invite=[bob.user_id])
    bob.join(room)
    assert "join_authorised_via_users_server" not in member(bob, room, bob)


def test_restricted_join_ignores_rooms_that_are_not_there(alice, bob):
    room = restricted(alice, ["!nowhere:test.example", "nonsense"])
    bob.fails(403, "M_FORBIDDEN", "POST", f"/join/{q(room)}")


def test_restricted_join_without_authorising_user(alice, bob):
    space = alice.create_room(preset="public_chat")
    room = restricted(alice, [space], version="11",
                      power_level_content_override={"invite": 100})
    bob.join(space)
    alice.leave(room)
    bob.fails(400, "M_UNABLE_TO_GRANT_JOIN", "POST", f"/join/{q(room)}")


@pytest.mark.parametrize("version", ["10", "11", "12"])
def test_knock_restricted(alice, bob, register, version):
    space = alice.create_room(preset="public_chat")
    room = restricted(alice, [space], "knock_restricted", version)
    bob.post(f"/knock/{q(room)}")
    carol = register("carol")
    carol.join(space)
    carol.join(room)


def test_clients_cannot_vouch_for_themselves(alice, bob):
    room = restricted(alice, [])
    bob.fails(403, "M_FORBIDDEN", "PUT", f"/rooms/{q(room)}/state/m.room.member/{q(bob.user_id)}",
              {"membership": "join", "join_authorised_via_users_server": alice.user_id})


# ---- member events as state ----


def put_member(client, room, user, body):
    return client.put(f"/rooms/{q(room)}/state/m.room.member/{q(user.user_id)}", body)


def member_refused(client, room, user, body, status=403, errcode="M_FORBIDDEN"):
    client.fails(status, errcode, "PUT",
                 f"/rooms/{q(room)}/state/m.room.member/{q(user.user_id)}", body)


def test_member_events_as_state(alice, bob):
    room = alice.create_room()
    put_member(alice, room, bob, {"membership": "invite"})
    assert "displayname" in member(alice, room, bob)
    put_member(bob, room, bob, {"membership": "join", "displayname": "Here only", "org.x": 1})
    assert member(alice, room, bob) == {
        "membership": "join", "displayname": "Here only", "org.x": 1}
    put_member(bob, room, bob, {"membership": "join", "displayname": "Other"})
    assert member(alice, room, bob)["displayname"] == "Other"
    put_member(alice, room, bob, {"membership": "leave"})
    put_member(alice, room, bob, {"membership": "ban"})
    put_member(alice, room, bob, {"membership": "leave"})
    assert member(alice, room, bob)["membership"] == "leave"


def test_member_events_as_state_are_checked(alice, bob):
    room = alice.create_room(preset="public_chat")
    member_refused(alice, room, bob, {"membership": "join"})
    member_refused(alice, room, bob, {"membership": "leave"})
    member_refused(alice, room, bob, {"membership": "away"}, 400, "M_BAD_JSON")
    member_refused(alice, room, bob, {}, 400, "M_MISSING_PARAM")
    member_refused(alice, room, bob, {"membership": 1}, 400, "M_BAD_JSON")
    alice.fails(400, "M_INVALID_PARAM", "PUT", f"/rooms/{q(room)}/state/m.room.member/bob",
                {"membership": "invite"})


def test_membership_cannot_be_sent_as_message(alice):
    room = alice.create_room()
    alice.fails(403, "M_FORBIDDEN", "PUT", f"/rooms/{q(room)}/send/m.room.member/1",
                {"membership": "leave"})


# ---- guests ----


def test_guests_join_where_they_may(fresh_server, register):
    server = fresh_server(allow_guest_access="true")
    host = register("host", on=server)
    guest = Client(server)
    r = guest.call("POST", "/register", {}, params={"kind": "guest"})
    guest.user_id, guest.token = r["user_id"], r["access_token"]
    closed = host.create_room(preset="public_chat")
    guest.fails(403, "M_GUEST_ACCESS_FORBIDDEN", "POST", f"/rooms/{q(closed)}/join")
    opened = host.create_room(
        preset="public_chat",
        initial_state=[{"type": "m.room.guest_access", "content": {"guest_access": "can_join"}}])
    guest.join(opened)
    guest.send(opened, "hello")
    guest.fails(403, "M_GUEST_ACCESS_FORBIDDEN", "POST", "/createRoom")
    host.send_state(opened, "m.room.guest_access", {"guest_access": "forbidden"})
    assert member(host, opened, guest)["membership"] == "leave"
    assert host.user_id in host.get(f"/rooms/{q(opened)}/joined_members")["joined"]
    guest.close()


# ---- suspended users ----


def test_the_suspended_may_only_leave_and_take_back(fresh_server):
    from test_register import secret_body

    server = fresh_server(registration_shared_secret="s3cret")
    root = Client(server)
    done = root.post("/_synapse/admin/v1/register", secret_body(root, "root", admin=True))
    root.token = done["access_token"]
    ann, ben = Client(server).register("ann"), Client(server).register("ben")
    room = ann.create_room(preset="public_chat")
    other = ann.create_room(preset="public_chat")
    ben.join(room)
    his, hers = ben.send(room, "his"), ann.send(room, "hers")
    ann.send_state(room, "m.room.power_levels", {"users_default": 90, "users": {}})
    root.put(f"/_matrix/client/v1/admin/suspend/{q(ben.user_id)}", {"suspended": True})
    for method, path, body in (
        ("POST", "/createRoom", {}), ("POST", f"/join/{q(other)}", {}),
        ("POST", f"/knock/{q(other)}", {}),
        ("POST", f"/rooms/{q(room)}/invite", {"user_id": "@x:test.example"}),
        ("POST", f"/rooms/{q(room)}/kick", {"user_id": ann.user_id}),
        ("PUT", f"/rooms/{q(room)}/send/m.room.message/1", {}),
        ("PUT", f"/rooms/{q(room)}/state/m.room.name", {}),
        ("PUT", f"/rooms/{q(room)}/redact/{q(hers)}/1", {}),
        ("POST", f"/rooms/{q(room)}/upgrade", {"new_version": "12"}),
        ("PUT", f"/directory/room/{q('#x:test.example')}", {"room_id": room}),
        ("PUT", f"/directory/list/room/{q(room)}", {})):
        ben.fails(403, "M_USER_SUSPENDED", method, path, body)
    assert ben.state(room)
    ben.redact(room, his)
    ben.leave(room)
    for c in root, ann, ben:
        c.close()


def test_rooms_of_a_server_administrator(fresh_server):
    """Administrators may unpublish a room without being in it."""
    from test_register import secret_body

    server = fresh_server(registration_shared_secret="s3cret")
    root = Client(server)
    done = root.post("/_synapse/admin/v1/register", secret_body(root, "root", admin=True))
    root.token = done["access_token"]
    ann = Client(server).register("ann")
    room = ann.create_room(visibility="public", room_alias_name="tidied")
    assert root.get(f"/rooms/{q(room)}/aliases") == {"aliases": ["#tidied:test.example"]}
    root.put(f"/directory/list/room/{q(room)}", {"visibility": "private"})
    root.delete("/directory/room/" + q("#tidied:test.example"))
    assert ann.get(f"/rooms/{q(room)}/aliases") == {"aliases": []}
    for c in root, ann:
        c.close()


# ---- invites by address ----


def test_claiming_an_invite_by_address(alice, bob):
    """An identity server signed that the token belongs to bob; alice's server then invites him."""
    import base64

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    def encode(b):
        return base64.b64encode(b).decode().rstrip("=")

    key = Ed25519PrivateKey.generate()
    public = encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    room = alice.create_room()
    alice.send_state(
        room, "m.room.third_party_invite",
        {"display_name": "b...@example.org", "public_key": public,
         "key_validity_url": "https://id.example/valid", "public_keys": [{"public_key": public}]},
        "the-token")
    signed = {"mxid": bob.user_id, "sender": alice.user_id, "token": "the-token"}
    text = json.dumps(signed, sort_keys=True, separators=(",", ":")).encode()
    good = {**signed, "signatures": {"id.example": {"ed25519:0": encode(key.sign(text))}}}
    bad = {**signed, "signatures": {"id.example": {"ed25519:0": encode(bytes(64))}}}
    refused(bob, room, "join", {"third_party_signed": bad})
    refused(bob, room, "join", {"third_party_signed": {**good, "token": "another"}})
    post(bob, room, "join", {"third_party_signed": good})
    assert member(alice, room, bob)["membership"] == "join"


def test_joined_rooms(alice):
    rooms = {alice.create_room() for _ in range(3)}
    assert set(alice.get("/joined_rooms")["joined_rooms"]) == rooms


def test_other_members_in_the_body_of_a_join(alice, bob, two):
    """Other members of the body are put into the member event, also in a room of another server."""
    body = {"org.example.x": [1, "two"], "displayname": "Bob of Records", "reason": "work",
            "membership": "ban", "join_authorised_via_users_server": alice.user_id,
            "third_party_signed": None}
    wanted = {"membership": "join", "org.example.x": [1, "two"], "displayname": "Bob of Records",
              "reason": "work"}
    room = alice.create_room(preset="public_chat")
    bob.join(room, **body)
    assert alice.state(room, "m.room.member", bob.user_id) == wanted
    bob.fails(400, "M_BAD_JSON", "POST", f"/join/{q(room)}", {"org.example.x": 0.5})
    here, there = two[0].user("carol"), two[1].user("dave")
    far = here.create_room(preset="public_chat")
    there.join(far, via=[two[0].name], **body)
    assert here.state(far, "m.room.member", there.user_id) == wanted

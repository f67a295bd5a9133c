"""Invites across servers (server-server-api, "Inviting to a room", "Leaving Rooms", "Third-party
invites"), in every room version and on both sides."""

import pytest

import pdus
from e2ee import SigningKey
from federation import has_event, membership, same_state
from remote import FED, q
from restoring import psql, uri_of
from waiting import eventually

VERSIONS = pdus.VERSIONS


def invited(client, room):
    """The stripped state of a pending invite, by type and key; None without an invite."""
    invite = client.sync().get("rooms", {}).get("invite", {}).get(room)
    return invite and {(e["type"], e["state_key"]): e for e in invite["invite_state"]["events"]}


# ---- two of ours ----


@pytest.mark.parametrize("version", VERSIONS)
def test_invite_and_accept(two, version):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="private_chat", room_version=version, name="Bridges")
    alice.invite(room, bob, reason="come")
    state = eventually(lambda: invited(bob, room))
    assert state["m.room.name", ""]["content"] == {"name": "Bridges"}
    assert state["m.room.create", ""]["sender"] == alice.user_id
    assert alice.state(room, "m.room.member", bob.user_id)["displayname"] == bob.user_id[1:].split(":")[0]
    mine = state["m.room.member", bob.user_id]
    assert mine["content"]["membership"] == "invite" and mine["content"]["reason"] == "come"
    assert all(set(e) <= {"type", "state_key", "sender", "content", "origin_server_ts"}
               for e in state.values())
    assert membership(alice, room, bob) == "invite"
    bob.join(room)
    eventually(lambda: same_state(room, alice, bob))
    assert not invited(bob, room)
    hello = bob.send(room, "hello")
    eventually(lambda: has_event(alice, room, hello))


@pytest.mark.parametrize("version", ["1", "5", "10", "12"])
def test_reject(two, version):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="private_chat", room_version=version)
    alice.invite(room, bob)
    eventually(lambda: invited(bob, room))
    bob.leave(room, reason="no time")
    assert not invited(bob, room)
    eventually(lambda: membership(alice, room, bob) == "leave")
    member = alice.state(room, "m.room.member", bob.user_id)
    assert member.get("reason") == "no time"
    alice.invite(room, bob)  # a second time
    eventually(lambda: invited(bob, room))
    bob.join(room)
    eventually(lambda: membership(alice, room, bob) == "join")


@pytest.mark.parametrize("version", ["2", "9", "12"])
def test_taking_an_invite_back(two, version):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="private_chat", room_version=version)
    alice.invite(room, bob)
    eventually(lambda: invited(bob, room))
    alice.kick(room, bob)
    eventually(lambda: not invited(bob, room))
    bob.fails(403, "M_FORBIDDEN", "POST", f"/join/{q(room)}", params={"via": a.name})


def test_invited_into_a_room_that_the_server_is_in(two):
    a, b = two
    alice, bob, dora = a.user("alice"), b.user("bob"), b.user("dora")
    room = alice.create_room(preset="private_chat")
    alice.invite(room, bob)
    bob.join(room)
    alice.invite(room, dora)
    eventually(lambda: invited(dora, room))
    dora.join(room)
    eventually(lambda: same_state(room, alice, bob, dora))


def test_invites_that_are_refused(two):
    a, b = two
    alice = a.user("alice")
    room = alice.create_room(preset="private_chat")
    invite = f"/rooms/{q(room)}/invite"
    alice.fails(404, "M_NOT_FOUND", "POST", invite, {"user_id": f"@unknown-at-all:{b.name}"})
    bob = b.user("bob")
    bob.put(f"/user/{q(bob.user_id)}/account_data/m.invite_permission_config",
            {"default_action": "block"})
    alice.fails(403, "M_INVITE_BLOCKED", "POST", invite, {"user_id": bob.user_id})
    alice.fails(400, "M_INVALID_PARAM", "POST", invite, {"user_id": "bob"})
    assert not invited(bob, room)


def test_invites_of_a_new_room(two, remote):
    a, b = two
    alice, bob, dora = a.user("alice"), b.user("bob"), a.user("dora")
    remote.link.cut()
    room = alice.create_room(
        preset="trusted_private_chat", is_direct=True,
        invite=[bob.user_id, dora.user_id, f"@away:{remote.name}"])
    state = eventually(lambda: invited(bob, room))
    assert state["m.room.member", bob.user_id]["content"]["is_direct"] is True
    assert invited(dora, room) and membership(alice, room, bob) == "invite"
    bob.join(room)
    bob.send_state(room, "m.room.topic", {"topic": "bob is trusted"})


def test_invite_as_a_state_event(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="private_chat")
    event = alice.send_state(room, "m.room.member", {"membership": "invite", "x.note": 1}, bob.user_id)
    assert alice.event(room, event)["content"]["x.note"] == 1
    eventually(lambda: invited(bob, room))


def test_a_rejection_reaches_a_server_that_was_away(ministries):
    a, b = ministries(), ministries()
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="private_chat")
    alice.invite(room, bob)
    eventually(lambda: invited(bob, room))
    a.link.cut()
    bob.leave(room)
    assert not invited(bob, room)
    assert membership(alice, room, bob) == "invite"
    b.stop()
    b.start()
    assert not invited(bob, room)
    a.link.heal()
    eventually(lambda: membership(alice, room, bob) == "leave", seconds=60)


def test_an_invite_taken_back_reaches_a_server_that_was_away(ministries):
    a, b = ministries(), ministries()
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="private_chat")
    alice.invite(room, bob)
    eventually(lambda: invited(bob, room))
    b.kill()
    alice.kick(room, bob)
    b.start()
    eventually(lambda: not invited(bob, room), seconds=60)
    r = bob.sync(filter='{"room":{"include_leave":true}}')
    assert room in r["rooms"].get("leave", {})


def test_deactivation_rejects_invites(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="private_chat")
    alice.invite(room, bob)
    eventually(lambda: invited(bob, room))
    bob.post("/account/deactivate", {"auth": {
        "type": "m.login.password", "identifier": {"type": "m.id.user", "user": bob.user_id},
        "password": bob.password}})
    eventually(lambda: membership(alice, room, bob) == "leave")
    alice.fails(404, "M_NOT_FOUND", "POST", f"/rooms/{q(room)}/invite", {"user_id": bob.user_id})


# ---- a fake server invites ours ----


@pytest.mark.parametrize("version", VERSIONS)
def test_a_foreign_server_invites(two, remote, version):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, version, join_rule="invite",
                              state=[("m.room.name", "", {"name": "Far"})])
    i = remote.invite(room, carol, alice.user_id)
    assert a.name in room.find(i)["signatures"]
    assert remote.is_signed(pdus.signed_bytes(room.find(i), version), a.name,
                            room.find(i)["signatures"][a.name])
    state = eventually(lambda: invited(alice, room.id))
    assert state["m.room.name", ""]["content"]["name"] == "Far"
    alice.join(room.id)
    assert alice.user_id in room.members()


def test_a_foreign_server_fills_no_list(two, remote):
    """One server's pending invites for a user, and the rooms known by its invites, are bounded."""
    alice = two[0].user("alice")
    carol = remote.user("carol")
    uri = uri_of(two[0])
    first = remote.create_room(carol, "11", join_rule="invite")
    remote.invite(first, carol, alice.user_id)
    user = psql(uri, f"SELECT id FROM users WHERE user_id = '{alice.user_id}'")
    psql(uri, "INSERT INTO room_members (room, \"user\", membership, event, is_local) "
              f"SELECT -n, \"user\", 2, event, true FROM room_members, generate_series(1, 499) n "
              f"WHERE \"user\" = {user} AND membership = 2")
    room = remote.create_room(carol, "11", join_rule="invite")
    assert remote.invite(room, carol, alice.user_id, status=403)["errcode"] == "M_RESOURCE_LIMIT_EXCEEDED"
    psql(uri, f"DELETE FROM room_members WHERE \"user\" = {user} AND room < 0")

    source = psql(uri, f"SELECT source FROM rooms WHERE room_id = '{first.id}'")
    assert int(source) < 0
    psql(uri, "INSERT INTO rooms (room_id, room_version, version, depth, extremities, notify_total, "
              "highlight_total, source) SELECT '!noted-' || n || ':remote.example', '11', 0, 0, '{}', 0, 0, "
              f"{source} FROM generate_series(1, 99999) n")
    assert remote.invite(room, carol, alice.user_id, status=403)["errcode"] == "M_RESOURCE_LIMIT_EXCEEDED"
    alice.join(first.id)  # a joined room no longer counts
    remote.invite(room, carol, alice.user_id)


def test_an_old_server_invites(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, "1", join_rule="invite")
    event = remote.sign(room, room.build(carol, "m.room.member", {"membership": "invite"},
                                         alice.user_id))
    i = pdus.event_id(event, "1")
    status, reply = remote.call(a.name, "PUT", f"{FED}/v1/invite/{q(room.id)}/{q(i)}", event)
    assert status == 200
    room.add(reply["event"])
    eventually(lambda: invited(alice, room.id))
    alice.join(room.id, via=[remote.name])


def test_only_invites_are_signed(two, remote):
    a, b = two
    alice, bob, carol = a.user("alice"), b.user("bob"), remote.user("carol")
    room = remote.create_room(carol, "12")

    def put(event, i=None, version="12", state=None, room_id=None):
        i = i or pdus.event_id(event, "12")
        shown = [room.find(i) for key, i in room.state.items() if key[0] == "m.room.create"]
        body = {"event": event, "room_version": version,
                "invite_room_state": shown if state is None else state}
        return f"{FED}/v2/invite/{q(room_id or room.id)}/{q(i)}", body

    def refused(status, errcode, *args, **options):
        path, body = put(*args, **options)
        return remote.fails(a.name, status, errcode, "PUT", path, body)

    def build(sender=carol, type="m.room.member", membership="invite", target=alice.user_id):
        return remote.sign(room, room.build(sender, type, {"membership": membership}, target))

    good = build()
    refused(400, "M_INVALID_PARAM", build(type="m.room.topic"))
    refused(400, "M_INVALID_PARAM", build(membership="join"))
    refused(400, "M_INVALID_PARAM", build(target=bob.user_id))
    refused(403, "M_FORBIDDEN", build(sender=bob.user_id))
    refused(400, "M_INVALID_PARAM", good, i="$" + "A" * 43)
    refused(400, "M_INVALID_PARAM", good, room_id="!" + "A" * 43)
    refused(403, "M_FORBIDDEN", {**good, "signatures": {remote.name: {remote.key_id: "A" * 86}}})
    refused(400, "M_INVALID_PARAM", {**good, "content": {"membership": "invite", "x": 1}})
    refused(400, "M_BAD_JSON", {**good, "content": {"membership": "invite", "x": 0.5}})
    refused(400, "M_BAD_JSON", {**good, "depth": "deep"})
    refused(404, "M_NOT_FOUND", build(target=f"@unknown-at-all:{a.name}"))
    e = refused(400, "M_INCOMPATIBLE_ROOM_VERSION", good, version="org.example.99")
    assert e["room_version"] == "org.example.99"
    # version 12: the room's id must be provable
    refused(400, "M_INVALID_PARAM", good, state=[])
    other = remote.create_room(carol, "12", create={"x.other": True})
    refused(400, "M_INVALID_PARAM", good, state=[other.find(other.order[0])])
    create = room.find(room.order[0])
    refused(400, "M_INVALID_PARAM", good,
            state=[{k: create[k] for k in ("type", "state_key", "content", "sender")}])
    path, body = put(good)
    del body["invite_room_state"]
    remote.fails(a.name, 400, "M_MISSING_PARAM", "PUT", path, body)
    assert not invited(alice, room.id)
    path, body = put(good)
    remote.call(a.name, "PUT", path, body)
    assert invited(alice, room.id)


def test_state_of_an_invite_shows_nothing_forged(two, remote):
    """Before version 12 stripped events are accepted, but full ones must be valid."""
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room, other = (remote.create_room(carol, "10", state=[("m.room.name", "", {"name": n})])
                   for n in ("true", "other"))
    name = {k: room.find(room.state["m.room.name", ""])[k]
            for k in ("type", "state_key", "content", "sender")}
    foreign = other.find(other.state["m.room.create", ""])
    forged = {**room.find(room.state["m.room.join_rules", ""]), "content": {"join_rule": "public"},
              "signatures": {remote.name: {remote.key_id: "A" * 86}}}
    remote.invite(room, carol, alice.user_id, room_state=[
        name, foreign, forged, 5, {"type": "m.room.topic"}, {**name, "type": 7}])
    state = invited(alice, room.id)
    assert set(state) == {("m.room.name", ""), ("m.room.member", alice.user_id)}


@pytest.mark.parametrize("lie", ["1", "9"])
def test_an_invite_with_the_wrong_version_spoils_nothing(two, remote, lie):
    """A hostile invite names another server's room with a wrong version."""
    a, b = two
    alice, bob, mallory = a.user("alice"), b.user("bob"), remote.user("mallory")
    room = bob.create_room(preset="public_chat", room_version="11")
    fake = remote.create_room(mallory, lie)
    fake.id = room
    remote.invite(fake, mallory, alice.user_id, room_state=[])
    bob.invite(room, alice)
    assert ("m.room.create", "") in eventually(lambda: invited(alice, room))
    alice.join(room, via=[b.name])
    eventually(lambda: same_state(room, alice, bob))


def test_closed_federation_takes_no_invites(ministries, remote):
    a = ministries(federation_domain_whitelist="localhost:1")
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, "11")
    remote.invite(room, carol, alice.user_id, status=403)
    mine = alice.create_room(preset="private_chat")
    alice.fails(403, "M_FORBIDDEN", "POST", f"/rooms/{q(mine)}/invite", {"user_id": carol})
    assert not remote.seen(path=FED)


# ---- ours invites a fake server's user ----


@pytest.mark.parametrize("version", VERSIONS)
def test_inviting_a_foreign_user(two, remote, version):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = alice.create_room(preset="private_chat", room_version=version, name="Ours")
    alice.invite(room, carol)
    named, event, state = remote.invites[0]
    assert named == version and remote.check_event(event, version)
    types = {e["type"]: e for e in state}
    assert types["m.room.name"]["content"]["name"] == "Ours"
    for e in state:  # full events
        assert remote.check_event(e, version)
    if version == "12":
        assert "!" + pdus.event_id(types["m.room.create"], "12")[1:] == room
    assert membership(alice, room, carol) == "invite"
    remote.join(a.name, room, carol)
    assert membership(alice, room, carol) == "join"


def test_inviting_a_user_of_an_old_server(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    remote.on("PUT", f"{FED}/v2/", (404, {"errcode": "M_UNRECOGNIZED", "error": "no such thing"}))
    room = alice.create_room(preset="private_chat", room_version="2")
    alice.invite(room, carol)
    assert membership(alice, room, carol) == "invite"
    newer = alice.create_room(preset="private_chat", room_version="6")
    r = alice.request("POST", f"/rooms/{q(newer)}/invite", {"user_id": carol})
    assert r.status_code == 502


@pytest.mark.parametrize("refusal", [(404, (b"not here", {})), (400, {}), (404, {}),
                                     (400, {"errcode": "M_UNKNOWN", "error": "what?"})])
def test_an_old_server_may_say_anything_of_version_2(two, remote, refusal):
    a, _ = two
    alice, bob, carol = a.user("alice"), a.user("bob"), remote.user("carol")
    remote.on("PUT", f"{FED}/v2/", refusal)
    room = alice.create_room(preset="private_chat", room_version="2")
    alice.invite(room, carol)
    assert membership(alice, room, carol) == "invite"
    theirs = remote.create_room(carol, "2")
    bob.join(theirs.id, via=[remote.name])
    assert remote.seen("PUT", f"{FED}/v1/send_join/")
    before = len(remote.seen("PUT", f"{FED}/v1/invite/"))
    newer = alice.create_room(preset="private_chat", room_version="6")
    assert alice.request("POST", f"/rooms/{q(newer)}/invite", {"user_id": carol}).status_code >= 400
    assert len(remote.seen("PUT", f"{FED}/v1/invite/")) == before


def test_an_invite_is_not_sent_to_a_server_that_is_not_in_the_room(two, remote):
    """It has signed the event already; a server that is in the room gets it like all others."""
    a, _ = two
    alice, carol, dave = a.user("alice"), remote.user("carol"), remote.user("dave")
    room = alice.create_room(preset="private_chat", room_version="11")
    alice.invite(room, carol)
    other = alice.create_room(preset="public_chat", room_version="11")
    remote.join(a.name, other, dave)
    mark = alice.send(other, "behind the invite")
    remote.wait_for(lambda: mark in remote.pdu_ids("11"))
    assert [p for p in remote.pdus if p["room_id"] == room] == []
    remote.join(a.name, room, carol)
    alice.invite(room, dave)
    remote.wait_for(lambda: [p for p in remote.pdus if p["room_id"] == room
                             and p.get("state_key") == dave])


def test_only_the_inviter_takes_an_invite_back_that_we_know_no_more_of(two, remote):
    a, _ = two
    alice, carol, dave = a.user("alice"), remote.user("carol"), remote.user("dave")
    room = remote.create_room(carol, "11", levels={"users": {carol: 100, dave: 100}})
    remote.event(room, dave, "m.room.member", {"membership": "join"}, dave)
    remote.invite(room, carol, alice.user_id)
    assert invited(alice, room.id)
    event = remote.sign(room, room.build(dave, "m.room.member", {"membership": "leave"}, alice.user_id))
    assert remote.put_transaction(a.name, [event])["pdus"][pdus.event_id(event, "11")]["error"]
    assert invited(alice, room.id)
    i, event = remote.event(room, carol, "m.room.member", {"membership": "leave"}, alice.user_id)
    assert not remote.put_transaction(a.name, [event])["pdus"][i]
    assert not invited(alice, room.id)


def test_stripped_state_of_others_keeps_its_time(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, "10")
    shown = [{k: e[k] for k in ("type", "state_key", "content", "sender", "origin_server_ts")}
             for e in (room.find(i) for key, i in room.state.items() if key[0] == "m.room.create")]
    remote.invite(room, carol, alice.user_id, room_state=shown)
    assert invited(alice, room.id)["m.room.create", ""] == shown[0]


def test_answers_that_are_not_our_invite(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = alice.create_room(preset="private_chat", room_version="11")
    path = f"/rooms/{q(room)}/invite"

    def refused(change):
        def answer(request):
            event = pdus.add_signature(request.body["event"], "11", remote.name, remote.key,
                                       remote.key_id)
            return 200, change(event)

        entry = remote.on("PUT", f"{FED}/v2/invite/", answer)
        alice.fails(502, "M_BAD_STATUS", "POST", path, {"user_id": carol, "reason": "why"})
        assert entry

    refused(lambda e: {})
    refused(lambda e: {"event": 5})
    refused(lambda e: {"event": {**e, "content": {"membership": "invite", "more": 1}}})
    refused(lambda e: {"event": {**e, "depth": e["depth"] + 1}})
    refused(lambda e: {"event": {**e, "signatures": {a.name: e["signatures"][a.name]}}})
    refused(lambda e: {"event": {**e, "signatures": {**e["signatures"],
                                                     remote.name: {remote.key_id: "A" * 86}}}})
    alice.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(room)}/state/m.room.member/{q(carol)}")


def test_errors_of_the_other_server_reach_the_client(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = alice.create_room(preset="private_chat")
    path = f"/rooms/{q(room)}/invite"
    for status, errcode, seen, seen_errcode in (
            (403, "M_FORBIDDEN", 403, "M_FORBIDDEN"),
            (403, "M_INVITE_BLOCKED", 403, "M_INVITE_BLOCKED"),
            (403, "ORG.EXAMPLE.NOT_TODAY", 403, "ORG.EXAMPLE.NOT_TODAY"),
            (404, "M_SOMETHING_NEW", 404, "M_SOMETHING_NEW"),
            (403, "M_UNKNOWN", 403, "M_UNKNOWN"),
            (401, "M_UNKNOWN_TOKEN", 502, "M_BAD_STATUS"),
            (401, "M_SOMETHING_NEW", 502, "M_BAD_STATUS"),
            (403, 'NOT"AN ERRCODE', 403, "M_FORBIDDEN"),
            (400, "M_INVALID_PARAM", 502, "M_BAD_STATUS"),
            (400, "M_MISSING_PARAM", 502, "M_BAD_STATUS"),
            (500, "M_UNKNOWN", 502, "M_BAD_STATUS")):
        remote.on("PUT", f"{FED}/v2/invite/", (status, {"errcode": errcode, "error": "no"}))
        alice.fails(seen, seen_errcode, "POST", path, {"user_id": carol})


def test_rejecting_when_the_inviter_forgot(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, "11", join_rule="invite")
    remote.invite(room, carol, alice.user_id)
    remote.on("GET", f"{FED}/v1/make_leave/", (403, {"errcode": "M_FORBIDDEN", "error": "who?"}))
    alice.leave(room.id)
    assert not invited(alice, room.id)


# ---- third-party invites ----


def offer(alice, room, identity):
    """alice invites an address that the identity server resolves."""
    alice.send_state(room, "m.room.third_party_invite", {
        "display_name": "c...@example.org", "key_validity_url": "https://id.example/valid",
        "public_key": identity.public, "public_keys": [{"public_key": identity.public}]}, "token")


def signed_by(identity, user):
    return identity.sign({"mxid": user, "token": "token"}, "id.example", "0")


def test_exchanging_a_third_party_invite(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    identity = SigningKey()
    room = alice.create_room(preset="private_chat", room_version="11")
    offer(alice, room, identity)
    path = f"{FED}/v1/exchange_third_party_invite/{q(room)}"

    def body(signed, **more):
        return {"type": "m.room.member", "room_id": room, "sender": alice.user_id,
                "state_key": carol, "content": {
                    "membership": "invite",
                    "third_party_invite": {"display_name": "carol", "signed": signed}}, **more}

    good = signed_by(identity, carol)
    remote.fails(a.name, 403, "M_FORBIDDEN", "PUT", path, body(signed_by(SigningKey(), carol)))
    remote.fails(a.name, 403, "M_FORBIDDEN", "PUT", path, body({**good, "token": "other"}))
    remote.fails(a.name, 403, "M_FORBIDDEN", "PUT", path, body(good, sender=remote.user("x")))
    remote.fails(a.name, 400, "M_INVALID_PARAM", "PUT", path, body(good, type="m.room.topic"))
    assert not remote.invites
    assert remote.call(a.name, "PUT", path, body(good)) == {}
    assert membership(alice, room, carol) == "invite"
    version, event, _ = remote.invites[0]
    assert event["content"]["third_party_invite"]["signed"]["mxid"] == carol
    remote.join(a.name, room, carol)


def test_an_identity_server_binds_an_address(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    identity = SigningKey()
    room = alice.create_room(preset="private_chat", room_version="11")
    offer(alice, room, identity)
    invite = {"medium": "email", "address": "bob@example.org", "mxid": bob.user_id,
              "room_id": room, "sender": alice.user_id,
              "signed": signed_by(identity, bob.user_id)}
    bound = {"medium": "email", "address": "bob@example.org", "mxid": bob.user_id,
             "invites": [invite]}
    onbind = f"{FED}/v1/3pid/onbind"
    bob.fails(404, "M_NOT_FOUND", "PUT", onbind, {**bound, "mxid": f"@unknown:{b.name}"})
    bob.put(onbind, bound)
    eventually(lambda: invited(bob, room))
    bob.join(room)
    eventually(lambda: membership(alice, room, bob) == "join")


def test_joining_with_a_third_party_signature(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    identity = SigningKey()
    room = alice.create_room(preset="private_chat", room_version="11")
    offer(alice, room, identity)
    signed = identity.sign({"mxid": bob.user_id, "token": "token", "sender": alice.user_id},
                           "id.example", "0")
    bob.join(room, via=[a.name], third_party_signed=signed)
    eventually(lambda: membership(alice, room, bob) == "join")

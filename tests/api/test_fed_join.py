"""Joining and leaving rooms across servers (server-server-api, "Joining Rooms", "Leaving Rooms"), in
every room version and on both sides: two of ours, and a fake server, which may misbehave."""

import copy
import threading
import time

import pytest

import pdus
from client import Client
from federation import has_event, membership, received, same_state
from remote import FED, q
from restoring import psql, uri_of
from syncing import events_of, inline, section, state_of
from waiting import eventually, patience_ends

VERSIONS = pdus.VERSIONS


def state_types(client, room):
    return {(e["type"], e["state_key"]) for e in client.state(room)}


def join_fails(client, room, via, status, errcode):
    return client.fails(status, errcode, "POST", f"/join/{q(room)}", params={"via": via})


# ---- two of ours ----


@pytest.mark.parametrize("version", VERSIONS)
def test_join_talk_and_leave(two, version):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="public_chat", room_version=version, name="Roads")
    first = alice.send(room, "before bob")
    assert bob.join(room, via=[a.name]) == room
    assert bob.state(room, "m.room.name")["name"] == "Roads"
    eventually(lambda: same_state(room, alice, bob))
    hello = bob.send(room, "hello from b")
    eventually(lambda: has_event(alice, room, hello))
    back = alice.send(room, "welcome")
    eventually(lambda: has_event(bob, room, back))
    assert first
    bob.leave(room)
    eventually(lambda: membership(alice, room, bob) == "leave")
    bob.fails(403, "M_FORBIDDEN", "PUT", f"/rooms/{q(room)}/send/m.room.message/late",
              {"msgtype": "m.text", "body": "late"})


@pytest.mark.parametrize("version", ["1", "6", "12"])
def test_coming_back(two, version):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="public_chat", room_version=version)
    bob.join(room, via=[a.name])
    bob.leave(room)
    eventually(lambda: membership(alice, room, bob) == "leave")
    alice.send_state(room, "m.room.topic", {"topic": "said while b was away"})
    bob.join(room, via=[a.name])
    assert bob.state(room, "m.room.topic")["topic"] == "said while b was away"
    eventually(lambda: same_state(room, alice, bob))
    back = bob.send(room, "here again")
    eventually(lambda: has_event(alice, room, back))


def test_join_by_alias_of_another_server(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    name = f"roads-{time.time_ns()}"
    room = alice.create_room(preset="public_chat", room_alias_name=name)
    assert bob.join(f"#{name}:{a.name}") == room
    assert bob.state(room, "m.room.canonical_alias")["alias"] == f"#{name}:{a.name}"


def test_a_private_room_stays_private(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="private_chat")
    join_fails(bob, room, a.name, 403, "M_FORBIDDEN")
    assert room not in bob.get("/joined_rooms")["joined_rooms"]


def test_a_banned_user_does_not_rejoin(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="public_chat")
    bob.join(room, via=[a.name])
    eventually(lambda: membership(alice, room, bob) == "join")
    alice.ban(room, bob)
    eventually(lambda: room not in bob.get("/joined_rooms")["joined_rooms"])
    join_fails(bob, room, a.name, 403, "M_FORBIDDEN")


def test_unknown_rooms_and_servers(two, remote):
    a, b = two
    bob = b.user("bob")
    join_fails(bob, f"!nowhere:{a.name}", a.name, 404, "M_NOT_FOUND")
    remote.link.cut()
    r = bob.request("POST", f"/join/{q('!x:' + remote.name)}", {}, params={"via": remote.name})
    assert r.status_code == 502 and r.json()["errcode"] == "M_CONNECTION_FAILED"


def test_the_next_server_is_asked(two, remote):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="public_chat", room_version="12")  # the id has no server name
    remote.link.cut()
    bob.join(room, via=[remote.name, a.name])
    eventually(lambda: same_state(room, alice, bob))


def test_two_join_at_once(three):
    a, b, _ = three
    alice = a.user("alice")
    users = [b.user(f"bob{n}") for n in range(4)]
    room = alice.create_room(preset="public_chat")
    threads = [threading.Thread(target=u.join, args=(room, [a.name])) for u in users]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for u in users:
        assert room in u.get("/joined_rooms")["joined_rooms"]
    eventually(lambda: same_state(room, alice, *users))


def test_many_joins_at_a_silent_server_do_not_block_others(two, remotes):
    a, b = two
    silent, other = remotes(), remotes()
    silent.link.mute()
    crowd = b.user("crowd")
    gone = [threading.Thread(
        target=crowd.another_device().request, daemon=True,
        args=("POST", f"/join/{q('!never:' + silent.name)}", {})) for _ in range(40)]
    for t in gone:
        t.start()
    b.wait_until_parked(len(gone) - 1, "in_flight")
    room = other.create_room(other.user("carol"), "11")
    began = time.monotonic()
    b.user("dora").join(room.id, via=[other.name])
    assert time.monotonic() - began < 5
    patience_ends(b, gone)


def test_local_joins_do_not_wait_for_slow_servers(two, remote):
    a, b = two
    remote.link.mute()
    slow = [b.user("slow") for _ in range(6)]
    for u in slow:
        threading.Thread(
            target=u.request, daemon=True,
            args=("POST", f"/join/{q('!never:' + remote.name)}", {})).start()
    b.wait_until_parked(len(slow), "in_flight")
    carol, dora = b.user("carol"), b.user("dora")
    room = carol.create_room(preset="public_chat")
    began = time.monotonic()
    dora.join(room)
    assert time.monotonic() - began < 3


# ---- a fake server joins ----


@pytest.mark.parametrize("version", VERSIONS)
def test_a_foreign_server_joins(two, remote, version):
    a, _ = two
    alice = a.user("alice")
    room = alice.create_room(preset="public_chat", room_version=version)
    topic = alice.send_state(room, "m.room.topic", {"topic": "T"})
    carol = remote.user("carol")
    theirs = remote.join(a.name, room, carol)
    ids = {pdus.event_id(e, version) for e in theirs.join_reply["state"]}
    assert topic in ids
    for e in theirs.join_reply["state"] + theirs.join_reply["auth_chain"]:
        assert remote.check_event(e, version)
    chain = {pdus.event_id(e, version) for e in theirs.join_reply["auth_chain"]}
    for e in theirs.join_reply["state"]:
        assert set(pdus.ids_of(e["auth_events"])) <= chain | ids
    assert membership(alice, room, carol) == "join"
    hello = remote.send(theirs, carol, "hello", to=[a.name])
    eventually(lambda: has_event(alice, room, hello))
    back = alice.send(room, "welcome")
    remote.wait_for(lambda: back in remote.pdu_ids(version))
    remote.leave(a.name, room, carol)
    assert membership(alice, room, carol) == "leave"


def test_the_old_endpoints_answer_with_arrays(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = alice.create_room(preset="public_chat", room_version="2")
    made = remote.make(a.name, "join", room, carol)
    i, event = remote.fill_template(made["event"], "2", carol)
    status, reply = remote.call(
        a.name, "PUT", f"{FED}/v1/send_join/{q(room)}/{q(i)}", event)
    assert status == 200 and reply["state"] and reply["auth_chain"]
    made = remote.make(a.name, "leave", room, carol)
    i, event = remote.fill_template(made["event"], "2", carol)
    assert remote.call(a.name, "PUT", f"{FED}/v1/send_leave/{q(room)}/{q(i)}", event) == [200, {}]
    assert membership(alice, room, carol) == "leave"


def test_make_join_asks_for_a_known_version(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = alice.create_room(preset="public_chat", room_version="10")
    path = f"{FED}/v1/make_join/{q(room)}/{q(carol)}"
    e = remote.fails(a.name, 400, "M_INCOMPATIBLE_ROOM_VERSION", "GET", path)
    assert e["room_version"] == "10"
    remote.fails(a.name, 400, "M_INCOMPATIBLE_ROOM_VERSION", "GET", f"{path}?ver=9&ver=11")
    remote.get(a.name, f"{path}?ver=9&ver=10")


def test_make_join_refuses(two, remote):
    a, b = two
    alice, carol = a.user("alice"), remote.user("carol")
    private = alice.create_room(preset="private_chat")
    ver = "?ver=12"
    make = lambda room, user: f"{FED}/v1/make_join/{q(room)}/{q(user)}{ver}"
    remote.fails(a.name, 403, "M_FORBIDDEN", "GET", make(private, carol))
    public = alice.create_room(preset="public_chat")
    remote.fails(a.name, 403, "M_FORBIDDEN", "GET", make(public, f"@bob:{b.name}"))
    remote.fails(a.name, 404, "M_NOT_FOUND", "GET", make(f"!nowhere:{a.name}", carol))
    alice.send_state(public, "m.room.server_acl", {"allow": ["*"], "deny": ["localhost*"]})
    remote.fails(a.name, 403, "M_FORBIDDEN", "GET", make(public, carol))


def test_a_join_that_was_refused_is_refused_again(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = alice.create_room(preset="public_chat", room_version="11")
    made = remote.make(a.name, "join", room, carol)
    i, event = remote.fill_template(made["event"], "11", carol)
    alice.ban(room, carol)
    for _ in range(2):
        remote.fails(a.name, 403, "M_FORBIDDEN", "PUT", f"{FED}/v2/send_join/{q(room)}/{q(i)}", event)
    assert membership(alice, room, carol) == "ban"


def test_send_join_checks_the_event(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = alice.create_room(preset="public_chat", room_version="11")
    other = alice.create_room(preset="public_chat", room_version="11")
    made = remote.make(a.name, "join", room, carol)["event"]

    def refused(event, i=None, status=400, errcode="M_INVALID_PARAM"):
        i = i or pdus.event_id(event, "11")
        remote.fails(a.name, status, errcode, "PUT",
                     f"{FED}/v2/send_join/{q(room)}/{q(i)}", event)

    i, good = remote.fill_template(made, "11", carol)
    refused({**good, "signatures": {remote.name: {remote.key_id: "A" * 86}}}, None, 403, "M_FORBIDDEN")
    refused({**good, "content": {**good["content"], "displayname": "changed"}})
    refused(good, i="$" + "A" * 43)
    refused({**good, "content": {**good["content"], "x": 0.5}}, errcode="M_BAD_JSON")
    refused({k: v for k, v in good.items() if k != "depth"}, errcode="M_BAD_JSON")
    for wrong in ({"type": "m.room.topic"}, {"content": {"membership": "leave"}},
                  {"state_key": remote.user("dora")}, {"room_id": other},
                  {"sender": alice.user_id, "state_key": alice.user_id}):
        _, event = remote.fill_template({**made, **wrong}, "11", carol)
        refused(event, None, *((403, "M_FORBIDDEN") if "sender" in wrong else ()))
    _, event = remote.fill_template({**made, "prev_events": ["$" + "A" * 43]}, "11", carol)
    refused(event)
    assert ("m.room.member", carol) not in state_types(alice, room)


def test_the_others_hear_of_a_join(three, remote):
    a, b, _ = three
    alice, bob, carol = a.user("alice"), b.user("bob"), remote.user("carol")
    room = alice.create_room(preset="public_chat")
    bob.join(room, via=[a.name])
    remote.join(a.name, room, carol)
    eventually(lambda: membership(bob, room, carol) == "join")
    remote.leave(b.name, room, carol)
    eventually(lambda: membership(alice, room, carol) == "leave")


# ---- a fake server as the resident server ----


@pytest.mark.parametrize("version", VERSIONS)
def test_joining_a_foreign_room(two, remote, version):
    a, _ = two
    alice = a.user("alice")
    carol = remote.user("carol")
    room = remote.create_room(carol, version, members=3)
    alice.join(room.id, via=[remote.name])
    assert alice.user_id in room.members()
    eventually(lambda: len(alice.get(f"/rooms/{q(room.id)}/joined_members")["joined"]) == 5)
    hello = alice.send(room.id, "hello")
    remote.wait_for(lambda: hello in remote.pdu_ids(version))
    back = remote.send(room, carol, "welcome", to=[a.name])
    eventually(lambda: has_event(alice, room.id, back))
    alice.leave(room.id)
    remote.wait_for(lambda: alice.user_id not in room.members())


def test_a_server_without_version_2(two, remote):
    a, _ = two
    alice = a.user("alice")
    room = remote.create_room(remote.user("carol"), "4")
    remote.on("PUT", f"{FED}/v2/", (404, {"errcode": "M_UNRECOGNIZED", "error": "no such thing"}))
    alice.join(room.id, via=[remote.name])
    assert alice.user_id in room.members()


WRONG_TEMPLATES = {
    "another user": lambda e, other: e.update(sender=other, state_key=other),
    "another state key": lambda e, other: e.update(state_key=other),
    "another room": lambda e, other: e.update(room_id="!other:" + other.split(":", 1)[1]),
    "another type": lambda e, other: e.update(type="m.room.power_levels"),
    "another membership": lambda e, other: e["content"].update(membership="ban"),
    "no prev events": lambda e, other: e.update(prev_events=[]),
    "too many prev events": lambda e, other: e.update(prev_events=["$" + "A" * 43] * 1000),
    "prev events of another kind": lambda e, other: e.update(prev_events=[{"a": 1}]),
    "prev events of another version": lambda e, other: e.update(prev_events=["$e:b.example"]),
    "auth events of another version": lambda e, other: e.update(auth_events=["$" + "A" * 44]),
    "no depth": lambda e, other: e.pop("depth"),
    "an impossible depth": lambda e, other: e.update(depth=-5),
    "no content": lambda e, other: e.update(content=[]),
}


@pytest.mark.parametrize("wrong", WRONG_TEMPLATES)
def test_a_wrong_template_is_not_signed(two, remote, wrong):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, "11")

    def answer(request):
        event = room.build(alice.user_id, "m.room.member", {"membership": "join"}, alice.user_id)
        WRONG_TEMPLATES[wrong](event, carol)
        return 200, {"room_version": "11", "event": event}

    remote.on("GET", f"{FED}/v1/make_join/", answer)
    join_fails(alice, room.id, remote.name, 502, "M_BAD_STATUS")
    assert not remote.seen("PUT", f"{FED}/v2/send_join/{q(room.id)}")


def test_events_that_come_before_the_reply_to_send_join(two, remote):
    """The resident server has our join, and servers send us events, before we have the room."""
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, "12")
    sent = []

    def before_the_reply(request):
        sent.append(remote.event(room, carol, "m.room.message",
                                 {"msgtype": "m.text", "body": "early"})[0])
        reply = remote.put_transaction(a.name, [room.events[sent[0]]])
        assert reply["pdus"] == {sent[0]: {}}

    remote.on("PUT", f"{FED}/v2/send_join/", before_the_reply)
    alice.join(room.id, via=[remote.name])
    received(alice, room.id, sent[0])


@pytest.mark.parametrize("follows", ["our join", "what was before"])
@pytest.mark.parametrize("tables", [["events"], ["events", "inbound_pdus"]])
def test_early_events_that_cannot_be_stored_at_once(ministries, remote, tables, follows):
    """They were acknowledged: they are stored as soon as the database accepts them."""
    a = ministries()
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, "12")
    early = []

    def before_the_reply(request):
        prev = [pdus.event_id(request.body, "12")] if follows == "our join" else None
        early.append(remote.send(room, carol, "early bird", to=[a.name], prev=prev))

    remote.on("PUT", f"{FED}/v2/send_join/", before_the_reply)
    psql(uri_of(a), "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
         "'BEGIN IF strpos(encode(NEW.json, ''escape''), ''early bird'') > 0 THEN "
         "RAISE EXCEPTION ''not now''; END IF; RETURN NEW; END';" + "".join(
             f"CREATE TRIGGER refuse BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION refuse();"
             for t in tables))
    alice.join(room.id, via=[remote.name])
    assert not has_event(alice, room.id, early[0])
    kept = psql(uri_of(a), "SELECT count(*) FROM inbound_pdus")
    assert kept == ("0" if "inbound_pdus" in tables else "1")
    psql(uri_of(a), "DROP FUNCTION refuse() CASCADE")
    received(alice, room.id, early[0])


def test_early_events_of_a_join_that_fails_are_dropped(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, "12")

    def fail(request):
        _, event = remote.event(room, carol, "m.room.message", {"msgtype": "m.text", "body": "x"})
        remote.put_transaction(a.name, [event])
        return 403, {"errcode": "M_FORBIDDEN", "error": "no"}

    remote.on("PUT", f"{FED}/v2/send_join/", fail)
    alice.fails(403, "M_FORBIDDEN", "POST", f"/join/{q(room.id)}", params={"via": remote.name})
    remote.answers.clear()
    alice.join(room.id, via=[remote.name])
    received(alice, room.id, remote.send(room, carol, "after the join"))


def test_a_template_that_never_ends(two, remote):
    a, _ = two
    alice = a.user("alice")
    room = remote.create_room(remote.user("carol"), "11")
    remote.on("GET", f"{FED}/v1/make_join/",
              lambda r: (200, (b'{"room_version":"' + b"1" * 1_000_000 + b'"}', {})))
    join_fails(alice, room.id, remote.name, 502, "M_BAD_STATUS")


def test_a_server_that_is_silent_is_left_for_the_next(two, remote):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="public_chat", room_version="12")
    remote.link.mute()
    bob.join(room, via=[remote.name, a.name])
    eventually(lambda: membership(alice, room, bob) == "join")


def test_a_template_decides_nothing_of_the_content(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, "11")

    def answer(request):
        event = room.build(alice.user_id, "m.room.member", {"membership": "join"}, alice.user_id)
        event["content"].update(displayname="Mallory", extra="x")
        event.update(origin_server_ts=5, unsigned={"x": 1}, extra="y")
        return 200, {"room_version": "11", "event": event}

    remote.on("GET", f"{FED}/v1/make_join/", answer)
    alice.join(room.id, via=[remote.name])
    sent = room.find(room.state["m.room.member", alice.user_id])
    assert sent["content"]["displayname"] != "Mallory" and "extra" not in sent["content"]
    assert "extra" not in sent and sent["origin_server_ts"] > 1e12


def test_a_version_that_we_do_not_know(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, "11")
    remote.on("GET", f"{FED}/v1/make_join/",
              (200, {"room_version": "org.example.99", "event": {}}))
    join_fails(alice, room.id, remote.name, 400, "M_INCOMPATIBLE_ROOM_VERSION")


def send_join_with(remote, room, change):
    """The reply to send_join, changed."""

    def answer(request):
        from remote_answers import whole_state

        before = dict(room.state)
        state, chain = whole_state(room, before)
        reply = {"origin": remote.name, "state": copy.deepcopy(state),
                 "auth_chain": copy.deepcopy(chain), "event": request.body}
        return 200, change(reply) or reply

    remote.on("PUT", f"{FED}/v2/send_join/", answer)


def test_a_lying_room_version(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, "9", create={"room_version": "11"})
    join_fails(alice, room.id, remote.name, 502, "M_BAD_STATUS")


def test_state_without_its_create_event(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, "11")

    def change(reply):
        reply["state"] = [e for e in reply["state"] if e["type"] != "m.room.create"]

    send_join_with(remote, room, change)
    join_fails(alice, room.id, remote.name, 502, "M_BAD_STATUS")
    assert room.id not in alice.get("/joined_rooms")["joined_rooms"]


def test_more_kinds_of_state_than_are_taken_at_once(two, remote):
    alice, carol = two[0].user("alice"), remote.user("carol")
    room = remote.create_room(carol, "11", state=[(f"x.kind{n}", "", {}) for n in range(4001)])
    join_fails(alice, room.id, remote.name, 502, "M_BAD_STATUS")
    assert room.id not in alice.get("/joined_rooms")["joined_rooms"]


def test_state_of_another_room(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    # two create events of one timestamp would be the same one
    room, other = (remote.create_room(carol, "12", create={"x.n": n}) for n in range(2))

    def change(reply):
        reply["state"] = [other.find(i) for i in other.state.values()]
        reply["auth_chain"] = []

    send_join_with(remote, room, change)
    join_fails(alice, room.id, remote.name, 502, "M_BAD_STATUS")


def test_forged_state_is_left_out(two, remote):
    """Bad signatures, changed contents, and events that their own auth events do not allow."""
    a, _ = two
    alice, carol, mallory = a.user("alice"), remote.user("carol"), remote.user("mallory")
    room = remote.create_room(carol, "11", state=[("m.room.topic", "", {"topic": "true"})])
    unsigned = room.build(carol, "m.room.name", {"name": "forged"}, "")
    unsigned = {**remote.sign(room, unsigned), "signatures": {remote.name: {remote.key_id: "A" * 86}}}
    unable = remote.sign(room, room.build(mallory, "m.room.avatar", {"url": "mxc://x/y"}, ""))

    def change(reply):
        reply["state"] += [unsigned, unable, {"no": "event"}, 5]
        for e in reply["state"]:
            if isinstance(e, dict) and e.get("type") == "m.room.topic":
                e["content"] = {"topic": "changed"}

    send_join_with(remote, room, change)
    alice.join(room.id, via=[remote.name])
    keys = state_types(alice, room.id)
    assert ("m.room.name", "") not in keys and ("m.room.avatar", "") not in keys
    assert alice.state(room.id, "m.room.topic") == {}  # redacted: its hash was wrong


def test_a_join_that_the_state_forbids(two, remote):
    """The resident server accepts our join against its room's rules."""
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, "11", join_rule="invite")
    join_fails(alice, room.id, remote.name, 403, "M_FORBIDDEN")
    assert room.id not in alice.get("/joined_rooms")["joined_rooms"]


NONSENSE = {
    "nothing": b"", "text": b"what?", "half": b'{"state":[', "array": b"[]", "object": b"{}",
    "numbers": b'{"state":[1,2],"auth_chain":[3]}', "no list": b'{"state":{},"auth_chain":{}}',
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_instead_of_state(two, remote, what):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, "11")
    remote.on("PUT", f"{FED}/v2/send_join/", lambda r: (200, (NONSENSE[what], {})))
    join_fails(alice, room.id, remote.name, 502, "M_BAD_STATUS")


def test_closed_federation_joins_nowhere_else(ministries, remote):
    a = ministries(federation_domain_whitelist="localhost:1")
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, "11")
    join_fails(alice, room.id, remote.name, 403, "M_FORBIDDEN")
    remote.fails(a.name, 403, "M_FORBIDDEN", "GET",
                 f"{FED}/v1/make_join/{q('!x:' + a.name)}/{q(carol)}")
    assert not remote.seen(path=f"{FED}/")


def guest_of(ministry):
    guest = Client(ministry)
    r = guest.call("POST", "/register", {}, params={"kind": "guest"})
    guest.user_id, guest.token = r["user_id"], r["access_token"]
    return guest


GUESTS = {"type": "m.room.guest_access", "content": {"guest_access": "can_join"}}


def membership_at(client, room, user):
    found = [m["content"]["membership"] for m in client.get(f"/rooms/{q(room)}/members")["chunk"]
             if m["state_key"] == user.user_id]
    return found[0] if found else None


def test_guests_join_elsewhere_only_where_they_may(ministries, remote):
    a, b = ministries(allow_guest_access="true"), ministries()
    bob, guest = b.user("bob"), guest_of(a)
    unstated = remote.create_room(remote.user("carol"), "11")  # has no guest_access event
    join_fails(guest, unstated.id, remote.name, 403, "M_GUEST_ACCESS_FORBIDDEN")
    closed = bob.create_room(preset="public_chat")
    join_fails(guest, closed, b.name, 403, "M_GUEST_ACCESS_FORBIDDEN")
    assert membership_at(bob, closed, guest) is None
    opened = bob.create_room(preset="public_chat", initial_state=[GUESTS])
    guest.join(opened, via=[b.name])
    eventually(lambda: membership_at(bob, opened, guest) == "join")
    guest.send(opened, "hello from afar")


def test_an_invited_guest_is_judged_by_the_state(ministries, remote):
    """The resident server serves no state to users outside the room."""
    a = ministries(allow_guest_access="true")
    carol, guest = remote.user("carol"), guest_of(a)
    for access in "can_join", "forbidden":
        room = remote.create_room(carol, "11", join_rule="invite")
        remote.event(room, carol, "m.room.guest_access", {"guest_access": access}, "")
        remote.invite(room, carol, guest.user_id)
        if access == "can_join":
            guest.join(room.id, via=[remote.name])
            assert room.id in guest.sync()["rooms"]["join"]
        else:
            join_fails(guest, room.id, remote.name, 403, "M_GUEST_ACCESS_FORBIDDEN")
            assert room.id not in guest.sync().get("rooms", {}).get("join", {})


def test_a_guest_leaves_when_another_server_revokes_guest_access(ministries):
    a, b = ministries(allow_guest_access="true"), ministries()
    bob, guest, alice = b.user("bob"), guest_of(a), a.user("alice")
    room = bob.create_room(preset="public_chat", initial_state=[GUESTS])
    guest.join(room, via=[b.name])
    alice.join(room)
    eventually(lambda: membership_at(bob, room, guest) == "join")
    bob.send_state(room, "m.room.guest_access", {"guest_access": "forbidden"})
    eventually(lambda: membership_at(alice, room, guest) == "leave")
    eventually(lambda: membership_at(bob, room, guest) == "leave")
    assert membership_at(bob, room, alice) == "join"


@pytest.mark.parametrize("invited", [True, False], ids=["invited", "not invited"])
@pytest.mark.parametrize("lazily", [False, True], ids=["all members", "lazily"])
def test_ones_own_join_comes_once(two, invited, lazily):
    """`state` is the state before the timeline: the invite, if there was one."""
    alice, bob = two[0].user("alice"), two[1].user("bob")
    room = alice.create_room(preset="private_chat" if invited else "public_chat")
    bob.next_sync()
    if invited:
        alice.invite(room, bob)
        bob.sync_until(lambda r: section(r, room, "invite"))
    bob.join(room, via=[two[0].name])
    reply = bob.next_sync(**inline(room={"state": {"lazy_load_members": lazily}}))
    (join,) = [e for e in events_of(reply, room) if e.get("state_key") == bob.user_id]
    state = state_of(reply, room)
    before = state.get(("m.room.member", bob.user_id))
    if invited:
        assert before["content"]["membership"] == "invite"
        assert join["unsigned"]["prev_content"]["membership"] == "invite"
        assert join["unsigned"]["replaces_state"] == before["event_id"]
    else:
        assert before is None and "prev_content" not in join["unsigned"]
    assert section(reply, room)["timeline"]["limited"]
    whole = bob.sync(**inline(room={"timeline": {"limit": 0}}))
    assert state_of(whole, room)["m.room.member", bob.user_id]["event_id"] == join["event_id"]


def test_a_stay_elsewhere_is_a_gap(two):
    """A user who left and rejoined between two syncs sees a gap between the two memberships."""
    alice, bob = two[0].user("alice"), two[1].user("bob")
    room = alice.create_room(preset="public_chat")
    bob.join(room, via=[two[0].name])
    eventually(lambda: membership(alice, room, bob) == "join")
    bob.next_sync()
    bob.leave(room)
    eventually(lambda: membership(alice, room, bob) == "leave")
    alice.send_state(room, "m.room.topic", {"topic": "said while bob was away"})
    bob.join(room, via=[two[0].name])
    reply = bob.next_sync()
    line = section(reply, room)["timeline"]
    assert line["limited"]
    assert [e["content"]["membership"] for e in line["events"]] == ["join"]
    state = state_of(reply, room)
    assert state["m.room.topic", ""]["content"]["topic"] == "said while bob was away"
    assert set(reply["device_lists"]["changed"]) >= {alice.user_id, bob.user_id}

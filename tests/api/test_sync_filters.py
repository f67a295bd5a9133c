"""Client-server API, "Filtering" in /sync, and lazily loaded members."""

import json

import pytest

from client import q
from syncing import (
    LAZY, bodies, events_of, ids, inline, members_in, section, state_of, timeline_filter,
)


def upload(client, filter):
    return client.post(f"/user/{q(client.user_id)}/filter", filter)["filter_id"]


@pytest.fixture
def talk(alice, bob):
    """A room where alice and bob have said a few things."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.send(room, "a1")
    bob.send(room, "b1")
    alice.send(room, {"msgtype": "m.image", "body": "a2", "url": "mxc://test.example/x"})
    bob.send(room, {"x": 1}, type="org.other")
    return alice, bob, room


FILTERS = {
    "types": ({"types": ["m.room.message"]}, ["a1", "b1", "a2"]),
    "types with a wildcard": ({"types": ["m.room.mess*"]}, ["a1", "b1", "a2"]),
    "not_types": ({"not_types": ["m.room.*"]}, ["org.other"]),
    "not_types wins": ({"types": ["m.room.message"], "not_types": ["m.room.message"]}, []),
    "senders": ({"senders": ["BOB"], "types": ["m.room.message"]}, ["b1"]),
    "not_senders": ({"not_senders": ["BOB"], "types": ["m.room.message"]}, ["a1", "a2"]),
    "no senders": ({"senders": []}, []),
    "with a url": ({"contains_url": True}, ["a2"]),
    "without a url": ({"contains_url": False, "types": ["m.room.message"]}, ["a1", "b1"]),
    "rooms": ({"rooms": ["ROOM"], "types": ["m.room.message"]}, ["a1", "b1", "a2"]),
    "other rooms": ({"rooms": ["!other:test.example"]}, []),
    "not_rooms": ({"not_rooms": ["ROOM"]}, []),
    "limit": ({"limit": 2}, ["a2", "org.other"]),
    "limit of filtered": ({"limit": 1, "senders": ["BOB"]}, ["org.other"]),
}


@pytest.mark.parametrize("how", ["inline", "by id"])
@pytest.mark.parametrize("name", FILTERS)
def test_timeline_filters(talk, name, how):
    alice, bob, room = talk
    timeline, wanted = FILTERS[name]
    text = json.dumps({"room": {"timeline": timeline}})
    text = text.replace("BOB", bob.user_id).replace("ROOM", room)
    filter = text if how == "inline" else upload(alice, json.loads(text))
    events = events_of(alice.sync(filter=filter), room)
    assert [e["content"].get("body", e["type"]) for e in events] == wanted


def test_room_filters(alice):
    rooms = [alice.create_room() for _ in range(3)]
    r = alice.sync(**inline(room={"rooms": rooms[:2], "not_rooms": rooms[:1]}))
    assert list(r["rooms"]["join"]) == [rooms[1]]


def test_other_filters(alice):
    room = alice.create_room()
    user = q(alice.user_id)
    alice.put(f"/user/{user}/account_data/org.test", {})
    alice.put(f"/user/{user}/rooms/{q(room)}/account_data/org.a", {})
    alice.put(f"/user/{user}/rooms/{q(room)}/account_data/org.b", {})
    alice.read(room, alice.send(room, "x"))
    r = alice.sync(**inline(
        account_data={"types": ["m.push_rules"]},
        room={"account_data": {"not_types": ["org.a"]}, "ephemeral": {"types": []},
              "state": {"types": ["m.room.name"]}, "timeline": {"limit": 1}}))
    assert [e["type"] for e in r["account_data"]["events"]] == ["m.push_rules"]
    part = section(r, room)
    assert [e["type"] for e in part["account_data"]["events"]] == ["org.b"]
    assert part["ephemeral"]["events"] == []
    assert part["state"]["events"] == []


@pytest.mark.parametrize("bad", ["{", "[]", "77777", "no-such", '{"room":[]}',
                                 '{"room":{"timeline":{"limit":"x"}}}', '{"event_format":"xml"}'])
def test_bad_filters(alice, bad):
    r = alice.request("GET", "/sync", params={"filter": bad})
    assert 400 <= r.status_code < 500 and r.json()["errcode"], r.text


def test_another_users_filter_cannot_be_used(alice, bob):
    r = bob.request("GET", "/sync", params={"filter": upload(alice, {"room": {}})})
    assert r.status_code in (400, 403, 404)


def test_event_fields(talk):
    alice, bob, room = talk
    params = inline(event_fields=["type", "content.body"])
    assert {"type": "m.room.message", "content": {"body": "b1"}} in events_of(
        alice.sync(**params), room)


def test_event_format_federation(talk):
    alice, bob, room = talk
    r = alice.sync(**inline(event_format="federation"))
    for e in events_of(r, room) + section(r, room)["state"]["events"]:
        assert {"auth_events", "prev_events", "depth", "hashes", "signatures"} <= set(e)
        assert "age" in e["unsigned"]


# ---- state that the filter hides ---------------------------------------------------------------


ONLY_MESSAGES = timeline_filter(types=["m.room.message"])


@pytest.mark.parametrize("what", ["initial", "incremental", "limited"])
def test_hidden_state_changes_are_in_state(alice, what):
    """Also changes between or after the shown messages; each key once, the newest."""
    room = alice.create_room(topic="first")
    since = None if what == "initial" else alice.sync(**ONLY_MESSAGES)["next_batch"]
    alice.send(room, "m0")
    alice.send_state(room, "m.room.topic", {"topic": "second"})
    alice.send_state(room, "org.once", {"n": 1})
    alice.send(room, "m1")
    newest = alice.send_state(room, "m.room.topic", {"topic": "third"})
    if what == "limited":
        for n in range(12):
            alice.send(room, f"m{n}")
        newest = alice.send_state(room, "m.room.topic", {"topic": "fourth"})
        alice.send(room, "last")
    r = alice.sync(since=since, **ONLY_MESSAGES)
    assert section(r, room)["timeline"]["limited"] is (what == "limited")
    assert {e["type"] for e in events_of(r, room)} == {"m.room.message"}
    state = state_of(r, room)
    assert state["m.room.topic", ""]["event_id"] == newest
    assert ("org.once", "") in state
    if what == "initial":
        assert set(state) == {(e["type"], e["state_key"]) for e in alice.state(room)}
    else:
        assert set(state) == {("m.room.topic", ""), ("org.once", "")}


def test_shown_state_is_not_in_state(alice):
    room = alice.create_room()
    alice.next_sync()
    alice.send_state(room, "m.room.topic", {"topic": "x"})
    r = alice.next_sync()
    assert [e["type"] for e in events_of(r, room)] == ["m.room.topic"]
    assert state_of(r, room) == {}


def test_state_at_the_start_of_the_timeline(alice):
    """State that the timeline changes is in `state` as it was before."""
    room = alice.create_room(topic="before")
    since = alice.sync()["next_batch"]
    for n in range(8):
        alice.send_state(room, "m.room.topic", {"topic": f"gap {n}"})
    alice.send(room, "m")
    alice.send_state(room, "m.room.topic", {"topic": "after"})
    for params in {"since": since}, {}:
        r = alice.sync(**params, **timeline_filter(limit=2))
        assert section(r, room)["timeline"]["limited"]
        assert state_of(r, room)["m.room.topic", ""]["content"] == {"topic": "gap 7"}


def test_state_filter(talk):
    alice, bob, room = talk
    r = alice.sync(**inline(room={"state": {"types": ["m.room.member"]}, "timeline": {"limit": 1}}))
    assert {kind for kind, _ in state_of(r, room)} == {"m.room.member"}
    r = alice.sync(**inline(room={"state": {"not_senders": [bob.user_id]},
                                  "timeline": {"limit": 1}}))
    assert members_in(state_of(r, room)) == [alice.user_id]


# ---- lazily loaded members ---------------------------------------------------------------------


def lazy(limit=None, redundant=False):
    filter = json.loads(json.dumps(LAZY))
    filter["room"]["state"]["include_redundant_members"] = redundant
    if limit:
        filter["room"]["timeline"] = {"limit": limit}
    return {"filter": json.dumps(filter)}


@pytest.fixture
def crowd(register):
    """A room that has a name, so that there are no heroes."""
    users = [register(name) for name in ("ann", "ben", "cat", "dan", "eve")]
    room = users[0].create_room(preset="public_chat", name="crowd")
    for user in users[1:]:
        user.join(room)
    users[0].stay()
    return users, room


def test_lazy_initial(crowd):
    (ann, ben, cat, dan, eve), room = crowd
    ben.send(room, "x"), cat.send(room, "y")
    r = ann.sync(**lazy(limit=2))
    # the senders and the user
    assert members_in(state_of(r, room)) == sorted(u.user_id for u in (ann, ben, cat))
    everything = {(e["type"], e["state_key"]) for e in ann.state(room)}
    others = {key for key in everything if key[0] != "m.room.member"}
    assert {key for key in state_of(r, room) if key[0] != "m.room.member"} == others


def test_lazy_incremental(crowd):
    (ann, ben, cat, dan, eve), room = crowd
    ann.send(room, "x")
    ann.next_sync(**lazy(limit=1))
    ben.send(room, "1")
    assert members_in(state_of(ann.next_sync(**lazy()), room)) == [ben.user_id]
    ben.send(room, "2"), cat.send(room, "3")
    assert members_in(state_of(ann.next_sync(**lazy()), room)) == [cat.user_id]
    ben.send(room, "4")
    assert members_in(state_of(ann.next_sync(**lazy()), room)) == []
    ben.send(room, "5")
    r = ann.next_sync(**lazy(redundant=True))
    assert members_in(state_of(r, room)) == [ben.user_id]


def test_lazy_members_again_after_a_lost_reply(crowd):
    (ann, ben, cat, dan, eve), room = crowd
    since = ann.sync(**lazy(limit=1))["next_batch"]
    ben.send(room, "1")
    first = ann.sync(since=since, **lazy())
    assert members_in(state_of(first, room)) == [ben.user_id]
    again = ann.sync(since=since, **lazy())
    assert members_in(state_of(again, room)) == [ben.user_id]
    ben.send(room, "2")
    assert members_in(state_of(ann.sync(since=first["next_batch"], **lazy()), room)) == []


def test_lazy_members_for_each_device(crowd):
    (ann, ben, cat, dan, eve), room = crowd
    other = ann.another_device()
    ann.next_sync(**lazy(limit=1)), other.next_sync(**lazy(limit=1))
    ben.send(room, "1")
    for device in ann, other:
        assert members_in(state_of(device.next_sync(**lazy()), room)) == [ben.user_id]


def test_lazy_members_who_changed(crowd):
    (ann, ben, cat, dan, eve), room = crowd
    ann.next_sync(**lazy(limit=1))
    ben.send(room, "1")
    ann.next_sync(**lazy())
    ben.put(f"/profile/{q(ben.user_id)}/displayname", {"displayname": "Benjamin"})
    r = ann.sync_until(lambda r: events_of(r, room) and r, **lazy())
    (event,) = events_of(r, room)
    assert event["type"] == "m.room.member" and event["content"]["displayname"] == "Benjamin"
    # in a gap, the member is sent as it was at the start of the timeline
    ben.put(f"/profile/{q(ben.user_id)}/displayname", {"displayname": "B"})
    for n in range(20):
        ben.send(room, f"{n}")
    state = state_of(ann.next_sync(**lazy(limit=1)), room)
    assert state["m.room.member", ben.user_id]["content"]["displayname"] == "B"


def test_lazy_gap_has_state_and_members_who_changed(crowd):
    """"When a sync is limited, the server MUST return membership events for events in the gap"."""
    (ann, ben, cat, dan, eve), room = crowd
    ann.next_sync(**lazy(limit=1))
    ann.send_state(room, "m.room.topic", {"topic": "t"})
    dan.leave(room)
    for n in range(3):
        cat.send(room, f"{n}")
    state = state_of(ann.next_sync(**lazy(limit=1)), room)
    assert set(state) == {("m.room.topic", ""), ("m.room.member", cat.user_id),
                          ("m.room.member", dan.user_id)}


def test_lazy_heroes(register):
    """Heroes are sent with the summary, also when they change later."""
    users = [register(name) for name in ("ann", "ben", "cat", "dan", "eve", "fay", "gus")]
    ann, ben = users[:2]
    room = ann.create_room(preset="public_chat")
    for user in users[1:]:
        user.join(room)
    ann.send(room, "x")
    r = ann.next_sync(**lazy(limit=1))
    heroes = section(r, room)["summary"]["m.heroes"]
    assert set(heroes) < set(members_in(state_of(r, room)))
    ben.leave(room)
    r = ann.next_sync(**lazy())
    now = section(r, room)["summary"]["m.heroes"]
    new = set(now) - set(heroes)
    assert len(now) == 5 and new and new <= set(members_in(state_of(r, room)))


def test_lazy_newly_joined(crowd, bob):
    (ann, *others), room = crowd
    bob.next_sync(**lazy())
    ann.send(room, "x")
    bob.join(room)
    r = bob.next_sync(**lazy(limit=2))
    assert members_in(state_of(r, room)) in ([ann.user_id], sorted([ann.user_id, bob.user_id]))
    assert {"m.room.create", "m.room.name"} <= {kind for kind, _ in state_of(r, room)}


# ---- ignored users -----------------------------------------------------------------------------


def test_ignored_users(talk):
    alice, bob, room = talk
    alice.next_sync()
    alice.put(f"/user/{q(alice.user_id)}/account_data/m.ignored_user_list",
              {"ignored_users": {bob.user_id: {}}})
    bob.send(room, "hidden")
    alice.send(room, "shown")
    r = alice.next_sync()
    assert bodies(events_of(r, room)) == ["shown"]
    assert "b1" not in bodies(events_of(alice.sync(), room))
    other = bob.create_room(invite=[alice.user_id])
    assert other not in alice.next_sync().get("rooms", {}).get("invite", {})


def test_events_of_ignored_users_are_withheld(alice, bob, register):
    carol = register("carol")
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    carol.join(room)
    said = alice.send(room, "read me")
    alice.put(f"/user/{q(alice.user_id)}/account_data/m.ignored_user_list",
              {"ignored_users": {bob.user_id: {}}})
    alice.next_sync()
    for who in (bob, carol):
        who.post(f"/rooms/{q(room)}/receipt/m.read/{q(said)}", {})
        who.put(f"/rooms/{q(room)}/typing/{q(who.user_id)}", {"typing": True, "timeout": 60000})
        who.put(f"/presence/{q(who.user_id)}/status", {"presence": "online", "status_msg": "hello"})
    seen = {"m.typing": set(), "m.receipt": set(), "m.presence": set()}

    def look(reply):
        for e in reply.get("presence", {}).get("events", []):
            seen["m.presence"].add(e["sender"])
        for e in reply["rooms"]["join"].get(room, {}).get("ephemeral", {}).get("events", []):
            users = e["content"].get("user_ids") or [
                u for marks in e["content"].values() if isinstance(marks, dict)
                for u in marks.get("m.read", {})]
            seen[e["type"]].update(users)
        return all(carol.user_id in users for users in seen.values())

    alice.sync_until(look)
    for reply in (alice.next_sync(), alice.sync()):
        look(reply)
    assert all(bob.user_id not in users for users in seen.values()), seen

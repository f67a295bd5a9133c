"""Client-server API, "Syncing": gaps in timelines and how /messages fills them; tokens older than
what is in memory."""

import json
import re

import pytest

from client import Client, q
from syncing import bodies, events_of, ids, inline, section, state_of, timeline_filter
from server import metric


def back_from(client, room, token, limit=4, **params):
    """Everything before the token, newest first."""
    events = []
    while token:
        page = client.messages(room, limit=limit, **{"from": token}, **params)
        events += page["chunk"]
        token = page.get("end")
    return events


@pytest.mark.parametrize("limit", [0, 1, 3, 10, None])
def test_prev_batch_of_an_initial_sync(alice, limit):
    room = alice.create_room()
    sent = [alice.send(room, f"{n}") for n in range(14)]
    params = {} if limit is None else timeline_filter(limit=limit)
    line = section(alice.sync(**params), room)["timeline"]
    assert line["limited"] is True
    shown = ids(line["events"])
    assert shown == (sent[-limit:] if limit else [] if limit == 0 else sent[-10:])
    before = ids(back_from(alice, room, line["prev_batch"]))
    assert len(set(before + shown)) == len(before) + len(shown)
    whole = ids(alice.messages(room, limit=100)["chunk"])
    assert before == whole[len(shown):]


def test_limit_of_the_whole_room(alice):
    room = alice.create_room()
    n = len(alice.messages(room, limit=100)["chunk"])
    for limit, limited in (n - 1, True), (n, False), (n + 1, False), (10**9, False):
        line = section(alice.sync(**timeline_filter(limit=limit)), room)["timeline"]
        assert line["limited"] is limited
        assert len(line["events"]) == min(limit, n)
        rest = back_from(alice, room, line["prev_batch"])
        assert len(rest) == n - len(line["events"])


@pytest.mark.parametrize("sent_n,limited", [(9, False), (10, False), (11, True), (30, True)])
def test_gaps(alice, sent_n, limited):
    room = alice.create_room()
    known = alice.send(room, "known")
    since = alice.sync()["next_batch"]
    sent = [alice.send(room, f"{n}") for n in range(sent_n)]
    line = section(alice.sync(since=since), room)["timeline"]
    assert line["limited"] is limited
    assert ids(line["events"]) == sent[-10:]
    missed = ids(back_from(alice, room, line["prev_batch"]))
    assert missed[: missed.index(known)][::-1] == sent[:-10]
    page = alice.messages(room, limit=100, **{"from": line["prev_batch"]}, to=since)
    assert ids(page["chunk"]) == sent[:-10][::-1]


def test_gap_with_a_filter(alice, bob):
    """The limit counts events that pass the filter; none of them is lost."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    only_bob = {"senders": [bob.user_id], "types": ["m.room.message"], "limit": 2}
    since = alice.sync(**timeline_filter(**only_bob))["next_batch"]
    sent = []
    for n in range(6):
        alice.send(room, f"a{n}")
        sent.append(bob.send(room, f"b{n}"))
        alice.send(room, f"c{n}")
    line = section(alice.sync(since=since, **timeline_filter(**only_bob)), room)["timeline"]
    assert line["limited"] is True and ids(line["events"]) == sent[-2:]
    page = alice.messages(room, limit=100, **{"from": line["prev_batch"]}, to=since)
    assert [e["event_id"] for e in page["chunk"] if e["event_id"] in sent] == sent[:-2][::-1]


def test_timelines_that_the_filter_empties(alice):
    """A long run of hidden events does not make the next shown one disappear."""
    room = alice.create_room()
    nothing = timeline_filter(types=["org.rare"], limit=2)
    since = alice.sync(**nothing)["next_batch"]
    first = alice.send(room, {"n": 1}, type="org.rare")
    for n in range(40):
        alice.send(room, f"{n}")
    r = alice.sync(since=since, **nothing)
    assert ids(events_of(r, room)) == [first]
    since = r["next_batch"]
    alice.send(room, "x")
    r = alice.sync(since=since, **nothing)
    assert not section(r, room) or not section(r, room)["timeline"]["limited"]


# ---- tokens older than the memory --------------------------------------------------------------


def comparable(value):
    """A reply without the parts that depend on time, and without to-device messages."""
    if isinstance(value, dict):
        return {k: comparable(v) for k, v in value.items()
                if k not in ("age", "next_batch", "presence", "to_device")}
    return [comparable(v) for v in value] if isinstance(value, list) else value


def sorted_parts(reply):
    """Lists whose order means nothing are sorted."""
    reply = comparable(reply)
    for sections in reply.get("rooms", {}).values():
        for part in sections.values():
            for state in "state", "state_after":
                part.get(state, {}).get("events", []).sort(key=lambda e: e["event_id"])
            part.get("account_data", {}).get("events", []).sort(key=lambda e: e["type"])
            part.get("ephemeral", {}).get("events", []).sort(key=lambda e: e["type"])
    for names in reply.setdefault("device_lists", {"changed": [], "left": []}).values():
        names.sort()
    reply["account_data"]["events"].sort(key=lambda e: e["type"])
    return reply


def test_answers_do_not_depend_on_memory(fresh_server, register):
    """Replies from the feed and from the database are the same, for every token of a story."""
    server = fresh_server()
    alice, bob = (register(name, on=server) for name in ("alice", "bob"))
    tokens = [bob.sync()["next_batch"]]

    def then(*_):
        tokens.append(bob.sync()["next_batch"])

    room = alice.create_room(preset="public_chat", name="R", invite=[bob.user_id])
    then()
    then(bob.join(room))
    first = alice.send(room, "one")
    then(bob.read(room, first))
    then(alice.send_state(room, "m.room.topic", {"topic": "t"}))
    then(bob.put(f"/user/{q(bob.user_id)}/account_data/org.test", {"a": 1}))
    then(bob.put(f"/user/{q(bob.user_id)}/rooms/{q(room)}/account_data/org.test", {"b": 1}))
    other = bob.create_room(invite=[alice.user_id])
    then(alice.join(other))
    for n in range(12):
        alice.send(room, f"{n}")
    then(alice.redact(room, first))
    alice.send(room, {"msgtype": "m.text", "body": "* x", "m.new_content": {
        "msgtype": "m.text", "body": "x"}, "m.relates_to": {"rel_type": "m.replace",
                                                         "event_id": alice.send(room, "y")}})
    then(alice.leave(other))
    then(alice.kick(room, bob))
    then(alice.create_room(invite=[bob.user_id]))
    then(bob.leave(other))

    filters = [{}, timeline_filter(limit=2), timeline_filter(types=["m.room.message"]),
               # redundant ones too: the server may forget which members it sent to a device
               inline(room={"state": {"lazy_load_members": True,
                                      "include_redundant_members": True}}),
               {"use_state_after": "true"}]
    asked = [(token, params) for params in filters for token in tokens]

    def answers(client):
        replies = [sorted_parts(client.sync(since=since, **params)) for since, params in asked]
        return json.loads(re.sub(r'"(s\d+_\d+)_[0-9a-f]+"', r'"\1"', json.dumps(replies)))  # epochs

    from_memory = answers(bob)
    server.restart()
    again = Client(server, bob.user_id, bob.token, bob.device_id)
    from_database = answers(again)
    again.close()
    for (since, params), memory, database in zip(asked, from_memory, from_database):
        assert memory == database, f"since {since} of {tokens}, {params}"


# ---- syncs as large as an initial one have separate workers ----


def test_long_syncs_move(fresh_server):
    """Only those without `since`, with `full_state`, and after a long absence."""
    s = fresh_server()
    user, friend = Client(s).register("user"), Client(s).register("friend")
    moved = lambda: metric(s, 'concorde_http_moved_total{pool="initial"}')
    rooms = [user.create_room(preset="public_chat") for _ in range(25)]
    friend.join(rooms[0])

    def moves(n, **params):
        before = moved()
        reply = user.sync(timeout=0, **params)
        assert moved() == before + n, params
        return reply

    since = moves(1)["next_batch"]
    moves(1, full_state="true")
    moves(1, since=since, full_state="true")
    moves(1, **timeline_filter(limit=1))
    user.send(rooms[0], "hello")
    moves(0, since=since)
    moves(0, since=since, **timeline_filter(limit=1000))
    for room in rooms:
        user.send(room, "one each")
    s.restart()  # the memory is empty
    user = Client(s, user.user_id, user.token, user.device_id)
    assert len(moves(0, since=since)["rooms"]["join"]) == len(rooms)
    many = moves(1, since=since, **timeline_filter(limit=100))
    assert {room: bodies(events_of(many, room))[-1] for room in rooms} == dict.fromkeys(rooms, "one each")
    before = moved()
    assert user.get("/events", params={"from": since, "timeout": 0})["chunk"]
    assert moved() == before


def test_a_long_sync_does_not_wait(fresh_server):
    """One that moved, and is empty, is answered: else it would be woken in the pool for long ones."""
    s = fresh_server()
    user = Client(s).register("user")
    rooms = [user.create_room() for _ in range(25)]
    since = user.sync()["next_batch"]
    for room in rooms:
        user.send(room, "one each")
    s.restart()
    user = Client(s, user.user_id, user.token, user.device_id)
    filter = inline(room={"rooms": [], "timeline": {"limit": 1000}})
    r = user.get("/sync", params={"since": since, "timeout": 200_000, **filter})
    assert "join" not in r.get("rooms", {}) or not r["rooms"]["join"]
    assert user.get("/sync", params={"since": r["next_batch"], "timeout": 0})["next_batch"]

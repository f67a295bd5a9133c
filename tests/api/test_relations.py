"""Relationships between events: what is bundled, and GET /relations."""

import concurrent.futures
import json

import pytest

from client import Client, q, timeline
from relations import bundled, children, edit, ids, in_thread, react, refer, relates
from restoring import busy_workers, commits_held, locked
from waiting import eventually


@pytest.fixture
def room(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    return room


# ---- m.replace ----


def test_newest_edit_is_bundled(alice, room):
    event = alice.send(room, "one")
    assert bundled(alice, room, event) == {}
    edit(alice, room, event, "two")
    newest = edit(alice, room, event, "three")
    r = bundled(alice, room, event)
    assert list(r) == ["m.replace"]
    shown = r["m.replace"]
    assert shown["event_id"] == newest and shown["content"]["m.new_content"]["body"] == "three"
    assert {"sender", "type", "origin_server_ts", "room_id", "unsigned"} <= shown.keys()
    assert alice.event(room, event)["content"]["body"] == "one"  # as it was sent


def test_edits_are_served_on_every_route(alice, bob, room):
    event = alice.send(room, "one")
    newest = edit(alice, room, event, "two")
    after = alice.send(room, "after")
    found = lambda events: [
        e["unsigned"]["m.relations"]["m.replace"]["event_id"] for e in events
        if e["event_id"] == event]
    assert found(alice.messages(room)["chunk"]) == [newest]
    context = f"/rooms/{q(room)}/context/"
    assert found([alice.get(context + q(event))["event"]]) == [newest]
    assert found(alice.get(context + q(after))["events_before"]) == [newest]


@pytest.mark.parametrize("why", ["other sender", "other type", "no new content", "edit of an edit"])
def test_invalid_edits_are_not_bundled(alice, bob, room, why):
    event = alice.send(room, "one")
    good = edit(alice, room, event, "two")
    if why == "other sender":
        edit(bob, room, event, "mine")
    elif why == "other type":
        alice.send(room, {"m.new_content": {}, **relates("m.replace", event)}, type="org.example.x")
    elif why == "no new content":
        alice.send(room, {"msgtype": "m.text", "body": "x", **relates("m.replace", event)})
    else:
        edit(alice, room, good, "three")
        assert bundled(alice, room, good) == {}
    assert bundled(alice, room, event)["m.replace"]["event_id"] == good


def test_encrypted_edits_are_believed(alice, room):
    content = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "y"}
    event = alice.send(room, content, type="m.room.encrypted")
    new = alice.send(room, {**content, **relates("m.replace", event)}, type="m.room.encrypted")
    assert bundled(alice, room, event)["m.replace"]["event_id"] == new


def test_redacted_edit_gives_way_to_the_one_before(alice, room):
    event = alice.send(room, "one")
    first = edit(alice, room, event, "two")
    second = edit(alice, room, event, "three")
    alice.redact(room, second)
    assert bundled(alice, room, event)["m.replace"]["event_id"] == first
    alice.redact(room, first)
    assert bundled(alice, room, event) == {}


def test_redacted_events_have_no_edits(alice, room):
    event = alice.send(room, "one")
    edit(alice, room, event, "two")
    alice.redact(room, event)
    assert bundled(alice, room, event) == {}


def test_state_has_nothing_bundled(alice, room):
    state = alice.send_state(room, "m.room.topic", {"topic": "t"})
    refer(alice, room, state)
    assert bundled(alice, room, state) == {}


def test_edits_after_leaving_are_not_seen(alice, bob, room):
    event = alice.send(room, "one")
    first = edit(alice, room, event, "two")
    bob.leave(room)
    edit(alice, room, event, "a secret")
    refer(alice, room, event)
    in_thread(alice, room, event, "another secret")
    r = bundled(bob, room, event)
    assert list(r) == ["m.replace"] and r["m.replace"]["event_id"] == first


# ---- m.reference, m.annotation ----


def test_references_are_bundled(alice, bob, room):
    event = alice.send(room, "poll")
    votes = [refer(alice, room, event), refer(bob, room, event)]
    assert bundled(alice, room, event) == {"m.reference": {"chunk": [{"event_id": v} for v in votes]}}
    alice.redact(room, votes[0])
    assert bundled(alice, room, event) == {"m.reference": {"chunk": [{"event_id": votes[1]}]}}


def test_annotations_are_not_bundled(alice, room):
    event = alice.send(room, "x")
    react(alice, room, event)
    assert bundled(alice, room, event) == {}


def test_annotations_are_not_doubled(alice, bob, room):
    event = alice.send(room, "x")
    first = react(alice, room, event)
    again = f"/rooms/{q(room)}/send/m.reaction/"
    content = relates("m.annotation", event, key="👍")
    alice.fails(400, "M_DUPLICATE_ANNOTATION", "PUT", again + "once", content)
    react(alice, room, event, "👎")
    react(bob, room, event)
    alice.redact(room, first)
    react(alice, room, event)


def react_with(client, room, event, txn):
    return client.request("PUT", f"/rooms/{q(room)}/send/m.reaction/{txn}",
                          json=relates("m.annotation", event, key="👍"))


def test_annotations_that_are_sent_at_once_are_not_doubled(alice, room):
    """The first waits for its commit while the others arrive: they wait for its outcome. A request
    with the same transaction id gets its event."""
    event = alice.send(room, "x")
    txns = ["one", "two", "three", "four", "one", "two"]
    with concurrent.futures.ThreadPoolExecutor(len(txns)) as pool:
        with commits_held(alice.server) as waiting:
            replies = [pool.submit(react_with, alice, room, event, txn) for txn in txns]
            eventually(lambda: waiting() and busy_workers(alice) == len(txns))
        replies = [r.result() for r in replies]
    made = [(txn, r.json()["event_id"]) for txn, r in zip(txns, replies) if r.status_code == 200]
    refused = [r.json()["errcode"] for r in replies if r.status_code != 200]
    assert len(set(made)) == 1 and set(refused) == {"M_DUPLICATE_ANNOTATION"}
    assert ids(children(alice, room, event)) == [made[0][1]]
    assert len(made) == txns.count(made[0][0])


def test_a_repeated_annotation_is_the_first_one_after_a_restart(fresh_server):
    """It is not refused as a duplicate of its own event."""
    server = fresh_server()
    alice = Client(server).register("alice")
    room = alice.create_room()
    event = alice.send(room, "x")
    first = react_with(alice, room, event, "once").json()["event_id"]
    server.restart()
    again = Client(server, alice.user_id, alice.token)
    assert react_with(again, room, event, "once").json()["event_id"] == first
    assert react_with(again, room, event, "twice").json()["errcode"] == "M_DUPLICATE_ANNOTATION"
    again.close()


def test_relations_to_other_rooms_count_for_nothing(alice, room):
    other = alice.create_room()
    event = alice.send(other, "x")
    edit(alice, room, event, "y")
    refer(alice, room, event)
    assert bundled(alice, other, event) == {}
    assert children(alice, other, event)["chunk"] == []


# ---- GET /relations ----


def test_children_newest_first(alice, bob, room):
    event = alice.send(room, "x")
    a, b, c = react(alice, room, event), edit(alice, room, event, "y"), react(bob, room, event)
    r = children(alice, room, event)
    assert ids(r) == [c, b, a] and "next_batch" not in r and "prev_batch" not in r
    assert "recursion_depth" not in r
    assert ids(children(alice, room, event, dir="f")) == [a, b, c]
    assert ids(children(alice, room, event, "m.annotation")) == [c, a]
    assert ids(children(alice, room, event, "m.annotation", dir="f")) == [a, c]
    assert ids(children(alice, room, event, "m.annotation", "m.reaction")) == [c, a]
    assert ids(children(alice, room, event, "m.annotation", "m.room.message")) == []
    assert ids(children(alice, room, event, "m.annotation", "never.seen.type")) == []
    assert ids(children(alice, room, event, "m.nothing")) == []


@pytest.mark.parametrize("dir", ["b", "f"])
@pytest.mark.parametrize("kind", [(), ("m.reference",)])
def test_children_in_pages(alice, room, dir, kind):
    event = alice.send(room, "x")
    all_of_them = [refer(alice, room, event) for _ in range(7)]
    if dir == "b":
        all_of_them.reverse()
    seen, at = [], {}
    for _ in range(10):
        r = children(alice, room, event, *kind, dir=dir, limit=3, **at)
        seen += ids(r)
        if "next_batch" not in r:
            break
        at = {"from": r["next_batch"]}
        assert len(r["chunk"]) == 3
    assert seen == all_of_them and r["prev_batch"]


def test_children_between_tokens(alice, room):
    event = alice.send(room, "x")
    votes = [refer(alice, room, event) for _ in range(5)]
    first = children(alice, room, event, limit=2)
    second = children(alice, room, event, limit=2, **{"from": first["next_batch"]})
    r = children(alice, room, event, **{"from": first["next_batch"], "to": second["next_batch"]})
    assert ids(r) == [votes[2], votes[1]]
    r = children(alice, room, event, **{"from": second["next_batch"], "to": first["next_batch"]})
    assert ids(r) == []
    end = alice.messages(room, limit=2)["end"]
    assert ids(children(alice, room, event, **{"from": end})) == [votes[2], votes[1], votes[0]]


def test_recursion(alice, bob, room):
    root = alice.send(room, "root")
    reply = in_thread(bob, room, root, "reply")
    liked = react(alice, room, reply)
    edited = edit(bob, room, reply, "better")
    r = children(alice, room, root, recurse="true")
    assert ids(r) == [edited, liked, reply] and r["recursion_depth"] >= 3
    assert ids(children(alice, room, root)) == [reply]
    assert ids(children(alice, room, root, "m.thread", recurse="true")) == [reply]
    assert ids(children(alice, room, root, "m.annotation", recurse="true")) == []
    assert ids(children(alice, room, root, **{"org.matrix.msc3981.recurse": "true"})) == ids(r)
    third = refer(alice, room, refer(alice, room, liked))
    assert third not in ids(children(alice, room, root, "m.reference", recurse="true"))
    forward = children(alice, room, root, recurse="true", dir="f", limit=2)
    assert ids(forward) == [reply, liked] and forward["next_batch"]


def test_children_have_aggregations_of_their_own(alice, room):
    root = alice.send(room, "root")
    reply = in_thread(alice, room, root, "reply")
    better = edit(alice, room, reply, "better")
    e = children(alice, room, root, "m.thread")["chunk"][0]
    assert e["unsigned"]["m.relations"]["m.replace"]["event_id"] == better


def test_redacted_children_are_gone(alice, room):
    event = alice.send(room, "x")
    vote = refer(alice, room, event)
    alice.redact(room, vote)
    assert ids(children(alice, room, event)) == []


def test_children_stay_when_the_parent_is_redacted(alice, room):
    event = alice.send(room, "x")
    vote = refer(alice, room, event)
    alice.redact(room, event)
    assert ids(children(alice, room, event)) == [vote]


def test_relations_that_cannot_be_seen(alice, bob, register, room):
    event = alice.send(room, "x")
    base = f"/_matrix/client/v1/rooms/{q(room)}/relations/"
    alice.fails(404, "M_NOT_FOUND", "GET", base + "%24nothing")
    register("carol").fails(403, "M_FORBIDDEN", "GET", base + q(event))
    alice.fails(400, "M_INVALID_PARAM", "GET", base + q(event), params={"dir": "x"})
    bob.leave(room)
    refer(alice, room, event)
    assert ids(children(bob, room, event)) == []


# ---- ignored users ----


def ignore(client, *users):
    client.put(f"/user/{q(client.user_id)}/account_data/m.ignored_user_list",
               {"ignored_users": {u.user_id: {} for u in users}})


def test_ignored_users_do_not_count(alice, bob, register, room):
    root = alice.send(room, "root")
    mine = in_thread(alice, room, root, "mine")
    in_thread(bob, room, root, "theirs")
    refer(bob, room, root)
    said = bob.send(room, "said")
    ignore(alice, bob)
    r = bundled(alice, room, root)
    assert list(r) == ["m.thread"] and r["m.thread"]["count"] == 1
    assert r["m.thread"]["latest_event"]["event_id"] == mine
    assert ids(children(alice, room, root)) == [mine]
    shown = [e["event_id"] for e in alice.messages(room, limit=100)["chunk"]]
    assert said not in shown
    alice.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(room)}/event/{q(said)}")
    assert bundled(bob, room, root)["m.thread"]["count"] == 2
    ignore(alice)
    assert bundled(alice, room, root)["m.thread"]["count"] == 2


def test_limited_sync_bundles(alice, room):
    event = alice.send(room, "one")
    newest = edit(alice, room, event, "two")
    r = alice.sync(filter=json.dumps({"room": {"timeline": {"limit": 5}}}))
    shown = [e for e in timeline(r, room) if e["event_id"] == event][0]
    assert shown["unsigned"]["m.relations"]["m.replace"]["event_id"] == newest


def test_questions_about_a_whole_room_have_a_time_limit(fresh_server):
    s = fresh_server()
    alice = Client(s).register("alice")
    room = alice.create_room()
    root = alice.send(room, "root")
    reply = alice.send(room, {"msgtype": "m.text", "body": "reply", "m.relates_to": {
        "rel_type": "m.thread", "event_id": root}})
    paths = [f"/_matrix/client/v1/rooms/{q(room)}/{what}" for what in (f"relations/{q(root)}", "threads")]
    found = [[e["event_id"] for e in alice.get(path)["chunk"]] for path in paths]
    assert found == [[reply], [root]]
    for table, path in zip(("relations", "events"), paths):
        with locked(s, table):
            assert "too long" in alice.fails(503, "M_UNKNOWN", "GET", path)["error"]
    assert found == [[e["event_id"] for e in alice.get(path)["chunk"]] for path in paths]

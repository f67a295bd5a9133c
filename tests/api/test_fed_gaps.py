"""Server-server API, "Backfilling and retrieving missing events": events whose parents are missing,
and history from before a server was in the room."""

import pytest

import pdus
from federation import has_event, history, membership, received, same_history, same_state
from remote import FED, q
from syncing import ids as ids_in, section, state_of
from server import metric
from waiting import eventually


def unsent(remote, room, sender, n):
    """Events of the room that are not sent."""
    return [remote.event(room, sender, "m.room.message", {"msgtype": "m.text", "body": f"{i}"})[0]
            for i in range(n)]


@pytest.mark.parametrize("version", ["1", "3", "6", "10", "11", "12"])
def test_a_small_gap(room_of, version):
    a, alice, remote, room, carol = room_of(version)
    ids = unsent(remote, room, carol, 7)
    last = remote.send(room, carol, "last")
    received(alice, room.id, last)
    assert history(alice, room.id)[:8] == [last, *reversed(ids)]
    assert remote.seen("POST", f"{FED}/v1/get_missing_events/")
    assert not remote.seen("GET", f"{FED}/v1/state")


def test_a_gap_with_state(room_of):
    a, alice, remote, room, carol = room_of()
    remote.event(room, carol, "m.room.member", {"membership": "join", "displayname": "C"}, carol)
    dave = remote.user("dave")
    remote.event(room, dave, "m.room.member", {"membership": "join"}, dave)
    received(alice, room.id, remote.send(room, dave, "I am here"))
    assert alice.state(room.id, "m.room.member", carol)["displayname"] == "C"
    assert alice.state(room.id, "m.room.member", dave)["membership"] == "join"


def test_a_gap_of_three_hundred(room_of):
    a, alice, remote, room, carol = room_of()
    ids = unsent(remote, room, carol, 300)
    last = remote.send(room, carol, "last")
    received(alice, room.id, last, seconds=60)
    assert set(ids) <= set(history(alice, room.id))
    assert remote.seen("GET", f"{FED}/v1/backfill/")
    assert len(remote.seen(path=f"{FED}/v1/")) < 40


def test_a_gap_that_cannot_be_closed_ends_with_the_state(room_of):
    a, alice, remote, room, carol = room_of()
    lost = unsent(remote, room, carol, 3)
    remote.event(room, carol, "m.room.member", {"membership": "join", "displayname": "C"}, carol)
    ids = unsent(remote, room, carol, 3)
    for i in lost:
        room.hidden.add(i)
    last = remote.send(room, carol, "last")
    received(alice, room.id, last, seconds=30)
    listed = history(alice, room.id)
    assert set(ids) <= set(listed) and not set(lost) & set(listed)
    assert alice.state(room.id, "m.room.member", carol)["displayname"] == "C"
    assert remote.seen("GET", f"{FED}/v1/state_ids/")


def open_gap(a, alice, remote, room, carol):
    """Events that are sent, some that no server returns, and the ones after them."""
    before = remote.send(room, carol, "before")
    received(alice, room.id, before)
    alice.next_sync()
    shown = [remote.send(room, carol, "shown")]
    received(alice, room.id, shown[-1])
    lost = unsent(remote, room, carol, 3)
    dave = remote.user("dave")
    join, _ = remote.event(room, dave, "m.room.member", {"membership": "join"}, dave)
    remote.event(room, carol, "m.room.member", {"membership": "join", "displayname": "C"}, carol)
    for i in lost:
        room.hidden.add(i)
    after = remote.send(room, carol, "after")
    received(alice, room.id, after, seconds=30)
    return before, shown, lost, dave, after


@pytest.mark.parametrize("how", ["from memory", "after a restart", "state_after"])
def test_a_timeline_does_not_reach_over_a_gap(ministries, room_of, how):
    """The events before and after it are not adjacent: the client is shown the gap."""
    a, alice, remote, room, carol = room_of(server=ministries())
    before, shown, lost, dave, after = open_gap(a, alice, remote, room, carol)
    if how == "after a restart":
        a.stop()
        a.start()
    params, key = {}, "state"
    if how == "state_after":
        params, key = {"use_state_after": "true"}, "state_after"
    reply = alice.next_sync(**params)
    line = section(reply, room.id)["timeline"]
    assert line["limited"]
    listed = ids_in(line["events"])
    assert listed[-1] == after and not {before, *shown, *lost} & set(listed)
    state = state_of(reply, room.id, key=key)
    now = {e["state_key"]: e["content"] for e in [*state.values(), *line["events"]]
           if e["type"] == "m.room.member"}
    assert now[dave]["membership"] == "join" and now[carol]["displayname"] == "C"
    assert dave in reply["device_lists"]["changed"]
    older = alice.messages(room.id, **{"from": line["prev_batch"]})["chunk"]
    assert ids_in(older)[:2] == [*shown, before]
    # Both servers are equally far: no event is repeated, and the gap does not stay for ever.
    last = remote.send(room, carol, "last")
    received(alice, room.id, last)
    line = section(alice.next_sync(), room.id)["timeline"]
    assert ids_in(line["events"]) == [last] and not line["limited"]


def test_a_gap_that_was_filled_later_is_none(room_of):
    a, alice, remote, room, carol = room_of()
    before, shown, lost, dave, after = open_gap(a, alice, remote, room, carol)
    room.hidden.clear()
    eventually(lambda: set(lost) <= set(history(alice, room.id)), seconds=60)
    line = section(alice.next_sync(), room.id)["timeline"]
    assert ids_in(line["events"])[0] == shown[0] and not line["limited"]


@pytest.mark.parametrize("type, key", [("m.room.message", None), ("m.room.topic", "")])
def test_the_state_after_the_missing_parent_is_asked_for(room_of, type, key):
    """As in Synapse: one round of get_missing_events, then /state_ids at the parent, and the parent."""
    a, alice, remote, room, carol = room_of()
    levels = dict(room.find(room.state["m.room.power_levels", ""])["content"])
    alice.send_state(room.id, "m.room.power_levels", {**levels, "state_default": 0})
    eventually(lambda: any(p["type"] == "m.room.power_levels" for p in remote.pdus))
    newest = next(p for p in remote.pdus if p["type"] == "m.room.power_levels")
    room.add(newest)
    lost = unsent(remote, room, carol, 2)
    parent, _ = remote.event(room, carol, type, {"topic": "new", "body": "x", "msgtype": "m.text"},
                             key)
    for path in "get_missing_events", "backfill":
        remote.on("POST" if "get" in path else "GET", f"{FED}/v1/{path}/",
                  (404, {"errcode": "M_NOT_FOUND", "error": "no"}))
    last = remote.send(room, carol, "last")
    eventually(lambda: has_event(alice, room.id, last), 30)
    assert [r.query["event_id"] for r in remote.seen("GET", f"{FED}/v1/state_ids/")] == [[parent]]
    assert len(remote.seen("POST", f"{FED}/v1/get_missing_events/")) == 1
    assert not remote.seen("GET", f"{FED}/v1/backfill/")
    assert not remote.seen("GET", f"{FED}/v1/state/")
    assert remote.seen("GET", f"{FED}/v1/event/{q(parent)}")
    if key is not None:
        assert alice.state(room.id, type) == {"topic": "new", "body": "x", "msgtype": "m.text"}
    assert not set(lost) & set(history(alice, room.id)[:2])


def test_auth_events_that_are_missing_are_fetched(room_of):
    a, alice, remote, room, carol = room_of()
    heads = room.heads[:]
    dave = remote.user("dave")
    joined, join = remote.event(room, dave, "m.room.member", {"membership": "join"}, dave)
    # concurrent with the join, citing it
    i, event = remote.event(room, dave, "m.room.message", {"msgtype": "m.text", "body": "x"},
                            prev=heads)
    remote.put_transaction(a.name, [event])
    eventually(lambda: remote.seen("GET", f"{FED}/v1/event"))
    received(alice, room.id, remote.send(room, carol, "both", prev=[joined, i]))


def test_others_are_asked_when_the_sender_does_not_answer(room_of, remotes):
    a, alice, remote, room, carol = room_of()
    other = remotes()
    erin = other.user("erin")
    theirs = other.join(a.name, room.id, erin)
    ids = unsent(remote, room, carol, 3)
    for i in ids:
        other.rooms[room.id].add(room.events[i])
    remote.on("POST", f"{FED}/v1/get_missing_events/", 500)
    remote.on("GET", f"{FED}/v1/backfill/", 500)
    last = remote.send(room, carol, "last", to=[a.name])
    theirs.add(room.events[last])
    received(alice, room.id, last, seconds=30)
    assert set(ids) <= set(history(alice, room.id))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failure_is_no_answer(room_of, remotes, status):
    """A server that did not answer may still have the missing events, whatever others have."""
    a, alice, remote, room, carol = room_of()
    other = remotes()
    other.join(a.name, room.id, other.user("erin"))
    ids = unsent(remote, room, carol, 3)
    for path in "get_missing_events", "backfill":
        for method in "GET", "POST":
            remote.on(method, f"{FED}/v1/{path}/", (status, {"errcode": "M_UNKNOWN", "error": "no"}))
    last = remote.send(room, carol, "last", to=[a.name])
    eventually(lambda: len(remote.seen("POST", f"{FED}/v1/get_missing_events/")) >= 2)
    assert not remote.seen("GET", f"{FED}/v1/state")
    remote.answers.clear()
    received(alice, room.id, last, seconds=30)
    assert history(alice, room.id)[:4] == [last, *reversed(ids)]


LATER = 429, ({"errcode": "M_LIMIT_EXCEEDED", "error": "later"},
              {"Content-Type": "application/json", "Retry-After": "1"})


def test_state_that_may_be_asked_for_later_is_not_lost(room_of):
    """One of the many events of a state: a state may lack so few for good."""
    a, alice, remote, room, carol = room_of(initial_state=[
        {"type": "a.test", "state_key": str(n), "content": {}} for n in range(40)])
    dave = remote.user("dave")
    join, _ = remote.event(room, dave, "m.room.member", {"membership": "join"}, dave)
    for i in unsent(remote, room, carol, 3):
        room.hidden.add(i)
    later = remote.on("GET", f"{FED}/v1/event/{q(join)}", LATER)
    last = remote.send(room, carol, "last", to=[a.name])
    eventually(lambda: remote.seen("GET", f"{FED}/v1/event/"), 30)
    remote.answers.remove(later)
    received(alice, room.id, last, seconds=60)
    assert alice.state(room.id, "m.room.member", dave)["membership"] == "join"


def test_another_server_is_asked_for_the_rest_of_a_state(room_of, remotes):
    a, alice, remote, room, carol = room_of()
    other = remotes()
    erin, dave = other.user("erin"), remote.user("dave")
    other.join(a.name, room.id, erin)
    room.add(next(p for p in reversed(remote.wait_for(lambda: [
        p for p in remote.pdus if p.get("state_key") == erin]))))
    join, event = remote.event(room, dave, "m.room.member", {"membership": "join"}, dave)
    other.rooms[room.id].add(event)
    for i in unsent(remote, room, carol, 3):
        room.hidden.add(i)
    remote.on("GET", f"{FED}/v1/event/{q(join)}", LATER)
    last = remote.send(room, carol, "last", to=[a.name])
    received(alice, room.id, last, seconds=60)
    assert alice.state(room.id, "m.room.member", dave)["membership"] == "join"
    assert other.seen("GET", f"{FED}/v1/event/{q(join)}")


@pytest.mark.parametrize("version", ["1", "10", "12"])
def test_an_event_beside_our_join_does_not_lead_to_the_beginning(two, remote, version):
    """Its parent is history that we do not have: the state after that parent is requested."""
    alice, carol = two[0].user("alice"), remote.user("carol")
    room = remote.create_room(carol, version)
    before = [remote.event(room, carol, "m.room.message", {"body": f"{i}", "msgtype": "m.text"})[0]
              for i in range(3)]
    topic, _ = remote.event(room, carol, "m.room.topic", {"topic": "beside"}, "", prev=[before[1]])
    room.heads = [before[2]]
    alice.join(room.id, via=[remote.name])
    beside = remote.send(room, carol, "beside", prev=[before[1]])
    child = remote.send(room, carol, "child", prev=[beside])
    received(alice, room.id, beside)
    received(alice, room.id, child)
    after_topic = remote.send(room, carol, "after the topic", prev=[topic])
    received(alice, room.id, after_topic)
    assert any(r.query["event_id"] == [before[1]] for r in remote.seen("GET", f"{FED}/v1/state_ids/"))
    assert not remote.seen("GET", f"{FED}/v1/event/{q(room.order[0])}")
    received(alice, room.id, remote.send(room, carol, "goes on", prev=[child, after_topic]))
    assert alice.state(room.id, "m.room.create")


@pytest.mark.parametrize("what", ["topic", "member", "our user"])
def test_state_of_our_join_wakes_no_sync(two, remote, what):
    """Checked against the current state it would be soft-failed."""
    remote.on("GET", f"{FED}/v1/backfill/", 404)  # backfill would put it on the timeline
    alice, carol, dave = two[0].user("alice"), remote.user("carol"), remote.user("dave")
    room = remote.create_room(carol, levels={"state_default": 0})
    remote.event(room, dave, "m.room.member", {"membership": "join"}, dave)
    listed = {"topic": remote.event(room, dave, "m.room.topic", {"topic": "then"}, ""),
              "member": remote.event(room, dave, "m.room.member",
                                     {"membership": "join", "displayname": "D"}, dave)}
    for was in "ban", "leave":
        listed["our user"] = remote.event(
            room, carol, "m.room.member", {"membership": was}, alice.user_id)
    alice.join(room.id, via=[remote.name])
    ban = remote.set_member(room, carol, dave, "ban")
    eventually(lambda: membership(alice, room.id, dave) == "ban")
    received(alice, room.id, ban)
    kept = metric(two[0], "concorde_federation_received_pdus_kept_total")
    i, event = listed[what]
    assert remote.put_transaction(two[0].name, [event])["pdus"] == {i: {}}
    assert metric(two[0], "concorde_federation_received_pdus_kept_total") == kept
    # An event that refers to it is accepted all the same.
    child = remote.send(room, carol, "beside our join", prev=[i],
                        state=room.state_at(i) | room.state)
    received(alice, room.id, child)
    assert i not in history(alice, room.id)[:3]
    assert alice.state(room.id, "m.room.topic") == {"topic": "then"}
    assert membership(alice, room.id, dave) == "ban"


@pytest.mark.parametrize("when", ["before our join", "after it"])
def test_the_child_of_an_event_whose_auth_events_do_not_allow_it(two, remote, when):
    """The parent is an outlier, known from the state or an auth chain."""
    remote.on("GET", f"{FED}/v1/backfill/", 404)
    alice, carol, dave = two[0].user("alice"), remote.user("carol"), remote.user("dave")
    room = remote.create_room(carol, "11")
    remote.event(room, dave, "m.room.member", {"membership": "join"}, dave)
    if when == "after it":
        alice.join(room.id, via=[remote.name])
    state = dict(room.state)
    bad, _ = remote.event(room, dave, "m.room.name", {"name": "mine"}, "")
    if when == "after it":
        room.state = state
        auth = [bad, *(state[k] for k in [("m.room.create", ""), ("m.room.power_levels", ""),
                                          ("m.room.member", dave)])]
        event = remote.sign(room, room.build(dave, "m.room.message", {"body": "x"}, auth=auth,
                                             prev=[room.order[-2]]))
        remote.put_transaction(two[0].name, [event])
        eventually(lambda: metric(two[0], "concorde_federation_received_pdus_rejected_total") > 0)
    else:
        alice.join(room.id, via=[remote.name])
        room.state = {**room.state, **state}
    child = remote.send(room, carol, "child", prev=[bad])
    received(alice, room.id, child)
    alice.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(room.id)}/state/m.room.name/")


def test_a_parent_that_arrives_wakes_waiting_events(room_of, remotes):
    a, alice, remote, room, carol = room_of()
    other = remotes()
    theirs = other.join(a.name, room.id, other.user("erin"))
    parent, event = remote.event(room, carol, "m.room.message", {"msgtype": "m.text", "body": "p"})
    for path in ("get_missing_events/", "backfill/", "state", "event"):
        for server in remote, other:
            server.on("GET", f"{FED}/v1/{path}", 404)
            server.on("POST", f"{FED}/v1/{path}", 404)
    child = remote.send(room, carol, "child", prev=[parent])
    eventually(lambda: len(remote.seen("POST", f"{FED}/v1/get_missing_events/")) >= 3, seconds=30)
    other.put_transaction(a.name, [event])
    received(alice, room.id, parent)
    received(alice, room.id, child)


def test_a_parent_that_arrives_and_is_not_accepted(room_of, remotes):
    """It wakes the events that wait for it, although it is rejected or soft-failed."""
    waiting = []
    for what in "rejected", "soft-failed":
        a, alice, remote, room, carol = room_of()
        other, dave = remotes(), remote.user("dave")
        other.join(a.name, room.id, other.user("erin"))
        remote.set_member(room, dave, dave, "join")
        type, key = ("m.room.name", "") if what == "rejected" else ("m.room.message", None)
        state = dict(room.state)
        parent, event = remote.event(room, dave, type, {"name": "x", "body": "x"}, key)
        room.state = state
        alice.ban(room.id, dave)
        for path in ("get_missing_events/", "backfill/", "state", "event"):
            for server in remote, other:
                server.on("GET", f"{FED}/v1/{path}", 404)
                server.on("POST", f"{FED}/v1/{path}", 404)
        child = remote.send(room, carol, "child", prev=[parent])
        waiting.append((a, alice, remote, room, other, event, child))
    for _, _, remote, *_ in waiting:
        eventually(lambda: len(remote.seen("POST", f"{FED}/v1/get_missing_events/")) >= 5, 60)
    for a, _, _, _, other, event, _ in waiting:
        other.put_transaction(a.name, [event])
    for _, alice, _, room, _, _, child in waiting:
        received(alice, room.id, child, seconds=12)  # the back-off alone would be 16 at least


def test_a_restart_in_the_middle(ministries, room_of):
    server = ministries()
    a, alice, remote, room, carol = room_of(server=server)
    ids = unsent(remote, room, carol, 5)
    for path in ("get_missing_events/", "backfill/", "state", "event"):
        remote.on("GET", f"{FED}/v1/{path}", 500)
        remote.on("POST", f"{FED}/v1/{path}", 500)
    last = remote.send(room, carol, "last")
    eventually(lambda: remote.seen("POST", f"{FED}/v1/get_missing_events/"))
    assert not has_event(alice, room.id, last)
    server.kill()
    remote.answers.clear()
    server.start()
    received(alice, room.id, last, seconds=30)
    assert set(ids) <= set(history(alice, room.id))


# ---- history ----


def test_history_from_before_the_join(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="public_chat")
    ids = [alice.send(room, f"message {n}") for n in range(130)]
    bob.join(room, via=[a.name])
    listed = history(bob, room)
    assert set(ids) <= set(listed) and len(set(listed)) == len(listed)
    assert [i for i in listed if i in ids] == ids[::-1]
    eventually(lambda: same_history(room, alice, bob))
    eventually(lambda: same_state(room, alice, bob))


def test_history_that_is_not_for_all(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="public_chat", initial_state=[
        {"type": "m.room.history_visibility", "state_key": "",
         "content": {"history_visibility": "joined"}}])
    secret = alice.send(room, "before bob")
    bob.join(room, via=[a.name])
    shown = alice.send(room, "with bob")
    received(bob, room, shown)
    listed = history(bob, room)
    assert secret not in listed
    for _ in range(3):
        assert "before bob" not in str(bob.messages(room, limit=100))


def test_history_when_no_server_answers(two, network):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="public_chat")
    early = [alice.send(room, f"{n}") for n in range(5)]
    bob.join(room, via=[a.name])
    late = alice.send(room, "late")
    eventually(lambda: has_event(bob, room, late))
    network.part([a], [b])
    page = bob.messages(room, limit=50)
    assert page["chunk"][0]["event_id"] == late
    assert not set(early) & {e["event_id"] for e in page["chunk"]}
    network.heal()
    eventually(lambda: set(early) <= set(history(bob, room)), seconds=60)


def test_history_that_may_be_asked_for_later(remote, two):
    """At the time that the other server set, which is sooner than after a useless answer."""
    bob, carol = two[0].user("bob"), remote.user("carol")
    room = remote.create_room(carol)
    early = unsent(remote, room, carol, 5)
    bob.join(room.id, via=[remote.name])
    later = remote.on("GET", f"{FED}/v1/backfill/", LATER)
    assert not set(early) & set(history(bob, room.id))
    assert remote.seen("GET", f"{FED}/v1/backfill/")
    remote.answers.remove(later)
    eventually(lambda: set(early) <= set(history(bob, room.id)), seconds=20)


def test_a_hostile_history(remote, two):
    """Events of other rooms and wrongly signed ones are refused."""
    a = two[0]
    bob, carol = a.user("bob"), remote.user("carol")
    room = remote.create_room(carol, version="11")
    good = unsent(remote, room, carol, 5)
    bob.join(room.id, via=[remote.name])
    other = remote.create_room(carol, version="11")
    foreign, _ = remote.event(other, carol, "m.room.message", {"body": "elsewhere"})

    @remote.on("GET", f"{FED}/v1/backfill/")
    def answer(request):
        forged = room.build(carol, "m.room.message", {"msgtype": "m.text", "body": "forged"})
        pdus.sign(forged, "11", remote.name, pdus.SigningKey())
        events = [room.events[i] for i in reversed(good)] + [forged, other.events[foreign], {}, 7]
        return 200, {"origin": remote.name, "origin_server_ts": 1, "pdus": events}

    listed = history(bob, room.id)
    assert set(good) <= set(listed) and foreign not in listed
    assert "forged" not in str(bob.messages(room.id, limit=100))

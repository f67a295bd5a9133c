"""A hostile or broken server costs little, gets errors, and harms no other room."""

import contextlib
import hashlib
import json
import time
from base64 import urlsafe_b64encode

import httpx

import pdus
from federation import has_event, history, received
from remote import FED, q
from server import metric
from waiting import eventually


def made_up_id(n):
    return "$" + urlsafe_b64encode(hashlib.sha256(str(n).encode()).digest()).decode().rstrip("=")


def orphan(remote, room, sender, n=0):
    """An event with an unknown parent; (id, event)."""
    return remote.event(room, sender, "m.room.message", {"msgtype": "m.text", "body": f"orphan {n}"},
                        prev=[made_up_id(n)])


def works(a, alice, room, remote, sender, seconds=10):
    """A message from the other server arrives in the room."""
    started = time.monotonic()
    heads = [i for i in room.order if i in room.events][-1:]
    received(alice, room.id, remote.send(room, sender, "still here"), seconds=seconds)
    return time.monotonic() - started


def test_endless_ancestors(room_of):
    a, alice, remote, room, carol = room_of()
    quiet = room_of()
    made = []

    def endless(request):
        """Each event refers to another one that is missing."""
        wanted = request.body["latest_events"] if request.method == "POST" else request.query["v"]
        events = []
        for _ in range(20):
            i, e = room_build(room, remote, carol, len(made))
            made.append(i)
            events.append(e)
        key = "events" if request.method == "POST" else "pdus"
        return 200, {"origin": remote.name, "origin_server_ts": 1, key: events}

    remote.on("POST", f"{FED}/v1/get_missing_events/", endless)
    remote.on("GET", f"{FED}/v1/backfill/", endless)
    remote.on("GET", f"{FED}/v1/state", 404)
    heads = room.heads[:]
    i, event = orphan(remote, room, carol)
    room.heads = heads
    assert remote.put_transaction(a.name, [event]) == {"pdus": {i: {}}}
    eventually(lambda: remote.seen("GET", f"{FED}/v1/state_ids/"))
    assert works(*quiet[:2], quiet[3], quiet[2], quiet[4]) < 5
    assert works(a, alice, room, remote, carol) < 5
    asked = len(remote.seen(path=f"{FED}/v1/"))
    assert asked < 150
    assert not has_event(alice, room.id, i)


def room_build(room, remote, sender, n):
    event = remote.sign(room, room.build(
        sender, "m.room.message", {"msgtype": "m.text", "body": f"made up {n}"},
        prev=[made_up_id(n + 1000)]))
    return pdus.event_id(event, room.version), event


def test_ancestors_that_really_never_end(ministries, room_of):
    """A chain made as it is requested, each event really the parent of the next."""
    a, alice, remote, room, carol = room_of(server=ministries())
    # made from the oldest to the newest, longer than any budget
    state = dict(room.state)
    chain, prev = [], ["$" + "C" * 43]
    for n in range(2600):
        event = remote.sign(room, room.build(
            carol, "m.room.message", {"msgtype": "m.text", "body": f"chain {n}"}, prev=prev))
        prev = [pdus.event_id(event, room.version)]
        chain.append((prev[0], event))
    by_id = {i: n for n, (i, _) in enumerate(chain)}

    def before(request):
        ids = request.query["v"]
        at = by_id[ids[0]]
        pdus_ = [e for _, e in chain[max(0, at - 99) : at + 1]]
        return 200, {"origin": remote.name, "origin_server_ts": 1, "pdus": pdus_[::-1]}

    remote.on("POST", f"{FED}/v1/get_missing_events/", (200, {"events": []}))
    remote.on("GET", f"{FED}/v1/backfill/", before)
    remote.on("GET", f"{FED}/v1/state", 404)
    last, event = chain[-1]
    assert remote.put_transaction(a.name, [event]) == {"pdus": {last: {}}}
    eventually(lambda: remote.seen("GET", f"{FED}/v1/state_ids/"), seconds=60)
    assert len(remote.seen("GET", f"{FED}/v1/backfill/")) < 60
    assert not has_event(alice, room.id, last)
    # once it gets the state, it accepts the fetched events
    listed = list(state.values())
    remote.on("GET", f"{FED}/v1/state_ids/", (200, {"pdu_ids": listed,
                                                    "auth_chain_ids": room.auth_chain(listed)}))
    received(alice, room.id, last, seconds=60)


def test_a_server_that_never_answers_harms_no_other(room_of):
    a, alice, remote, room, carol = room_of()
    quiet = room_of()
    heads = room.heads[:]
    events = [orphan(remote, room, carol, n)[1] for n in range(5)]
    room.heads = heads
    remote.put_transaction(a.name, events)
    remote.link.mute()
    # gaps of other servers are closed meanwhile
    for n in range(3):
        ids = [quiet[2].event(quiet[3], quiet[4], "m.room.message", {"body": "x"})[0]
               for _ in range(3)]
        last = quiet[2].send(quiet[3], quiet[4], "last")
        received(quiet[1], quiet[3].id, last, seconds=10)
        assert set(ids) <= set(history(quiet[1], quiet[3].id))
    remote.link.heal()


def test_slow_drip(room_of):
    a, alice, remote, room, carol = room_of()
    quiet = room_of()
    heads = room.heads[:]
    events = [orphan(remote, room, carol, n)[1] for n in range(3)]
    room.heads = heads
    remote.put_transaction(a.name, events)
    remote.link.drip(200)
    started = time.monotonic()
    assert works(*quiet[:2], quiet[3], quiet[2], quiet[4]) < 5
    own = alice.send(room.id, "as ever")
    assert own in history(alice, room.id) and time.monotonic() - started < 10
    remote.link.heal()


def test_waiting_events_are_bounded(ministries, room_of):
    a, alice, remote, room, carol = room_of(server=ministries())
    for path in ("get_missing_events/", "backfill/", "state", "event"):
        remote.on("GET", f"{FED}/v1/{path}", 404)
        remote.on("POST", f"{FED}/v1/{path}", 404)
    heads = room.heads[:]
    for at in range(0, 700, 50):
        events = [orphan(remote, room, carol, n)[1] for n in range(at, at + 50)]
        remote.put_transaction(a.name, events)
    room.heads = heads
    assert metric(a, "concorde_federation_received_pdus_dropped_total") >= 200
    assert metric(a, "concorde_federation_gaps") <= 1
    works(a, alice, room, remote, carol)


def test_events_that_are_too_large(room_of):
    a, alice, remote, room, carol = room_of()
    heads = room.heads[:]
    i, event = remote.event(room, carol, "m.room.message", {"body": "x" * 66000})
    room.heads = heads
    fine, good = remote.event(room, carol, "m.room.message", {"body": "x" * 60000}, prev=heads)
    reply = remote.put_transaction(a.name, [event, good])
    assert reply["pdus"][fine] == {} and reply["pdus"].get(i) != {}
    assert not has_event(alice, room.id, i) and has_event(alice, room.id, fine)
    body = json.dumps({"origin": remote.name, "pdus": [], "x": "y" * (20 << 20)})
    with contextlib.suppress(httpx.WriteError):  # the server hangs up before the end
        r = remote.client.put(f"https://{a.name}{FED}/v1/send/1", content=body)
        assert r.status_code == 413 and r.json()["errcode"] == "M_TOO_LARGE"
    works(a, alice, room, remote, carol)


def test_too_many_parents_and_deep_nesting(room_of):
    a, alice, remote, room, carol = room_of()
    heads = room.heads[:]
    i, event = remote.event(room, carol, "m.room.message", {"body": "x"},
                            prev=heads + [made_up_id(n) for n in range(20)])
    room.heads = heads
    remote.put_transaction(a.name, [event])
    assert not has_event(alice, room.id, i)
    deep = {}
    for _ in range(150):
        deep = {"a": deep}
    event = remote.sign(room, room.build(carol, "m.room.message", deep, prev=heads))
    remote.put_transaction(a.name, [event], status=400)
    works(a, alice, room, remote, carol)


def test_an_event_that_cites_a_rejected_one(room_of):
    a, alice, remote, room, carol = room_of("11")
    heads, state = room.heads[:], dict(room.state)
    # carol makes herself an administrator, which she may not
    levels = {"users": {carol: 100}}
    bad, event = remote.event(room, carol, "m.room.power_levels", levels, "")
    i, name = remote.event(room, carol, "m.room.name", {"name": "mine"}, "")
    room.heads, room.state = heads, state
    reply = remote.put_transaction(a.name, [event, name])
    assert reply["pdus"][bad].get("error") and reply["pdus"][i].get("error")
    alice.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(room.id)}/state/m.room.name/")
    works(a, alice, room, remote, carol)


def test_state_that_is_made_up(room_of):
    """The state that a server returns for the end of a gap is checked like all events."""
    a, alice, remote, room, carol = room_of("11")
    heads, state = room.heads[:], dict(room.state)
    levels, _ = remote.event(room, carol, "m.room.power_levels", {"users": {carol: 100}}, "")
    forged = {**state, ("m.room.power_levels", ""): levels}
    lost, _ = remote.event(room, carol, "m.room.message", {"body": "lost"})
    last, event = remote.event(room, carol, "m.room.message", {"body": "last"}, state=state)
    room.hidden.add(lost)
    room.state_before[last] = forged
    remote.put_transaction(a.name, [event])
    eventually(lambda: remote.seen("GET", f"{FED}/v1/state_ids/"))
    room.heads, room.state = heads, state
    works(a, alice, room, remote, carol)
    assert alice.state(room.id, "m.room.power_levels")["users"].get(carol) != 100
    alice.send_state(room.id, "m.room.name", {"name": "still mine"})


def test_servers_out_of_the_room_send_nothing(room_of, remotes):
    """A server in the room may relay events of others in it; a server outside may send none."""
    a, alice, remote, room, carol = room_of()
    outsider = remotes()
    mallory = outsider.user("mallory")
    event = pdus.sign(room.build(mallory, "m.room.message", {"body": "x"}), "12", outsider.name,
                      outsider.key, outsider.key_id)
    i = pdus.event_id(event, "12")
    assert outsider.put_transaction(a.name, [event])["pdus"][i].get("error")
    join = pdus.sign(room.build(mallory, "m.room.member", {"membership": "invite"}, mallory), "12",
                     outsider.name, outsider.key, outsider.key_id)
    i = pdus.event_id(join, "12")
    assert outsider.put_transaction(a.name, [join])["pdus"][i].get("error")


def test_many_servers_with_gaps_at_once(two, remotes):
    """Ten servers whose gaps cannot be closed, and one whose gap can."""
    a = two[0]
    alice = a.user("alice")
    room_id = alice.create_room(preset="public_chat")
    bad = [remotes() for _ in range(10)]
    rooms = [r.join(a.name, room_id, r.user("mallory")) for r in bad]
    for r, room in zip(bad, rooms):
        r.on("POST", f"{FED}/v1/get_missing_events/", (200, {"events": []}))
        r.on("GET", f"{FED}/v1/backfill/", lambda request: time.sleep(3) or (200, {"pdus": []}))
        r.on("GET", f"{FED}/v1/state", 404)
        _, event = orphan(r, room, f"@mallory:{r.name}")
        r.put_transaction(a.name, [event])
    good = remotes()
    carol = good.user("carol")
    room = good.join(a.name, alice.create_room(preset="public_chat"), carol)
    ids = [good.event(room, carol, "m.room.message", {"body": "x"})[0] for _ in range(3)]
    last = good.send(room, carol, "last")
    received(alice, room.id, last, seconds=20)
    assert set(ids) <= set(history(alice, room.id))


def test_junk_does_not_hide_a_gap(room_of):
    """More events that can never be completed than are looked at together, and a gap that can."""
    a, alice, remote, room, carol = room_of()
    heads = room.heads[:]
    junk = dict(orphan(remote, room, carol, n) for n in range(130))
    room.heads = heads

    @remote.on("GET", f"{FED}/v1/state_ids/")
    def answer(request):
        return 404 if request.query["event_id"][0] in junk else None

    for at in range(0, 130, 50):
        remote.put_transaction(a.name, list(junk.values())[at : at + 50])
    ids = [remote.event(room, carol, "m.room.message", {"body": "x"})[0] for _ in range(3)]
    last = remote.send(room, carol, "last")
    received(alice, room.id, last, seconds=30)
    listed = set(history(alice, room.id))
    assert set(ids) <= listed and not listed & set(junk)

"""Server-server API, "Retrieving events", "Retrieving event authorisation information" and
"Backfilling and retrieving missing events": the answering side."""

import pytest

import pdus
from federation import received
from remote import FED, q


def v1(path, *args):
    return f"{FED}/v1/" + path.format(*map(q, args))


@pytest.mark.parametrize("version", pdus.VERSIONS)
def test_one_event(room_of, version):
    a, alice, remote, room, carol = room_of(version)
    i = alice.send(room.id, "hello")
    reply = remote.get(a.name, v1("event/{}", i))
    assert reply["origin"] == a.name and reply["origin_server_ts"] > 1e12
    [event] = reply["pdus"]
    assert pdus.event_id(event, version) == i and event["content"]["body"] == "hello"
    assert "unsigned" not in event and remote.check_event(event, version)


def test_events_are_for_servers_in_the_room(room_of, remotes):
    a, alice, remote, room, carol = room_of()
    i, outsider = alice.send(room.id, "hello"), remotes()
    remote.fails(a.name, 404, "M_NOT_FOUND", "GET", v1("event/{}", "$" + "A" * 43))
    remote.fails(a.name, 404, "M_NOT_FOUND", "GET", v1("event/{}", "nonsense"))
    for uri in (v1("event/{}", i), v1("state/{}?event_id={}", room.id, i),
                v1("state_ids/{}?event_id={}", room.id, i), v1("event_auth/{}/{}", room.id, i),
                v1("backfill/{}?limit=5&v={}", room.id, i)):
        outsider.fails(a.name, 403, "M_FORBIDDEN", "GET", uri)
        remote.fails(a.name, 401, "M_UNAUTHORIZED", "GET", uri, sign=False)
    body = {"earliest_events": [], "latest_events": [i]}
    outsider.fails(a.name, 403, "M_FORBIDDEN", "POST", v1("get_missing_events/{}", room.id), body)


def test_unknown_rooms_and_events(room_of):
    a, alice, remote, room, carol = room_of()
    nowhere, nothing = "!" + "A" * 43, "$" + "A" * 43
    i = alice.send(room.id, "x")
    remote.fails(a.name, 404, "M_NOT_FOUND", "GET", v1("state_ids/{}?event_id={}", nowhere, i))
    remote.fails(a.name, 404, "M_NOT_FOUND", "GET", v1("state/{}?event_id={}", room.id, nothing))
    remote.fails(a.name, 404, "M_NOT_FOUND", "GET", v1("state_ids/{}?event_id={}", room.id, nothing))
    remote.fails(a.name, 404, "M_NOT_FOUND", "GET", v1("event_auth/{}/{}", room.id, nothing))
    remote.fails(a.name, 400, "M_MISSING_PARAM", "GET", v1("state_ids/{}", room.id))
    remote.fails(a.name, 400, "M_MISSING_PARAM", "GET", v1("backfill/{}?limit=1", room.id))
    remote.fails(a.name, 400, "M_INVALID_PARAM", "GET", v1("backfill/{}?limit=x&v={}", room.id, i))
    other = alice.create_room(preset="public_chat")
    elsewhere = alice.send(other, "y")
    remote.fails(a.name, 404, "M_NOT_FOUND", "GET", v1("state_ids/{}?event_id={}", room.id, elsewhere))


@pytest.mark.parametrize("version", ["1", "6", "10", "11", "12"])
def test_state_at_events(room_of, version):
    a, alice, remote, room, carol = room_of(version)
    before = alice.send(room.id, "before")
    name = alice.send_state(room.id, "m.room.name", {"name": "new"})
    after = alice.send(room.id, "after")
    at = lambda i: set(remote.get(a.name, v1("state_ids/{}?event_id={}", room.id, i))["pdu_ids"])
    assert name not in at(before) and name not in at(name)  # the state BEFORE the event
    assert at(after) == at(name) | {name}
    ids = remote.get(a.name, v1("state_ids/{}?event_id={}", room.id, after))
    whole = remote.get(a.name, v1("state/{}?event_id={}", room.id, after))
    by_id = lambda events: {pdus.event_id(e, version): e for e in events}
    state, chain = by_id(whole["pdus"]), by_id(whole["auth_chain"])
    assert set(state) == set(ids["pdu_ids"]) and set(chain) == set(ids["auth_chain_ids"])
    assert len(ids["pdu_ids"]) == len(state) and len(ids["auth_chain_ids"]) == len(chain)
    # the chain is complete
    have = {**chain, **state}
    cited = {i for e in have.values() for i in pdus.ids_of(e["auth_events"])}
    assert cited <= set(have) and cited == set(chain)
    assert {(e["type"], e["state_key"]) for e in state.values()} >= {
        ("m.room.create", ""), ("m.room.member", alice.user_id), ("m.room.member", carol)}


def test_the_auth_chain_of_an_event(room_of):
    a, alice, remote, room, carol = room_of("10")
    i = remote.send(room, carol, "hello")
    chain = remote.get(a.name, v1("event_auth/{}/{}", room.id, i))["auth_chain"]
    kinds = {(e["type"], e["state_key"]) for e in chain}
    assert ("m.room.create", "") in kinds and ("m.room.member", carol) in kinds
    ids = {pdus.event_id(e, "10") for e in chain}
    assert i not in ids and len(ids) == len(chain)
    assert all(set(pdus.ids_of(e["auth_events"])) <= ids for e in chain)


def ids_of_reply(reply, key, version="12"):
    return [pdus.event_id(e, version) for e in reply[key]]


def test_backfill(room_of):
    a, alice, remote, room, carol = room_of()
    ids = [alice.send(room.id, f"{n}") for n in range(120)]
    get = lambda **more: ids_of_reply(remote.get(a.name, v1(
        "backfill/{}?", room.id) + "&".join(f"{k}={q(str(v))}" for k, v in more.items())), "pdus")
    assert get(v=ids[9], limit=5) == ids[9:4:-1]
    assert get(v=ids[-1], limit=100) == ids[:19:-1]
    assert get(v=ids[-1], limit=1000) == ids[:19:-1]  # one hundred at most
    everything = get(v=ids[40], limit=100)
    assert everything[:41] == ids[40::-1]
    first = remote.get(a.name, v1("event/{}", everything[-1]))["pdus"][0]
    assert first["type"] == "m.room.create"
    assert get(v="$" + "A" * 43, limit=5) == []
    both = remote.get(a.name, v1("backfill/{}?limit=4&v={}&v={}", room.id, ids[3], ids[10]))
    assert ids_of_reply(both, "pdus")[0] == ids[10]


def test_missing_events(room_of):
    a, alice, remote, room, carol = room_of()
    ids = [alice.send(room.id, f"{n}") for n in range(40)]

    def post(earliest, latest, **more):
        return ids_of_reply(remote.call(
            a.name, "POST", v1("get_missing_events/{}", room.id),
            {"earliest_events": earliest, "latest_events": latest, **more}), "events")

    assert post([ids[3]], [ids[8]]) == ids[4:8]  # oldest first, without both ends
    assert post([ids[0]], [ids[30]]) == ids[20:30]  # ten unless said otherwise
    assert post([ids[0]], [ids[30]], limit=1000) == ids[10:30]  # twenty at most
    assert post([ids[0]], [ids[30]], limit=0) == []
    depth = remote.get(a.name, v1("event/{}", ids[5]))["pdus"][0]["depth"]
    assert post([], [ids[8]], min_depth=depth, limit=20) == ids[5:8]
    assert post([], ["$" + "A" * 43]) == []
    remote.fails(a.name, 400, "M_BAD_JSON", "POST", v1("get_missing_events/{}", room.id),
                 {"earliest_events": [1], "latest_events": []})
    remote.fails(a.name, 400, "M_MISSING_PARAM", "POST", v1("get_missing_events/{}", room.id), {})


def test_events_that_a_server_may_not_see_are_redacted(room_of):
    a, alice, remote, _, carol = room_of()
    room_id = alice.create_room(preset="public_chat", initial_state=[
        {"type": "m.room.history_visibility", "state_key": "",
         "content": {"history_visibility": "joined"}}])
    secret = alice.send(room_id, "a secret")
    room = remote.join(a.name, room_id, carol)
    shown = alice.send(room_id, "for carol too")
    reply = remote.get(a.name, v1("backfill/{}?limit=50&v={}", room_id, shown))
    by_id = {pdus.event_id(e, "12"): e for e in reply["pdus"]}
    assert by_id[shown]["content"]["body"] == "for carol too"
    assert secret not in by_id or by_id[secret]["content"] == {}
    assert "a secret" not in str(reply)
    one = remote.request(a.name, "GET", v1("event/{}", secret))
    assert "a secret" not in one.text
    # a server that has left gets no later events
    remote.send(room, carol, {"membership": "leave"}, "m.room.member", carol)
    later = alice.send(room_id, "without carol")
    remote.fails(a.name, 403, "M_FORBIDDEN", "GET", v1("event/{}", later))
    remote.fails(a.name, 403, "M_FORBIDDEN", "GET", v1("backfill/{}?limit=5&v={}", room_id, later))


def test_a_redacted_event_is_sent_redacted(room_of):
    a, alice, remote, room, carol = room_of()
    i = alice.send(room.id, "oh no")
    alice.redact(room.id, i)
    [event] = remote.get(a.name, v1("event/{}", i))["pdus"]
    assert event["content"] == {} and pdus.event_id(event, "12") == i


def test_rejected_events_are_not_served(room_of):
    a, alice, remote, room, carol = room_of()
    bad, _ = remote.event(room, carol, "m.room.name", {"name": "mine"}, "")
    remote.put_transaction(a.name, [room.events[bad]])
    after = remote.send(room, carol, "after")
    received(alice, room.id, after)
    remote.fails(a.name, 404, "M_NOT_FOUND", "GET", v1("event/{}", bad))
    ids = ids_of_reply(remote.get(a.name, v1("backfill/{}?limit=4&v={}", room.id, after)), "pdus")
    assert ids[0] == after and bad not in ids and len(ids) == 4

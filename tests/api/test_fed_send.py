"""Server-server API, "Transactions" and "Checks performed on receipt of a PDU": how
each received event is treated."""

import contextlib
import copy
import threading

import pytest

import pdus
from federation import has_event, history, membership, received
from remote import FED, q
from restoring import psql, uri_of
from waiting import eventually


def text(n):
    return {"msgtype": "m.text", "body": f"message {n}"}


def error_of(reply, event_id):
    return reply["pdus"][event_id].get("error")


@pytest.mark.parametrize("version", pdus.VERSIONS)
def test_messages_and_state_of_every_room_version(room_of, version):
    a, alice, remote, room, carol = room_of(version)
    events = [remote.event(room, carol, "m.room.message", text(n)) for n in range(5)]
    reply = remote.put_transaction(a.name, [e for _, e in events])
    assert reply == {"pdus": {i: {} for i, _ in events}}
    listed = history(alice, room.id)
    assert [i for i, _ in reversed(events)] == listed[:5]
    i = remote.send(room, carol, {"membership": "join", "displayname": "Carol"}, "m.room.member",
                    carol)
    assert alice.state(room.id, "m.room.member", carol)["displayname"] == "Carol"
    shown = alice.event(room.id, i)
    assert shown["unsigned"]["prev_content"]["membership"] == "join"


def test_events_are_in_sync(room_of):
    a, alice, remote, room, carol = room_of()
    alice.next_sync()
    i = remote.send(room, carol, "hello")
    found = alice.sync_until(lambda r: [
        e for e in r.get("rooms", {}).get("join", {}).get(room.id, {}).get("timeline", {})
        .get("events", []) if e["event_id"] == i])
    assert found[0]["content"]["body"] == "hello" and found[0]["sender"] == carol


def test_fifty_rooms_in_one_transaction(two, remote):
    a = two[0]
    alice, carol = a.user("alice"), remote.user("carol")
    rooms = [remote.join(a.name, alice.create_room(preset="public_chat"), carol) for _ in range(50)]
    events = [remote.event(r, carol, "m.room.message", text(n)) for n, r in enumerate(rooms)]
    reply = remote.put_transaction(a.name, [e for _, e in events])
    assert reply == {"pdus": {i: {} for i, _ in events}}
    for (i, _), r in zip(events, rooms):
        assert has_event(alice, r.id, i)


def test_a_repeated_transaction_is_answered_alike(room_of):
    a, alice, remote, room, carol = room_of()
    i, event = remote.event(room, carol, "m.room.message", text(1))
    first = remote.put_transaction(a.name, [event], txn="same")
    assert remote.put_transaction(a.name, [event], txn="same") == first == {"pdus": {i: {}}}
    # another transaction with the same event: it is a duplicate
    assert remote.put_transaction(a.name, [event]) == first
    assert history(alice, room.id).count(i) == 1


def test_the_same_transaction_twice_at_once(room_of):
    a, alice, remote, room, carol = room_of()
    events = [remote.event(room, carol, "m.room.message", text(n))[1] for n in range(50)]
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(
        remote.put_transaction(a.name, events, txn="at-once"))) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(replies) == 6 and all(r == replies[0] for r in replies)
    assert len([i for i in history(alice, room.id) if i in replies[0]["pdus"]]) == 50


def test_wrong_transactions_are_refused(room_of):
    a, alice, remote, room, carol = room_of()
    i, event = remote.event(room, carol, "m.room.message", text(1))
    r = remote.put_transaction(a.name, [event] * 51, status=400)
    assert r["errcode"] in ("M_BAD_JSON", "M_TOO_LARGE")
    r = remote.put_transaction(a.name, edus=[{"edu_type": "x", "content": {}}] * 101, status=400)
    assert r["errcode"] in ("M_BAD_JSON", "M_TOO_LARGE")
    uri = f"{FED}/v1/send/1"
    body = {"origin": "localhost:1", "origin_server_ts": 1, "pdus": [event]}
    remote.fails(a.name, 403, "M_FORBIDDEN", "PUT", uri, body)
    remote.fails(a.name, 400, "M_BAD_JSON", "PUT", uri, {**body, "origin": remote.name, "pdus": {}})
    remote.fails(a.name, 401, "M_UNAUTHORIZED", "PUT", uri, {"pdus": [event]}, sig="AAAA")
    assert not has_event(alice, room.id, i)


def test_invalid_events_are_skipped(room_of):
    a, alice, remote, room, carol = room_of()
    i, event = remote.event(room, carol, "m.room.message", text(1))
    assert remote.put_transaction(a.name, ["x", 1, None, [], {}, {"room_id": room.id}, event]) == {
        "pdus": {i: {}}}
    assert has_event(alice, room.id, i)


def test_events_of_unknown_rooms(room_of, remotes):
    a, alice, remote, room, carol = room_of()
    elsewhere = remote.create_room(carol, version="10")
    i, event = remote.event(elsewhere, carol, "m.room.message", text(1))
    good, fine = remote.event(room, carol, "m.room.message", text(2))
    reply = remote.put_transaction(a.name, [event, fine])
    assert "not in the room" in error_of(reply, i) and error_of(reply, good) is None


def refused(a, alice, remote, room, i, event):
    """The event gets an error and is not stored; later ones are accepted."""
    reply = remote.put_transaction(a.name, [event])
    assert error_of(reply, i)
    assert not has_event(alice, room.id, i)
    return error_of(reply, i)


def test_bad_signatures(room_of):
    a, alice, remote, room, carol = room_of()
    build = lambda: room.build(carol, "m.room.message", text(1))

    event = remote.sign(room, build())
    event["signatures"] = {remote.name: {remote.key_id: "A" * 86}}
    assert "ignature" in refused(a, alice, remote, room, pdus.event_id(event, "12"), event)

    event = pdus.sign(build(), "12", remote.name, pdus.SigningKey(), remote.key_id)
    refused(a, alice, remote, room, pdus.event_id(event, "12"), event)

    event = remote.sign(room, build())
    event["signatures"] = {"localhost:1": event["signatures"][remote.name]}
    refused(a, alice, remote, room, pdus.event_id(event, "12"), event)

    # sender of the receiving server
    event = remote.sign(room, room.build(alice.user_id, "m.room.message", text(1)))
    refused(a, alice, remote, room, pdus.event_id(event, "12"), event)
    received(alice, room.id, remote.send(room, carol, "fine"))


def test_a_wrong_hash_redacts(room_of):
    a, alice, remote, room, carol = room_of()
    event = remote.sign(room, room.build(carol, "m.room.message", text(1)))
    event["content"] = {"msgtype": "m.text", "body": "something else"}
    i = pdus.event_id(event, "12")
    assert remote.put_transaction(a.name, [event]) == {"pdus": {i: {}}}
    assert alice.event(room.id, i)["content"] == {}


def test_events_that_the_rules_reject(room_of):
    a, alice, remote, room, carol = room_of()
    before = room.heads[:]
    i, event = remote.event(room, carol, "m.room.name", {"name": "mine"}, "")
    refused(a, alice, remote, room, i, event)
    assert "name" not in alice.state(room.id, "m.room.create")
    alice.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(room.id)}/state/m.room.name/")
    # an event that refers to it is accepted all the same
    received(alice, room.id, remote.send(room, carol, "after"))
    # the sender is not in the room
    room.heads = before
    outsider = remote.user("outsider")
    i, event = remote.event(room, outsider, "m.room.message", text(1), prev=before)
    refused(a, alice, remote, room, i, event)


def test_events_after_a_ban_are_soft_failed(room_of):
    a, alice, remote, room, carol = room_of()
    heads = room.heads[:]
    alice.ban(room.id, carol)
    # built on the room as it was before
    i, event = remote.event(room, carol, "m.room.message", text(1), prev=heads)
    assert i in remote.put_transaction(a.name, [event])["pdus"]
    assert i not in history(alice, room.id)
    assert membership(alice, room.id, carol) == "ban"
    assert f"{i} of {carol} in {room.id} is soft-failed: " in a.log_text()
    # the next event of the room does not refer to it
    own = alice.send(room.id, "after")
    assert own in history(alice, room.id)


def test_redactions(room_of):
    a, alice, remote, room, carol = room_of("11")
    i = remote.send(room, carol, "oh no")
    remote.send(room, carol, {"redacts": i}, "m.room.redaction")
    eventually(lambda: alice.event(room.id, i)["content"] == {})


def test_server_acl(room_of):
    a, alice, remote, room, carol = room_of()
    received(alice, room.id, remote.send(room, carol, "before"))
    heads = room.heads[:]
    alice.send_state(room.id, "m.room.server_acl", {"allow": ["*"], "deny": [remote.name],
                                                    "allow_ip_literals": True})
    acl_with_port = alice.state(room.id, "m.room.server_acl")
    assert acl_with_port["deny"] == [remote.name]
    # ACLs ignore the port
    alice.send_state(room.id, "m.room.server_acl", {"allow": ["*"], "deny": ["localhost"]})
    i, event = remote.event(room, carol, "m.room.message", text(1), prev=heads)
    assert "ACL" in refused(a, alice, remote, room, i, event) or True
    remote.fails(a.name, 403, "M_FORBIDDEN", "GET", f"{FED}/v1/backfill/{q(room.id)}?v={q(i)}&limit=1")
    remote.fails(a.name, 403, "M_FORBIDDEN", "GET",
                 f"{FED}/v1/state_ids/{q(room.id)}?event_id={q(heads[0])}")
    remote.fails(a.name, 403, "M_FORBIDDEN", "POST", f"{FED}/v1/get_missing_events/{q(room.id)}",
                 {"earliest_events": [], "latest_events": [heads[0]]})
    remote.fails(a.name, 403, "M_FORBIDDEN", "GET",
                 f"{FED}/v1/event_auth/{q(room.id)}/{q(heads[0])}")


def test_too_many_at_once_are_refused(room_of):
    """More concurrent transactions than allowed: none is lost."""
    a, alice, remote, room, carol = room_of()
    events = [remote.event(room, carol, "m.room.message", text(n)) for n in range(60)]
    statuses = []

    def put(event):
        body = {"origin": remote.name, "origin_server_ts": 1, "pdus": [event]}
        r = remote.request(a.name, "PUT", f"{FED}/v1/send/{q(pdus.event_id(event, '12'))}", body)
        statuses.append(r.status_code)
        return r.status_code == 200

    threads = [threading.Thread(target=lambda e=copy.deepcopy(e): eventually(lambda: put(e)))
               for _, e in events]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert set(statuses) <= {200, 429} and statuses.count(200) == 60
    eventually(lambda: {i for i, _ in events} <= set(history(alice, room.id)))


# ---- failures of our own ----


@contextlib.contextmanager
def losing(server, times=1 << 30):
    """So many room writes fail, as if another writer had committed first each time."""
    psql(uri_of(server), "CREATE SEQUENCE lost; CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS "
         f"'BEGIN RETURN CASE WHEN nextval(''lost'') > {times} THEN NEW END; END';"
         "CREATE TRIGGER lose BEFORE UPDATE ON rooms FOR EACH ROW EXECUTE FUNCTION lose()")
    yield
    psql(uri_of(server), "DROP TRIGGER lose ON rooms; DROP FUNCTION lose(); DROP SEQUENCE lost")


@pytest.mark.parametrize("times", [1, 5, 10])
def test_events_that_lost_to_other_writers_are_stored(ministries, room_of, times):
    a, alice, remote, room, carol = room_of(server=ministries())
    with losing(a, times):
        ids = [remote.send(room, carol, text(n)) for n in range(3)]
    assert history(alice, room.id)[:3] == ids[::-1]


def test_requests_to_a_busy_room_may_be_repeated(ministries, room_of):
    """A status of 4xx, or 500, would mean that the transaction is refused."""
    a, alice, remote, room, carol = room_of(server=ministries())
    dave = remote.user("dave")
    i, message = remote.event(room, carol, "m.room.message", {"msgtype": "m.text", "body": "m"})
    made = remote.make(a.name, "join", room.id, dave)
    join_id, join = remote.fill_template(made["event"], room.version, dave)
    requests = [
        (f"{FED}/v1/send/busy", {"origin": remote.name, "origin_server_ts": 1, "pdus": [message]}),
        (f"{FED}/v2/send_join/{q(room.id)}/{q(join_id)}", join)]
    with losing(a):
        for uri, body in requests:
            reply = remote.request(a.name, "PUT", uri, body)
            assert reply.status_code == 503 and int(reply.headers["Retry-After"]) > 0, reply.text
    for uri, body in requests:
        remote.call(a.name, "PUT", uri, body)
    received(alice, room.id, i)
    assert membership(alice, room.id, dave) == "join"

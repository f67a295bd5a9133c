"""Client-server API, "Sending events to a room" and "Redactions"."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from client import Client, q

VERSIONS = [str(v) for v in range(1, 13)]


def path(room, type="m.room.message", txn="1"):
    return f"/rooms/{q(room)}/send/{q(type)}/{q(txn)}"


@pytest.fixture
def room(alice):
    return alice.create_room()


def sent(client, room, event):
    """An event as /messages returns it."""
    chunk = client.messages(room, limit=50)["chunk"]
    return next(e for e in chunk if e["event_id"] == event)


def test_send(alice, room):
    event = alice.send(room, "hello")
    assert event.startswith("$")


def test_a_transaction_is_sent_once(alice, room):
    first = alice.send(room, "hello", txn="one")
    assert alice.send(room, "hello", txn="one") == first
    assert alice.send(room, "something else", txn="one") == first
    assert alice.send(room, "hello", txn="two") != first


def test_a_transaction_belongs_to_its_path(alice, room):
    other = alice.create_room()
    events = {alice.send(room, "hello", txn="one"), alice.send(other, "hello", txn="one"),
              alice.send(room, {"x": 1}, type="org.example", txn="one")}
    assert len(events) == 3


def test_a_transaction_belongs_to_its_device(alice, room):
    phone = alice.another_device()
    assert phone.send(room, "hello", txn="one") != alice.send(room, "hello", txn="one")
    phone.close()


def test_a_transaction_sent_many_times_at_once(alice, room):
    with ThreadPoolExecutor(8) as pool:
        events = list(pool.map(lambda _: alice.send(room, "hello", txn="storm"), range(24)))
    assert len(set(events)) == 1


def test_many_send_at_once(alice, room, register):
    crowd = [register("crowd") for _ in range(6)]
    for c in crowd:
        alice.invite(room, c)
        c.join(room)
    with ThreadPoolExecutor(6) as pool:
        events = list(pool.map(lambda n: crowd[n % 6].send(room, str(n)), range(120)))
    assert len(set(events)) == 120


@pytest.mark.parametrize(
    "raw, errcode",
    [(b"", "M_NOT_JSON"), (b"{", "M_NOT_JSON"), (b"[]", "M_BAD_JSON"), (b'"text"', "M_BAD_JSON"),
     (b"{} {}", "M_NOT_JSON"), (b'{"a":\xff}', "M_NOT_JSON"), (b'{"a":1.5}', "M_BAD_JSON"),
     (b'{"a":1,"a":2}', "M_BAD_JSON"), (b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", "M_NOT_JSON"),
     (b'{"a":9007199254740992}', "M_BAD_JSON"), (b'{"a":"\\ud800"}', "M_NOT_JSON")],
)
def test_bodies_that_are_none(alice, room, raw, errcode):
    r = alice.request("PUT", path(room), content=raw)
    assert (r.status_code, r.json()["errcode"]) == (400, errcode)


def test_sizes(alice, room):
    alice.send(room, {"body": "x" * 60000})
    alice.fails(413, "M_TOO_LARGE", "PUT", path(room, txn="big"), {"body": "x" * 65536})
    alice.fails(413, "M_TOO_LARGE", "PUT", path(room, "t" * 256), {})
    alice.fails(400, "M_INVALID_PARAM", "PUT", path(room, txn="t" * 513), {})


def test_sending_needs_membership_and_power(alice, bob, room):
    bob.fails(403, "M_FORBIDDEN", "PUT", path(room), {})
    bob.fails(403, "M_FORBIDDEN", "PUT", path("!nowhere:test.example"), {})
    alice.invite(room, bob)
    bob.fails(403, "M_FORBIDDEN", "PUT", path(room), {})
    bob.join(room)
    bob.send(room, "now")
    alice.send_state(room, "m.room.power_levels", {"events_default": 10, "users": {}})
    bob.fails(403, "M_FORBIDDEN", "PUT", path(room, txn="later"), {})


def test_sending_needs_a_user(anonymous, room):
    anonymous.fails(401, "M_MISSING_TOKEN", "PUT", path(room), {})


def test_texts_of_every_kind(alice, room):
    body = 'quotes " and \\ back, \u0000 nul, \u2028, emoji \U0001f600, äöü'
    event = alice.send(room, {"msgtype": "m.text", "body": body})
    assert sent(alice, room, event)["content"]["body"] == body


BACKGROUND = ("search_", "erasures_forgetting", "erasures_list", "profiles_page", "profiles_set_names")


def statements(client):
    """How often each SQL statement has run, without those of the indexing thread."""
    counts = {}
    for line in client.request("GET", "/metrics").text.splitlines():
        if line.startswith("synapse_storage_transaction_time_count") and not any(b in line for b in BACKGROUND):
            name, value = line.rsplit(" ", 1)
            counts[name] = float(value)
    return counts


def test_sending_asks_the_database_for_nothing_but_the_commit(fresh_server, register):
    # A sender is online, which is written in the background now and then.
    alice = register("alice", on=fresh_server(presence__enabled="false"))
    room = alice.create_room()
    alice.send(room, "warm", txn="0")
    alice.send(room, {"ciphertext": "x"}, type="m.room.encrypted", txn="0")
    before = statements(alice)
    for n in range(1, 6):
        alice.send(room, f"message {n}", txn=str(n))
        alice.send(room, {"ciphertext": "x"}, type="m.room.encrypted", txn=str(n))
        alice.send(room, f"message {n}", txn=str(n))  # repeated
    after = statements(alice)
    assert before and before == after


# ---- redactions ----


@pytest.mark.parametrize("version", VERSIONS)
def test_redaction(alice, bob, version):
    room = alice.create_room(room_version=version, invite=[bob.user_id])
    bob.join(room)
    event = bob.send(room, "secret")
    redaction = alice.redact(room, event, reason="not here")
    gone = sent(alice, room, event)
    assert gone["content"] == {}
    because = gone["unsigned"]["redacted_because"]
    assert because["event_id"] == redaction
    assert because["content"]["reason"] == "not here"
    assert sent(alice, room, redaction)["redacts"] == event
    assert (sent(alice, room, redaction)["content"].get("redacts") == event) or int(version) < 11


@pytest.mark.parametrize("version", ["9", "10", "11", "12"])
def test_redaction_sent_like_a_message(alice, version):
    room = alice.create_room(room_version=version)
    event = alice.send(room, "secret")
    alice.send(room, {"redacts": event, "reason": "mine"}, type="m.room.redaction")
    assert sent(alice, room, event)["content"] == {}
    alice.fails(400, "M_BAD_JSON", "PUT", path(room, "m.room.redaction", "x"), {"reason": "what?"})
    alice.fails(400, "M_BAD_JSON", "PUT", path(room, "m.room.redaction", "y"), {"redacts": 1})


def test_redaction_is_sent_once(alice, room):
    event = alice.send(room, "secret")
    assert alice.redact(room, event, txn="r") == alice.redact(room, event, txn="r")


def test_redacting_needs_power_or_ones_own_event(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    hers, his = alice.send(room, "hers"), bob.send(room, "his")
    bob.redact(room, his)
    bob.fails(403, "M_FORBIDDEN", "PUT", f"/rooms/{q(room)}/redact/{q(hers)}/1")
    assert sent(alice, room, hers)["content"]["body"] == "hers"
    elsewhere = alice.send(alice.create_room(), "elsewhere")
    for missing, status, code in (("$" + "x" * 43, 404, "M_NOT_FOUND"), (elsewhere, 400, "M_UNKNOWN")):
        bob.fails(status, code, "PUT", f"/rooms/{q(room)}/redact/{q(missing)}/2")
        alice.fails(status, code, "PUT", f"/rooms/{q(room)}/redact/{q(missing)}/2")


def test_redacted_state(alice, room):
    name = alice.send_state(room, "m.room.name", {"name": "secret"})
    alice.redact(room, name)
    assert alice.state(room, "m.room.name") == {}


def test_the_create_event_cannot_be_redacted(alice, room):
    create = next(e for e in alice.state(room) if e["type"] == "m.room.create")["event_id"]
    alice.fails(403, "M_FORBIDDEN", "PUT", f"/rooms/{q(room)}/redact/{q(create)}/1")


def test_redaction_without_a_body(alice, room):
    event = alice.send(room, "secret")
    r = alice.request("PUT", f"/rooms/{q(room)}/redact/{q(event)}/1")
    assert r.status_code == 200, r.text


def test_redacting_with_a_wrong_reason(alice, room):
    event = alice.send(room, "x")
    alice.fails(400, "M_BAD_JSON", "PUT", f"/rooms/{q(room)}/redact/{q(event)}/1", {"reason": 1})


def test_acknowledged_means_kept(fresh_server, register):
    """After a power cut every acknowledged event is there, and transactions are still known."""
    server = fresh_server()
    alice = register("alice", on=server)
    room = alice.create_room()
    events = [alice.send(room, f"{n}", txn=f"t{n}") for n in range(20)]
    server.kill()
    server.start()
    again = Client(server, alice.user_id, alice.token)
    assert [again.send(room, "again", txn=f"t{n}") for n in range(20)] == events
    again.close()


def test_sending_without_a_transaction_id(alice, bob, room):
    """As older bots do."""
    body = {"msgtype": "m.text", "body": "hello"}
    sent = [alice.post(f"/rooms/{q(room)}/send/m.room.message", body)["event_id"] for _ in range(2)]
    assert len(set(sent)) == 2
    assert alice.event(room, sent[0])["content"] == body
    assert "transaction_id" not in alice.event(room, sent[0]).get("unsigned", {})
    alice.post(f"/rooms/{q(room)}/redact/{q(sent[0])}", {"reason": "a slip"})
    assert alice.event(room, sent[0])["content"] == {}
    bob.fails(403, "M_FORBIDDEN", "POST", f"/rooms/{q(room)}/send/m.room.message", body)

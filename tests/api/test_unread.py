"""Unread counts in /sync: receipts, threads, mentions, own push rules."""

import json

import pytest

from client import Client, q

THREADS = json.dumps({"room": {"timeline": {"unread_thread_notifications": True}}})


@pytest.fixture
def room(alice, bob):
    r = alice.create_room(preset="public_chat")
    bob.join(r)
    return r


def counts(client, room, **params):
    """(notifications, highlights) as a new initial sync sees them."""
    c = client.sync(**params)["rooms"]["join"][room]["unread_notifications"]
    return c["notification_count"], c["highlight_count"]


def by_thread(client, room):
    j = client.sync(filter=THREADS)["rooms"]["join"][room]
    u = {"main": j["unread_notifications"], **j["unread_thread_notifications"]}
    return {k: (v["notification_count"], v["highlight_count"]) for k, v in u.items()}


def reply(root, body="in thread", **more):
    return {"msgtype": "m.text", "body": body,
            "m.relates_to": {"rel_type": "m.thread", "event_id": root}, **more}


def mention(*users, **more):
    return {"msgtype": "m.text", "body": "hey", "m.mentions": {"user_ids": list(users), **more}}


def test_messages_count_from_the_join_on(alice, room, register):
    for i in range(3):
        alice.send(room, f"before {i}")
    carol = register("carol")
    carol.join(room)
    assert counts(carol, room) == (0, 0)
    alice.send(room, "after")
    assert counts(carol, room) == (1, 0)


def test_a_new_name_is_not_a_new_join(alice, bob, room):
    alice.send(room, "one")
    bob.put(f"/profile/{q(bob.user_id)}/displayname", {"displayname": "Robert"})
    assert counts(bob, room) == (1, 0)


def test_coming_back_starts_anew(alice, bob, room):
    alice.send(room, "one")
    assert counts(bob, room) == (1, 0)
    bob.leave(room)
    alice.send(room, "two")
    bob.join(room)
    assert counts(bob, room) == (0, 0)


def test_own_messages_do_not_count(alice, bob, room):
    alice.send(room, "mine")
    assert counts(alice, room) == (0, 0)
    assert counts(bob, room) == (1, 0)


def test_sending_reads_what_was_before(alice, bob, room):
    alice.send(room, "one")
    assert counts(bob, room) == (1, 0)
    bob.send(room, "answer")
    assert counts(bob, room) == (0, 0)
    assert counts(alice, room) == (1, 0)


def test_the_count_is_sent_with_the_event(alice, bob, room):
    bob.next_sync()
    for n in (1, 2, 3):
        alice.send(room, f"message {n}")
        j = bob.sync_until(lambda r: r["rooms"]["join"].get(room))
        assert j["unread_notifications"]["notification_count"] == n


def test_a_receipt_in_the_middle(alice, bob, room):
    events = [alice.send(room, f"m{i}") for i in range(5)]
    assert counts(bob, room) == (5, 0)
    bob.read(room, events[2])
    assert counts(bob, room) == (2, 0)
    bob.read(room, events[0])  # never backwards
    assert counts(bob, room) == (2, 0)
    bob.read(room, events[4])
    assert counts(bob, room) == (0, 0)


def test_the_receipt_further_ahead_counts(alice, bob, room):
    events = [alice.send(room, f"m{i}") for i in range(4)]
    bob.read(room, events[2], kind="m.read.private")
    assert counts(bob, room) == (1, 0)
    bob.read(room, events[1], kind="m.read")
    assert counts(bob, room) == (1, 0)
    bob.read(room, events[3], kind="m.read")
    assert counts(bob, room) == (0, 0)


def test_a_receipt_far_back_is_looked_up(alice, bob, room):
    """It is older than the events that are kept in memory."""
    first = alice.send(room, "first")
    for i in range(50):
        alice.send(room, f"m{i}")
    assert counts(bob, room) == (51, 0)
    bob.read(room, first)
    assert counts(bob, room) == (50, 0)


def test_events_that_never_notify(alice, bob, room):
    e = alice.send(room, "one")
    bob.read(room, e)
    alice.send(room, {"msgtype": "m.notice", "body": "beep"})
    alice.send_state(room, "m.room.topic", {"topic": "quiet"})
    alice.send(room, {"m.relates_to": {"rel_type": "m.annotation", "event_id": e, "key": "x"}},
               type="m.reaction")
    alice.send(room, {"msgtype": "m.text", "body": "* two",
                      "m.new_content": {"msgtype": "m.text", "body": "two"},
                      "m.relates_to": {"rel_type": "m.replace", "event_id": e}})
    assert counts(bob, room) == (0, 0)
    alice.send(room, {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x"},
               type="m.room.encrypted")
    assert counts(bob, room) == (1, 0)


def test_mentions_highlight(alice, bob, room, register):
    carol = register("carol")
    carol.join(room)
    counts(bob, room), counts(carol, room)  # both are in the cache
    alice.send(room, mention(bob.user_id))
    assert counts(bob, room) == (1, 1)
    assert counts(carol, room) == (1, 0)
    alice.send(room, mention(bob.user_id, carol.user_id, alice.user_id, "@unknown:test.example"))
    assert counts(bob, room) == (2, 2)
    assert counts(carol, room) == (2, 1)
    assert counts(alice, room) == (0, 0)


def test_many_mentions(alice, bob, room):
    alice.send(room, mention(bob.user_id, *[f"@unknown{i}:test.example" for i in range(50)]))
    assert counts(bob, room) == (1, 1)


def test_a_mention_in_a_notice_is_still_quiet(alice, bob, room):
    alice.send(room, {**mention(bob.user_id), "msgtype": "m.notice"})
    assert counts(bob, room) == (0, 0)


def test_names_in_the_body(alice, bob, room):
    local = bob.user_id[1:].split(":")[0]
    alice.send(room, f"is {local} there?")
    assert counts(bob, room) == (1, 1)
    alice.send(room, f"is x{local}x there?")
    assert counts(bob, room) == (2, 1)
    bob.put(f"/profile/{q(bob.user_id)}/displayname", {"displayname": "Böb the Builder"})
    alice.send(room, "Hello BÖB THE builder!")
    assert counts(bob, room) == (3, 2)
    alice.send(room, "bob, the builder")
    assert counts(bob, room) == (4, 2)
    # With m.mentions, names do not matter.
    alice.send(room, {"msgtype": "m.text", "body": local, "m.mentions": {}})
    assert counts(bob, room) == (5, 2)


def test_an_old_name_is_forgotten(alice, bob, room):
    bob.put(f"/profile/{q(bob.user_id)}/displayname", {"displayname": "Zarathustra"})
    alice.send(room, "also sprach zarathustra")
    assert counts(bob, room) == (1, 1)
    bob.put(f"/profile/{q(bob.user_id)}/displayname", {"displayname": "Friedrich"})
    alice.send(room, "also sprach zarathustra")
    assert counts(bob, room) == (2, 1)


def test_a_room_mention_needs_power(alice, bob, room):
    alice.send(room, {"msgtype": "m.text", "body": "all!", "m.mentions": {"room": True}})
    assert counts(bob, room) == (1, 1)
    alice.send(room, "hello @room")
    assert counts(bob, room) == (2, 2)
    bob.send(room, {"msgtype": "m.text", "body": "all!", "m.mentions": {"room": True}})
    bob.send(room, "hello @room")
    assert counts(alice, room) == (2, 0)


@pytest.mark.parametrize("name, said, times", [
    ("L\u00e9on", ["leon?", "L\u00c9ON!", "Le\u0301on", "hey \u201cL\u00e9on\u201d\u2026 \U0001f980"], 4),
    ("Le\u0301on", ["L\u00e9on"], 1),
    ("leon", ["L\u00e9on"], 1),
    ("S\u00f8ren B\u00e6k", ["soren baek \u2764\ufe0f", "S\u00d8REN B\u00c6K"], 2),
    ("L\u00e9on", ["Napol\u00e9on", "L\u00e9onie", "l\u00e9 on"], 0),
    ("\u674e\u96f7", ["\u4f60\u597d\u674e\u96f7"], 1),
])
def test_names_highlight_without_their_accents(alice, bob, room, name, said, times):
    bob.put(f"/profile/{q(bob.user_id)}/displayname", {"displayname": name})
    for text in said:
        alice.send(room, text)
    assert counts(bob, room)[1] == times


def test_a_localpart_highlights_beside_other_letters(alice, bob, room):
    """The rule matches the body as it is."""
    localpart = bob.user_id[1:].split(":")[0]
    alice.send(room, f"\u00e9{localpart}\u00e9")
    assert counts(bob, room)[1] == 1


def test_a_tombstone_highlights(alice, bob, room):
    alice.send_state(room, "m.room.tombstone", {"body": "moved", "replacement_room": "!x:y"})
    assert counts(bob, room) == (1, 1)


def mute(client, room):
    client.put(f"/pushrules/global/override/{q(room)}",
               {"conditions": [{"kind": "event_match", "key": "room_id", "pattern": room}],
                "actions": []})


def test_a_muted_room_does_not_count(alice, bob, room, register):
    carol = register("carol")
    carol.join(room)
    alice.send(room, "before")
    mute(bob, room)
    assert counts(bob, room) == (1, 0)  # counted events keep counting
    alice.send(room, "after")
    alice.send(room, mention(bob.user_id))
    assert counts(bob, room) == (1, 0)
    assert counts(carol, room) == (3, 0)
    bob.delete(f"/pushrules/global/override/{q(room)}")
    alice.send(room, "again")
    assert counts(bob, room) == (2, 0)


def test_a_room_rule_for_mentions_only(alice, bob, room):
    bob.put(f"/pushrules/global/room/{q(room)}", {"actions": []})
    alice.send(room, "nothing")
    assert counts(bob, room) == (0, 0)
    alice.send(room, mention(bob.user_id))
    assert counts(bob, room) == (1, 1)


def test_rules_about_elsewhere_change_nothing(alice, bob, room):
    bob.put(f"/pushrules/global/room/{q('!elsewhere:test.example')}", {"actions": []})
    bob.put(f"/pushrules/global/sender/{q('@carol:test.example')}", {"actions": []})
    alice.send(room, "one")
    assert counts(bob, room) == (1, 0)


def test_a_keyword_and_a_sender(alice, bob, room):
    bob.put("/pushrules/global/content/cake",
            {"pattern": "cake", "actions": ["notify", {"set_tweak": "highlight"}]})
    alice.send(room, "there is cake")
    assert counts(bob, room) == (1, 1)
    bob.put(f"/pushrules/global/sender/{q(alice.user_id)}", {"actions": []})
    alice.send(room, "there is none")
    assert counts(bob, room) == (1, 1)


def test_rules_made_before_joining_count(alice, register, room):
    carol = register("carol")
    carol.put("/pushrules/global/override/.m.rule.master/enabled", {"enabled": True})
    carol.join(room)
    alice.send(room, "one")
    assert counts(carol, room) == (0, 0)


def test_notices_for_users_who_enabled_them(alice, bob, room):
    bob.put("/pushrules/global/override/.m.rule.suppress_notices/enabled", {"enabled": False})
    alice.send(room, {"msgtype": "m.notice", "body": "beep"})
    assert counts(bob, room) == (1, 0)


def test_threads_are_counted_apart(alice, bob, room):
    root = alice.send(room, "root")
    assert by_thread(bob, room) == {"main": (1, 0)}
    alice.send(room, reply(root))
    alice.send(room, reply(root, **{"m.mentions": {"user_ids": [bob.user_id]}}))
    alice.send(room, "main again")
    assert by_thread(bob, room) == {"main": (2, 0), root: (2, 1)}
    assert counts(bob, room) == (4, 1)


def test_threaded_receipts(alice, bob, room):
    root, other = alice.send(room, "root"), alice.send(room, "other root")
    first = alice.send(room, reply(root))
    alice.send(room, reply(root))
    in_other = alice.send(room, reply(other))
    last = alice.send(room, "last of main")
    assert by_thread(bob, room) == {"main": (3, 0), root: (2, 0), other: (1, 0)}
    bob.read(room, last, thread_id="main")
    assert by_thread(bob, room) == {"main": (0, 0), root: (2, 0), other: (1, 0)}
    bob.read(room, first, thread_id=root)
    assert by_thread(bob, room) == {"main": (0, 0), root: (1, 0), other: (1, 0)}
    bob.read(room, in_other, thread_id=other)
    assert by_thread(bob, room) == {"main": (0, 0), root: (1, 0)}
    bob.read(room, last)  # unthreaded: everything
    assert by_thread(bob, room) == {"main": (0, 0)}


def test_an_unthreaded_receipt_reads_up_to_itself(alice, bob, room):
    root = alice.send(room, "root")
    middle = alice.send(room, reply(root))
    alice.send(room, reply(root))
    alice.send(room, "end")
    bob.read(room, middle)
    assert by_thread(bob, room) == {"main": (1, 0), root: (1, 0)}


def test_sending_in_a_thread_reads_that_thread(alice, bob, room):
    root = alice.send(room, "root")
    alice.send(room, reply(root))
    bob.send(room, reply(root))
    assert by_thread(bob, room) == {"main": (1, 0)}
    assert by_thread(alice, room) == {"main": (0, 0), root: (1, 0)}


def test_the_reply_of_an_incremental_sync_has_thread_counts(alice, bob, room):
    root = alice.send(room, "root")
    since = bob.sync(filter=THREADS)["next_batch"]
    alice.send(room, reply(root))
    j = bob.sync(since=since, filter=THREADS)["rooms"]["join"][room]
    assert j["unread_notifications"]["notification_count"] == 1
    assert j["unread_thread_notifications"] == {
        root: {"notification_count": 1, "highlight_count": 0}}


def test_redaction_keeps_the_count(alice, bob, room):
    e = alice.send(room, "oops")
    alice.redact(room, e)
    assert counts(bob, room) == (1, 0)


def play(alice, bob, carol, room):
    """A long mixed history; the caller compares the unread counts of the others."""
    mute_other = {"actions": ["notify", {"set_tweak": "highlight"}], "pattern": "cake"}
    carol.put("/pushrules/global/content/cake", mute_other)
    roots = [alice.send(room, f"root {i}") for i in range(3)]
    seen = []
    for i in range(60):
        who = (alice, alice, alice, bob, carol)[i % 5]
        if i % 3 == 0:
            seen.append(who.send(room, reply(roots[i % 2], f"cake {i}" if i % 4 == 0 else "x")))
        elif i % 7 == 0:
            seen.append(who.send(room, mention(bob.user_id, carol.user_id)))
        else:
            seen.append(who.send(room, f"plain {i} cake" if i % 6 == 1 else f"plain {i}"))
        if i == 20:
            bob.read(room, seen[10])
        if i == 41:
            carol.read(room, seen[37], kind="m.read.private")
        if i % 10 == 9:
            yield
    bob.read(room, seen[-2])
    yield


def test_memory_and_database_agree(fresh_server):
    """Counts that followed the log equal those that a restarted server computes."""
    server = fresh_server()
    alice, bob, carol = (Client(server).register(n) for n in ("alice", "bob", "carol"))
    room = alice.create_room(preset="public_chat")
    bob.join(room), carol.join(room)
    people = (alice, bob, carol)
    for _ in play(alice, bob, carol, room):
        kept = [(counts(p, room), by_thread(p, room)) for p in people]
        server.stop()
        server.start()
        for p in people:
            p.close()
            p.__init__(server, p.user_id, p.token, p.device_id, p.password)
        assert [(counts(p, room), by_thread(p, room)) for p in people] == kept
    assert kept[1] != kept[2]


# ---- ignored users ----------------------------------------------------------------------------


def ignore(client, *users):
    client.put(f"/user/{q(client.user_id)}/account_data/m.ignored_user_list",
               {"ignored_users": {u if isinstance(u, str) else u.user_id: {} for u in users}})


def test_messages_of_ignored_users_are_not_unread(alice, bob, room):
    root = bob.send(room, "root")
    ignore(bob, alice)
    assert counts(bob, room) == (0, 0)
    alice.send(room, mention(bob.user_id))
    alice.send(room, reply(root))
    alice.send(room, reply(root, **{"m.mentions": {"user_ids": [bob.user_id]}}))
    assert by_thread(bob, room) == {"main": (0, 0)}
    assert counts(bob, room) == (0, 0)


def test_ignoring_and_unignoring_apply_to_earlier_events(alice, bob, room, register):
    carol = register("carol")
    carol.join(room)
    root = bob.send(room, "root")
    alice.send(room, mention(bob.user_id))
    alice.send(room, reply(root))
    carol.send(room, "from another user")
    assert by_thread(bob, room) == {"main": (2, 1), root: (1, 0)}
    ignore(bob, alice)
    assert by_thread(bob, room) == {"main": (1, 0)}
    alice.send(room, "still here")
    ignore(bob)
    assert by_thread(bob, room) == {"main": (3, 1), root: (1, 0)}


def test_counts_of_users_who_ignore_others_follow_every_message(alice, bob, room, register):
    carol = register("carol")
    carol.join(room)
    ignore(bob, alice)
    bob.next_sync()
    for i in range(40):  # more than are kept in memory of a room
        alice.send(room, f"unheard {i}")
    carol.send(room, "heard")
    got = bob.next_sync()["rooms"]["join"][room]["unread_notifications"]
    assert got == {"notification_count": 1, "highlight_count": 0}
    alice.send(room, mention(bob.user_id))
    last = carol.send(room, mention(bob.user_id))
    got = bob.next_sync()["rooms"]["join"][room]["unread_notifications"]
    assert got == {"notification_count": 2, "highlight_count": 1}
    alice.send(room, "after it")
    bob.post(f"/rooms/{q(room)}/receipt/m.read/{q(last)}", {})
    assert counts(bob, room) == (0, 0)


def test_a_user_ignored_before_they_were_known(alice, bob, room, register, server):
    server_name = bob.user_id.split(":", 1)[1]
    ignore(bob, f"@not-yet-known:{server_name}")
    assert counts(bob, room) == (0, 0)
    zoe = Client(server).register("not-yet-known")
    zoe.join(room)
    zoe.send(room, "hello")
    assert counts(bob, room) == (0, 0)


def test_state_of_ignored_users_counts_as_it_is_shown(alice, bob, room):
    ignore(bob, alice)
    rule = {"actions": ["notify"], "conditions": [
        {"kind": "event_match", "key": "type", "pattern": "m.room.topic"}]}
    bob.put("/pushrules/global/override/topics", rule)
    alice.put(f"/rooms/{q(room)}/state/m.room.topic", {"topic": "shown"})
    alice.send(room, "not shown")
    assert counts(bob, room) == (1, 0)


def test_ignored_users_are_not_in_notifications(alice, bob, room, register):
    carol = register("carol")
    carol.join(room)
    heard = carol.send(room, "heard")
    for i in range(3):
        alice.send(room, f"unheard {i}")
    ignore(bob, alice)
    got = bob.get("/notifications", params={"limit": 1})["notifications"]
    assert [n["event"]["event_id"] for n in got] == [heard]

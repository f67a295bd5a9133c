"""A story in steps: two users of Element X, by its core, through this server. Each step depends on those before
it."""

import pytest

from device import bodies, one


def ids(rooms):
    return [r["id"] for r in rooms]


def is_verified(identity):
    return identity == {"crossSigningReady": True, "deviceVerified": "Verified", "recovery": "Enabled",
                        "backup": "Enabled"}


def test_two_users_sign_in_and_set_up_recovery(story):
    story.alice = story.rust("alice").sign_in("register", "alice", "alice's password")
    story.bob = story.rust("bob").sign_in("register", "bob", "bob's password")
    assert story.alice.user == "@alice:test.example"
    for device in story.alice, story.bob:
        device.recovery_key = device.bootstrap()
        device.waits_until("identity", is_verified, "its own identity")


def test_rooms_are_listed_by_their_latest_events(story):
    names = "Agora", "Bourse", "Cabinet"
    story.plain = [story.alice.create_room(name, [], True) for name in names]
    latest = [story.alice.send(room, "opened") for room in story.plain]
    expected = list(zip(story.plain[::-1], latest[::-1]))
    order = lambda rooms: [(r["id"], r["latest"]) for r in rooms]
    story.alice.waits_until("rooms", lambda r: order(r) == expected, "the newest room first")
    sent = story.alice.send(story.plain[0], "good morning")
    expected = [(story.plain[0], sent), *expected[:2]]
    rooms = story.alice.waits_until("rooms", lambda r: order(r) == expected, "the first room first")
    assert [r["name"] for r in rooms] == ["Agora", "Cabinet", "Bourse"]
    assert not any(r["encrypted"] for r in rooms)


def test_an_invite_is_listed_and_accepted(story):
    story.room = story.alice.create_room("Treaty", [story.bob.user])
    shown = lambda rooms: [(r["id"], r["name"], r["membership"]) for r in rooms]
    story.bob.waits_until("rooms", lambda r: shown(r) == [(story.room, "Treaty", "Invited")], "the invite")
    story.bob.join(story.room)
    story.bob.waits_until("rooms", lambda r: r[0]["membership"] == "Joined" and r[0]["encrypted"],
                          "the room as joined")
    for device in story.alice, story.bob:
        device.sees(story.room, lambda v: len(v["members"]) == 2, "both in the room")


def test_encrypted_messages_go_both_ways(story):
    for sender, receiver in (story.alice, story.bob), (story.bob, story.alice):
        body = f"good morning from {sender.label}"
        sent = sender.send(story.room, body)
        seen = one(receiver.sees(story.room, lambda v: body in bodies(v), body), sent)
        assert seen["encrypted"] and seen["sender"] == sender.user
    story.first = sent


def test_edits_reactions_and_redactions_are_seen(story):
    sent = story.alice.send(story.room, "we sgin on Monday")
    story.bob.sees(story.room, lambda v: one(v, sent), "the message")
    story.alice.edit(story.room, sent, "we sign on Monday")
    seen = one(story.bob.sees(story.room, lambda v: one(v, sent).get("edited"), "the edit"), sent)
    assert seen["body"] == "we sign on Monday"
    for device in story.alice, story.bob:
        device.react(story.room, sent, "👍")
    for device in story.alice, story.bob:
        device.sees(story.room, lambda v: one(v, sent).get("reactions") == {"👍": 2}, "two thumbs")
    story.bob.react(story.room, sent, "👍")
    story.alice.sees(story.room, lambda v: one(v, sent).get("reactions") == {"👍": 1}, "one less")

    secret = story.bob.send(story.room, "my password is hunter2")
    story.alice.sees(story.room, lambda v: one(v, secret), "the message")
    story.bob.redact(story.room, secret)
    view = story.alice.sees(story.room, lambda v: one(v, secret).get("redacted"), "the redaction")
    assert "my password is hunter2" not in bodies(view)


def test_typing_is_seen_and_ends(story):
    story.alice.typing(story.room, True)
    story.bob.sees(story.room, lambda v: v["typing"] == [story.alice.user], "Alice typing")
    story.alice.typing(story.room, False)
    story.bob.sees(story.room, lambda v: v["typing"] == [], "Alice no longer typing")


def test_receipts_are_seen_and_counts_follow_them(story):
    read = story.alice.send(story.room, "read up to here")
    story.bob.sees(story.room, lambda v: one(v, read), "the message")
    story.bob.mark_read(story.room, read)
    story.alice.sees(story.room, lambda v: v["readers"].get(story.bob.user) == read, "Bob's receipt")
    story.bob.sees(story.room, lambda v: v["unread"] == 0, "that all is read")
    for n in 1, 2:
        story.alice.send(story.room, f"unread {n}")
    last = story.alice.mention(story.room, "Bob, look", story.bob.user)
    story.bob.sees(story.room, lambda v: (v["unread"], v["highlights"]) == (3, 1)
                   and v["counted"]["notification_count"] == 3, "three unread messages")
    story.bob.mark_read(story.room, last)
    story.bob.sees(story.room, lambda v: (v["unread"], v["highlights"]) == (0, 0), "that all is read")


def test_a_push_is_resolved_while_the_application_runs(story):
    event = story.alice.mention(story.room, "Bob, wake up", story.bob.user)
    shown = story.bob.notification(story.room, event)
    assert shown == {
        "type": "m.room.message", "body": "Bob, wake up", "sender": story.alice.user, "senderName": "alice",
        "room": "Treaty", "members": 2, "encrypted": True, "noisy": True, "mention": True}


def test_a_push_is_resolved_when_it_starts_the_application(story):
    """The key of the message comes with it: a new session, since a member has joined."""
    story.bob.end_process()
    story.carol = story.js("carol").sign_in("register", "carol", "carol's password")
    story.alice.invite(story.room, story.carol.user)
    story.carol.join(story.room)
    story.alice.sees(story.room, lambda v: len(v["members"]) == 3, "all three")
    event = story.alice.send(story.room, "while you slept")
    invited = story.alice.create_room("Urgent", [story.bob.user])
    story.bob.start_again("wake")
    shown = story.bob.notification(story.room, event)
    assert (shown["body"], shown["room"], shown["members"]) == ("while you slept", "Treaty", 3), shown
    shown = story.bob.notification(invited, "$invite")
    assert (shown["type"], shown["room"], shown["sender"]) == ("invite", "Urgent", story.alice.user), shown
    story.bob.end_process()
    story.bob.start_again("restore")
    story.bob.sees(story.room, lambda v: "while you slept" in bodies(v), "the message")
    story.bob.waits_until("rooms", lambda r: invited in ids(r), "the invite")
    story.bob.leave(invited)
    story.bob.waits_until("rooms", lambda r: ids(r) == [story.room], "that it is declined")


def test_matrix_js_sdk_and_the_phones_read_each_other(story):
    sent = story.carol.send(story.room, "hello from /sync")
    for device in story.alice, story.bob:
        seen = one(device.sees(story.room, lambda v: "hello from /sync" in bodies(v), "Carol's"), sent)
        assert seen["encrypted"]
    story.bob.send(story.room, "hello, Carol")
    story.carol.sees(story.room, lambda v: "hello, Carol" in bodies(v), "Bob's")


@pytest.mark.seconds(420)
def test_bob_catches_up_with_500_messages_sent_while_he_was_offline(story):
    story.carol.send(story.room, "mind the gap")
    story.bob.sees(story.room, lambda v: "mind the gap" in bodies(v), "the last message before")
    story.bob.link.cut()
    story.bob.waits_until("syncState", lambda s: s == "Offline", "that it is offline", seconds=60)
    sent = [f"message {n} of 500" for n in range(1, 501)]
    story.carol.send_many(story.room, sent, seconds=150)
    story.bob.link.heal()
    story.bob.waits_until("syncState", lambda s: s == "Running", "that it is online", seconds=60)
    view = story.bob.sees(story.room, lambda v: sent[-1] in bodies(v), "the last of the messages")
    assert view["counted"]["notification_count"] >= len(sent)
    story.bob.scroll_back(story.room, story.first, seconds=180)
    view = story.bob.sees(story.room, lambda v: not any("failure" in e for e in v["timeline"]), "all decrypted")
    seen = bodies(view)
    assert seen[seen.index("mind the gap") + 1:] == sent


@pytest.mark.seconds(420)
def test_a_second_phone_recovers_and_reads_to_the_beginning(story):
    story.tablet = story.rust("tablet").sign_in("login", "bob", "bob's password")
    story.tablet.waits_until("rooms", lambda r: ids(r) == [story.room], "the room")
    story.tablet.recover(story.bob.recovery_key)
    story.tablet.waits_until("identity", is_verified, "the identity")
    story.tablet.scroll_back(story.room, None, seconds=180)
    view = story.tablet.sees(story.room, lambda v: v.get("start")
                             and not any("failure" in e for e in v["timeline"]), "all decrypted")
    story.bob.scroll_back(story.room, None, seconds=180)
    expected = story.bob.view(story.room)
    assert expected["timeline"][0]["type"] == "m.room.create"
    assert [e["id"] for e in view["timeline"]] == [e["id"] for e in expected["timeline"]]
    assert bodies(view) == bodies(expected) and "good morning from alice" in bodies(view)


def test_messages_flow_again_when_the_server_and_a_phone_were_restarted(story):
    story.bob.end_process()
    missed = story.alice.send(story.room, "before the restart")
    story.server.settings["listen"] = story.server.url.removeprefix("http://")
    for node in story.server.nodes:  # of several, the others answer meanwhile
        node.restart()
    story.bob.start_again("restore")
    story.bob.sees(story.room, lambda v: one(v, missed) and "before the restart" in bodies(v), "what it missed")
    for sender in story.alice, story.bob, story.tablet, story.carol:
        story.alice.waits_until("syncState", lambda s: s == "Running", "that it is online")
        body = f"{sender.label} after the restart"
        sender.send(story.room, body)
        for device in story.alice, story.bob, story.tablet, story.carol:
            device.sees(story.room, lambda v: body in bodies(v), body)


def test_a_room_that_is_left_is_no_longer_listed(story):
    story.alice.leave(story.plain[0])
    story.alice.waits_until("rooms", lambda r: ids(r) and story.plain[0] not in ids(r), "that it is gone")
    story.bob.leave(story.room)
    for device in story.bob, story.tablet:
        device.sees(story.room, lambda v: v["membership"] == "Left", "that Bob left")
    story.alice.sees(story.room, lambda v: story.bob.user not in v["members"], "that Bob left")


def test_the_server_knew_all_that_the_clients_asked(story):
    assert story.unexpected_requests() == set()


def test_the_server_logged_nothing_wrong(story):
    assert story.complaints() == []

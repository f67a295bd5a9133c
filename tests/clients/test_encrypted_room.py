"""A story in steps: matrix-js-sdk and matrix-nio, end to end encrypted, through this server. Each step
depends on those before it."""

import pytest

from device import bodies, one


def test_alice_and_bob_register(story):
    story.alice = story.js("alice").sign_in("register", "alice", "alice's password")
    story.bob = story.js("bob").sign_in("register", "bob", "bob's password")
    assert story.alice.user == "@alice:test.example"
    assert story.bob.device


def test_they_set_up_cross_signing_secret_storage_and_key_backup(story):
    story.recovery_key = story.alice.bootstrap()
    story.bob_recovery_key = story.bob.bootstrap()
    for device in story.alice, story.bob:
        identity = device.identity()
        assert identity["crossSigningReady"] and identity["secretStorageReady"], identity
        assert identity["backupVersion"] and identity["deviceVerified"], identity


def test_alice_creates_an_encrypted_room_and_bob_joins(story):
    story.room = story.alice.create_room("Treaty", [story.bob.user])
    view = story.bob.sees(story.room, lambda v: v["membership"] == "invite", "the invite")
    assert view["name"] == "Treaty"
    story.bob.join(story.room)
    for device in story.alice, story.bob:
        device.sees(story.room, lambda v: len(v["members"]) == 2, "both in the room")


def test_they_exchange_encrypted_messages(story):
    first = story.alice.send(story.room, "bonjour, Bob")
    seen = one(story.bob.sees(story.room, lambda v: "bonjour, Bob" in bodies(v), "Alice's"), first)
    assert seen["encrypted"] and seen["sender"] == story.alice.user
    story.first = first
    second = story.bob.send(story.room, "good day, Alice")
    seen = one(story.alice.sees(story.room, lambda v: one(v, second) and "good day, Alice" in bodies(v),
                                "Bob's"), second)
    assert seen["encrypted"] and seen["sender"] == story.bob.user


def verify_by_emoji(one_side, other_side):
    """Both have a request: they accept, compare the emoji, and confirm."""
    other_side.accept_verification(one_side.user)
    one_side.start_emoji()
    other_side.follow_emoji()
    shown = one_side.emoji()
    assert len(shown) == 7 and shown == other_side.emoji()
    ends = [d.begin("confirmEmoji") for d in (one_side, other_side)]
    for device, end in zip((one_side, other_side), ends):
        device.end(end)


def test_they_verify_each_other_by_emoji(story):
    assert not story.alice.verified(story.bob.user)
    story.alice.request_verification(story.bob.user, story.room)
    verify_by_emoji(story.alice, story.bob)
    for device, other in (story.alice, story.bob), (story.bob, story.alice):
        device.waits_until("verified", lambda v: v, "the other as verified", other.user)


def test_the_others_see_an_edit(story):
    sent = story.alice.send(story.room, "we sgin on Monday")
    story.bob.sees(story.room, lambda v: one(v, sent), "the message")
    story.alice.edit(story.room, sent, "we sign on Monday")
    seen = one(story.bob.sees(story.room, lambda v: one(v, sent).get("edited"), "the edit"), sent)
    assert seen["body"] == "we sign on Monday"
    story.edited = sent


def test_the_others_see_a_reaction(story):
    story.bob.react(story.room, story.edited, "👍")
    story.alice.react(story.room, story.edited, "👍")
    for device in story.alice, story.bob:
        device.sees(story.room, lambda v: one(v, story.edited).get("reactions") == {"👍": 2},
                    "two thumbs")


def test_the_others_see_a_redaction(story):
    sent = story.bob.send(story.room, "my password is hunter2")
    story.alice.sees(story.room, lambda v: "my password is hunter2" in bodies(v), "the message")
    story.bob.redact(story.room, sent)
    view = story.alice.sees(story.room, lambda v: one(v, sent).get("redacted"), "the redaction")
    assert "my password is hunter2" not in bodies(view)
    story.redacted = sent


def test_typing_is_seen_and_ends(story):
    story.alice.typing(story.room, True)
    story.bob.sees(story.room, lambda v: v["typing"] == [story.alice.user], "Alice typing")
    story.alice.typing(story.room, False)
    story.bob.sees(story.room, lambda v: v["typing"] == [], "Alice no longer typing")


def test_receipts_are_seen_and_unread_counts_follow_them(story):
    before = story.alice.send(story.room, "read up to here")
    story.bob.sees(story.room, lambda v: "read up to here" in bodies(v), "the message")
    story.bob.mark_read(story.room, before)
    story.alice.sees(story.room, lambda v: v["readers"][story.bob.user] == before, "Bob's receipt")
    story.bob.sees(story.room, lambda v: v["unread"] == 0, "that all is read")

    for n in 1, 2, 3:
        last = story.alice.send(story.room, f"unread {n}")
    view = story.bob.sees(story.room, lambda v: v["unread"] == 3, "three unread messages")
    assert view["highlights"] == 0
    last = story.alice.mention(story.room, "Bob, look", story.bob.user)
    story.bob.sees(story.room, lambda v: (v["unread"], v["highlights"]) == (4, 1), "the mention")

    story.bob.mark_read(story.room, last)
    story.bob.sees(story.room, lambda v: (v["unread"], v["highlights"]) == (0, 0), "that all is read")
    story.alice.sees(story.room, lambda v: v["readers"][story.bob.user] == last, "Bob's receipt")
    assert story.alice.view(story.room)["unread"] == 0, "one's own messages are never unread"


def test_threads_are_seen_and_counted_apart(story):
    root = story.bob.send(story.room, "who brings the pens?")
    story.alice.sees(story.room, lambda v: one(v, root), "the root")
    story.alice.send(story.room, "I do", root)
    last = story.alice.send(story.room, "blue ones", root)
    replies = lambda v: [e.get("body") for e in v["threads"].get(root, [])]
    # The client itself does not count the replies that it sees before it knows the thread.
    unread = lambda v: v["counted"]["threads"].get(root, {}).get("notification_count", 0)
    view = story.bob.sees(
        story.room, lambda v: replies(v) == ["I do", "blue ones"] and unread(v) == 2,
        "two unread replies in the thread")
    assert view["unread"] == 0, "replies in threads do not count for the main timeline"
    assert not {"I do", "blue ones"} & set(bodies(view))
    story.bob.mark_read(story.room, last)
    story.bob.sees(story.room, lambda v: unread(v) == 0, "that the thread is read")
    story.thread = root


TEXT = "Article 1. " + "All parties shall encrypt. ✍ " * 3000


def test_an_encrypted_file_arrives(story):
    story.file = story.alice.send_file(story.room, "treaty.txt", TEXT)
    story.bob.sees(story.room, lambda v: "treaty.txt" in bodies(v), "the file's message")
    assert story.bob.read_file(story.room, story.file) == TEXT


def test_alice_verifies_her_second_device_by_emoji(story):
    story.tablet = story.js("tablet").sign_in("login", "alice", "alice's password")
    story.tablet.request_own_verification()
    verify_by_emoji(story.tablet, story.alice)
    story.tablet.waits_until("identity", lambda i: i["deviceVerified"] and i["crossSigningReady"]
                             and i["backupVersion"], "the secrets from the first device")


def test_every_device_reads_messages_of_others(story):
    story.bob.send(story.room, "for both of your devices")
    for device in story.alice, story.tablet:
        device.sees(story.room, lambda v: "for both of your devices" in bodies(v), "Bob's message")
    story.tablet.send(story.room, "from the tablet")
    for device in story.alice, story.bob:
        device.sees(story.room, lambda v: "from the tablet" in bodies(v), "the tablet's message")


def test_matrix_nio_joins_and_talks_with_them(story):
    story.carol = story.nio("carol").sign_in("register", "carol", "carol's password")
    story.alice.invite(story.room, story.carol.user)
    story.carol.join(story.room)
    for device in story.alice, story.bob, story.carol:
        device.sees(story.room, lambda v: len(v["members"]) == 3, "three in the room")
    story.alice.send(story.room, "welcome, Carol")
    story.bob.send(story.room, "hello, Carol")
    for body in "welcome, Carol", "hello, Carol":
        view = story.carol.sees(story.room, lambda v: body in bodies(v), body)
        assert next(e for e in view["timeline"] if e.get("body") == body)["encrypted"]
    story.carol.send(story.room, "hello from libolm")
    for device in story.alice, story.bob, story.tablet:
        view = device.sees(story.room, lambda v: "hello from libolm" in bodies(v), "Carol's message")
        assert next(e for e in view["timeline"] if e.get("body") == "hello from libolm")["encrypted"]


def test_matrix_nio_cannot_read_messages_from_before_its_join(story):
    assert "welcome, Carol" in bodies(story.carol.view(story.room))
    assert "from the tablet" not in bodies(story.carol.view(story.room))


def test_matrix_nio_and_the_others_see_each_other_type_and_read(story):
    last = story.bob.send(story.room, "anyone there?")
    story.carol.sees(story.room, lambda v: "anyone there?" in bodies(v), "Bob's message")
    story.carol.typing(story.room, True)
    story.bob.sees(story.room, lambda v: v["typing"] == [story.carol.user], "Carol typing")
    story.carol.typing(story.room, False)
    story.carol.mark_read(story.room, last)
    story.bob.sees(story.room, lambda v: v["readers"][story.carol.user] == last, "Carol's receipt")
    story.bob.typing(story.room, True)
    story.carol.sees(story.room, lambda v: v["typing"] == [story.bob.user], "Bob typing")
    story.bob.typing(story.room, False)


def test_files_go_between_matrix_nio_and_matrix_js_sdk(story):
    sent = story.carol.send_file(story.room, "annex.txt", TEXT)
    story.bob.sees(story.room, lambda v: "annex.txt" in bodies(v), "the file's message")
    assert story.bob.read_file(story.room, sent) == TEXT
    sent = story.bob.send_file(story.room, "protocol.txt", TEXT)
    story.carol.sees(story.room, lambda v: "protocol.txt" in bodies(v), "the file's message")
    assert story.carol.read_file(story.room, sent) == TEXT


def test_the_key_backup_holds_every_key(story):
    story.alice.waits_until("backedUp", lambda b: b["count"] >= b["keys"] > 0, "all keys backed up")


def test_a_third_device_reads_the_history_with_the_recovery_key(story):
    story.third = story.js("third").sign_in("login", "alice", "alice's password")
    result = story.third.recover(story.recovery_key)
    assert result["imported"] == result["total"] > 0, result
    identity = story.third.identity()
    assert identity["deviceVerified"] and identity["backupVersion"], identity

    assert story.third.scroll_back_to(story.room, story.first)["found"]
    view = story.third.sees(
        story.room, lambda v: not any("failure" in e for e in v["timeline"]), "all decrypted")
    expected = bodies(story.alice.view(story.room))
    assert bodies(view) == expected[expected.index("bonjour, Bob"):]
    assert one(view, story.edited)["body"] == "we sign on Monday"
    assert one(view, story.edited)["reactions"] == {"👍": 2}
    assert one(view, story.redacted)["redacted"]
    assert story.third.read_file(story.room, story.file) == TEXT


def test_the_third_device_sees_the_thread(story):
    view = story.third.sees(story.room, lambda v: story.thread in v["threads"]
                            and len(v["threads"][story.thread]) == 2, "the thread")
    assert [e["body"] for e in view["threads"][story.thread]] == ["I do", "blue ones"]


@pytest.mark.seconds(170)
def test_bob_catches_up_with_500_messages_sent_while_he_was_away(story):
    last_read = story.alice.send(story.room, "mind the gap")
    story.bob.sees(story.room, lambda v: "mind the gap" in bodies(v), "the last message before")
    story.bob.mark_read(story.room, last_read)
    story.bob.sees(story.room, lambda v: v["unread"] == 0, "that all is read")
    story.bob.pull_cable()
    sent = [f"message {n} of 500" for n in range(1, 501)]
    story.alice.send_many(story.room, sent, seconds=120)
    story.bob.plug_cable()

    view = story.bob.sees(story.room, lambda v: sent[-1] in bodies(v), "the last of the messages")
    assert view["counted"]["notification_count"] == 500
    scrolled = story.bob.scroll_back_to(story.room, last_read)
    assert scrolled["found"] and scrolled["requests"] > 1, scrolled
    view = story.bob.sees(story.room, lambda v: not any("failure" in e for e in v["timeline"]),
                          "all decrypted")
    seen = bodies(view)
    assert seen[seen.index("mind the gap") + 1:] == sent


def test_matrix_nio_read_all_500(story):
    sent = [f"message {n} of 500" for n in range(1, 501)]
    view = story.carol.sees(story.room, lambda v: sent[-1] in bodies(v), "the last one")
    assert [b for b in bodies(view) if b and b.endswith("of 500")] == sent


def test_messages_flow_again_when_the_server_was_restarted(story):
    story.server.settings["listen"] = story.server.url.removeprefix("http://")
    for node in story.server.nodes:  # of several, the others answer meanwhile
        node.restart()
    for sender in story.alice, story.bob, story.carol:
        body = f"{sender.label} after the restart"
        sender.send(story.room, body)
        for device in story.alice, story.bob, story.tablet, story.third, story.carol:
            device.sees(story.room, lambda v: body in bodies(v), body)


def test_the_others_learn_that_a_device_signed_out(story):
    gone = story.tablet.device
    story.tablet.log_out()
    story.bob.waits_until("devices", lambda d: gone not in d, "the device gone", story.alice.user)
    story.bob.send(story.room, "the tablet is gone")
    story.alice.sees(story.room, lambda v: "the tablet is gone" in bodies(v), "the message")
    story.devices.remove(story.tablet)
    story.tablet.close()


def test_a_dehydrated_device_receives_while_no_device_is_signed_in(story):
    story.bob.dehydrate()
    story.alice.waits_until("devices", lambda d: len(d) == 2, "two devices", story.bob.user)
    story.bob.log_out()
    story.alice.waits_until("devices", lambda d: len(d) == 1, "one device", story.bob.user)
    sent = story.alice.send(story.room, "while you were signed out")
    story.devices.remove(story.bob)
    story.bob.close()

    story.bob = story.js("bob-again").sign_in("login", "bob", "bob's password")
    story.bob.sees(story.room, lambda v: "failure" in one(v, sent), "what it cannot read yet")
    story.bob.recover(story.bob_recovery_key)
    assert story.bob.rehydrate() > 0
    story.bob.sees(story.room, lambda v: "while you were signed out" in bodies(v), "the message")


def test_the_others_learn_that_an_identity_is_new(story):
    assert story.alice.verified(story.bob.user)
    story.bob.reset_encryption()
    story.alice.waits_until("unverified", lambda u: u, "Bob's new identity", story.bob.user)


def test_the_server_knew_all_that_the_clients_asked(story):
    assert story.unexpected_requests() == set()


def test_the_server_logged_nothing_wrong(story):
    assert story.complaints() == []

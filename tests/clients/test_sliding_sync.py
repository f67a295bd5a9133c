"""A story in steps: matrix-js-sdk with sliding sync (SlidingSyncSdk), beside one with /sync. Each step depends on
those before it."""

from device import bodies, one


def test_one_registers_with_sliding_sync_and_one_without(story):
    story.alice = story.js("alice").sign_in("register", "alice", "alice's password", False, True)
    story.bob = story.js("bob").sign_in("register", "bob", "bob's password")
    story.alice.bootstrap()


def test_an_invite_is_seen_and_accepted(story):
    story.room = story.bob.create_room("Treaty", [story.alice.user])
    view = story.alice.sees(story.room, lambda v: v["membership"] == "invite", "the invite")
    assert view["name"] == "Treaty"
    story.alice.join(story.room)
    story.alice.open(story.room)
    for device in story.alice, story.bob:
        device.sees(story.room, lambda v: v["membership"] == "join" and len(v["members"]) == 2, "both in the room")


def test_encrypted_messages_go_both_ways(story):
    for sender, receiver in (story.alice, story.bob), (story.bob, story.alice):
        body = f"good morning from {sender.label}"
        sent = sender.send(story.room, body)
        seen = one(receiver.sees(story.room, lambda v: one(v, sent) and body in bodies(v), body), sent)
        assert seen["encrypted"] and seen["sender"] == sender.user


def test_edits_reactions_and_redactions_are_seen(story):
    sent = story.bob.send(story.room, "we sgin on Monday")
    story.alice.sees(story.room, lambda v: one(v, sent), "the message")
    story.bob.edit(story.room, sent, "we sign on Monday")
    seen = one(story.alice.sees(story.room, lambda v: one(v, sent).get("edited"), "the edit"), sent)
    assert seen["body"] == "we sign on Monday"
    for device in story.alice, story.bob:
        device.react(story.room, sent, "👍")
    for device in story.alice, story.bob:
        device.sees(story.room, lambda v: one(v, sent).get("reactions") == {"👍": 2}, "two thumbs")
    story.bob.redact(story.room, sent)
    story.alice.sees(story.room, lambda v: one(v, sent).get("redacted"), "the redaction")


def test_typing_is_seen_and_ends(story):
    story.bob.typing(story.room, True)
    story.alice.sees(story.room, lambda v: v["typing"] == [story.bob.user], "Bob typing")
    story.bob.typing(story.room, False)
    story.alice.sees(story.room, lambda v: v["typing"] == [], "Bob no longer typing")


def test_receipts_are_seen_and_counts_follow_them(story):
    read = story.alice.send(story.room, "read up to here")
    story.bob.sees(story.room, lambda v: one(v, read), "the message")
    story.bob.mark_read(story.room, read)
    story.alice.sees(story.room, lambda v: v["readers"][story.bob.user] == read, "Bob's receipt")
    story.alice.mark_read(story.room, read)
    counted = lambda n: lambda v: v["counted"]["notification_count"] == n
    for n in 1, 2:
        last = story.bob.send(story.room, f"unread {n}")
    story.alice.sees(story.room, counted(2), "two unread messages")
    story.alice.mark_read(story.room, last)
    story.bob.sees(story.room, lambda v: v["readers"][story.alice.user] == last, "Alice's receipt")
    story.bob.send(story.room, "unread 3")
    story.alice.sees(story.room, counted(1), "one unread message")


def test_another_device_reads_a_room_to_its_beginning(story):
    agora = story.bob.sdk("createRoom", {"preset": "private_chat", "name": "Agora", "invite": [story.alice.user]})
    story.agora = agora["room_id"]
    first = story.bob.send(story.agora, "message 1")
    story.bob.send_many(story.agora, [f"message {n}" for n in range(2, 120)], seconds=60)
    story.bob.send(story.agora, "message 120")
    story.alice.join(story.agora)
    story.tablet = story.js("tablet").sign_in("login", "alice", "alice's password", False, True)
    story.tablet.sees(story.agora, lambda v: v["name"] == "Agora" and v["membership"] == "join", "the room")
    story.tablet.open(story.agora)
    story.tablet.sees(story.agora, lambda v: len(bodies(v)) == 19, "a page")  # and Alice's join
    assert story.tablet.scroll_back_to(story.agora, first)["found"]
    assert bodies(story.tablet.view(story.agora)) == [f"message {n}" for n in range(1, 121)]


def test_messages_flow_again_when_the_server_was_restarted(story):
    story.server.settings["listen"] = story.server.url.removeprefix("http://")
    for node in story.server.nodes:  # of several, the others answer meanwhile
        node.restart()
    for sender in story.alice, story.bob:
        body = f"{sender.label} after the restart"
        sender.send(story.room, body)
        for device in story.alice, story.bob:
            device.sees(story.room, lambda v: body in bodies(v), body)


def test_the_server_knew_all_that_the_clients_asked(story):
    assert story.unexpected_requests() == set()


def test_the_server_logged_nothing_wrong(story):
    assert story.complaints() == []

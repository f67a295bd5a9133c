"""A story in steps: matrix-js-sdk and matrix-nio, end to end encrypted, through this server. Each step
builds on those before it."""

import pytest


def bodies(view):
    """The messages that a client shows, in its order."""
    return [e.get("body") for e in view["timeline"] if e["type"] == "m.room.message"]


def one(view, event_id):
    return next((e for e in view["timeline"] if e["id"] == event_id), None)


def test_alice_and_bob_register(story):
    story.alice = story.js("alice").sign_in("register", "alice", "alice's password")
    story.bob = story.js("bob").sign_in("register", "bob", "bob's password")
    assert story.alice.user == "@alice:test.example"
    assert story.bob.device


def test_they_set_up_cross_signing_secret_storage_and_key_backup(story):
    story.recovery_key = story.alice.bootstrap()
    story.bob.bootstrap()
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

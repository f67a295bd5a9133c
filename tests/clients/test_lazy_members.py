"""A story in steps: matrix-js-sdk as Element runs it, which loads the members of an encrypted room
lazily, is offline while some leave and others join. It encrypts for the current members."""

from device import bodies, one

MESSAGES = 30  # more than a /sync returns


def test_three_meet_in_an_encrypted_room(story):
    for name in "alice", "bob", "carol":
        setattr(story, name, story.js(name).sign_in("register", name, f"{name}'s password", True))
    story.room = story.alice.create_room("Treaty", [story.bob.user, story.carol.user])
    for device in story.bob, story.carol:
        device.sees(story.room, lambda v: v["membership"] == "invite", "the invite")
        device.join(story.room)
    story.alice.sees(story.room, lambda v: len(v["members"]) == 3, "all three")
    sent = story.alice.send(story.room, "to all three")
    for device in story.bob, story.carol:
        device.sees(story.room, lambda v: one(v, sent) and "to all three" in bodies(v), "the text")
    assert set(story.alice.encrypts_to(story.room)) == {
        d.user for d in (story.alice, story.bob, story.carol)}


def test_members_who_left_in_a_gap_get_no_keys(story):
    story.alice.pull_cable()
    story.bob.sdk("leave", story.room)
    for n in range(MESSAGES):
        last = story.carol.send(story.room, f"message {n}")
    story.alice.plug_cable()
    story.alice.sees(story.room, lambda v: one(v, last), "the last message")
    assert set(story.alice.encrypts_to(story.room)) == {story.alice.user, story.carol.user}


def test_a_rejoin_in_a_gap_with_another_device_can_read(story):
    story.alice.pull_cable()
    story.carol.sdk("invite", story.room, story.bob.user)
    story.bob.sees(story.room, lambda v: v["membership"] == "invite", "the invite")
    story.phone = story.js("phone").sign_in("login", "bob", "bob's password", True)
    story.phone.join(story.room)
    for n in range(MESSAGES):
        last = story.carol.send(story.room, f"message {MESSAGES + n}")
    story.alice.plug_cable()
    story.alice.sees(story.room, lambda v: one(v, last), "the last message")
    # `device_lists.changed` makes the client ask; it does not wait for the answer before it sends.
    story.alice.waits_until("devices", lambda known: story.phone.device in known,
                            "the new device", story.bob.user)
    sent = story.alice.send(story.room, "welcome back")
    for device in story.bob, story.phone, story.carol:
        device.sees(story.room, lambda v: one(v, sent) and "welcome back" in bodies(v), "the text")


def test_the_server_knew_and_managed_every_request(story):
    assert not story.unexpected_requests()
    assert not story.complaints()

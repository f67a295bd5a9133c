"""matrix-js-sdk on either server, end to end encrypted across them. Each step depends on those before it."""

import pytest

from device import bodies, js_device, one


class Story:
    def __init__(self, servers):
        self.servers, self.devices = servers, []

    def __getattr__(self, name):
        pytest.fail(f"there is no {name}: an earlier step failed", pytrace=False)

    def js(self, label, server):
        self.devices.append(js_device(label, server.url))
        return self.devices[-1]


@pytest.fixture(scope="module", params=["concorde", "synapse"])
def story(request, servers):
    s = Story(servers)
    s.host = getattr(servers, request.param)
    s.guest = servers.synapse if s.host is servers.concorde else servers.concorde
    yield s
    for d in s.devices:
        d.close()


def test_alice_and_bob_have_identities(story):
    name = f"js{len(story.host.clients)}{story.host.name[-3:]}"
    story.alice = story.js("alice", story.host).sign_in("register", f"alice{name}", "alice's password")
    story.bob = story.js("bob", story.guest).sign_in("register", f"bob{name}", "bob's password")
    story.alice.bootstrap()
    story.bob.bootstrap()


def test_bob_joins_alices_encrypted_room(story):
    story.room = story.alice.create_room("Treaty", [story.bob.user])
    story.bob.sees(story.room, lambda v: v["membership"] == "invite", "the invite")
    story.bob.join(story.room)
    for device in story.alice, story.bob:
        device.sees(story.room, lambda v: len(v["members"]) == 2, "both in the room")


def test_they_read_each_other(story):
    for sender, reader in (story.alice, story.bob), (story.bob, story.alice):
        body = f"from {sender.label}"
        sent = sender.send(story.room, body)
        view = reader.sees(story.room, lambda v: body in bodies(v), body)
        assert one(view, sent)["encrypted"]


def test_they_verify_each_other(story):
    story.alice.request_verification(story.bob.user, story.room)
    story.bob.accept_verification(story.alice.user)
    story.alice.start_emoji()
    story.bob.follow_emoji()
    assert story.alice.emoji() == story.bob.emoji()
    ends = [d.begin("confirmEmoji") for d in (story.alice, story.bob)]
    for device, end in zip((story.alice, story.bob), ends):
        device.end(end)
    for device, other in (story.alice, story.bob), (story.bob, story.alice):
        device.waits_until("verified", lambda v: v, "the other as verified", other.user)


def test_a_new_device_reads_later_messages(story):
    story.tablet = story.js("tablet", story.guest).sign_in(
        "login", story.bob.user[1:].split(":")[0], "bob's password")
    story.alice.waits_until("devices", lambda d: story.tablet.device in d, "the tablet", story.bob.user)
    story.alice.send(story.room, "for both of your devices")
    for device in story.bob, story.tablet:
        device.sees(story.room, lambda v: "for both of your devices" in bodies(v), "Alice's message")


def test_messages_sent_during_a_cut_are_read(story, network):
    network.part([story.host], [story.guest])
    sent = [f"unseen {n}" for n in range(5)]
    story.alice.send_many(story.room, sent)
    network.heal()
    story.alice.send(story.room, "seen again")
    for device in story.bob, story.tablet:
        device.sees(story.room, lambda v: "seen again" in bodies(v) and set(sent) <= set(bodies(v)),
                    "all messages")


def test_an_encrypted_file_arrives(story):
    text = "Article 1. " + "All parties shall encrypt. ✍ " * 1000
    sent = story.alice.send_file(story.room, "treaty.txt", text)
    story.bob.sees(story.room, lambda v: "treaty.txt" in bodies(v), "the file's message")
    assert story.bob.read_file(story.room, sent) == text


def test_a_signed_out_device_is_forgotten(story):
    gone = story.tablet.device
    story.tablet.log_out()
    story.devices.remove(story.tablet)
    story.tablet.close()
    story.alice.waits_until("devices", lambda d: gone not in d, "the device gone", story.bob.user)

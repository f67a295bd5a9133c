"""Notifications through push gateways: what is sent, to which users, and when."""

import pytest

from client import Client
from push_gateway import Gateway, pusher
from serving import Server
from waiting import eventually


@pytest.fixture(scope="module")
def gateway():
    g = Gateway()
    yield g
    g.close()


@pytest.fixture(scope="module")
def pushing(gateway):
    s = Server({"push.rewrite": f"org.test.phone={gateway.url}"}).start()
    yield s
    s.close()


@pytest.fixture
def people(register, pushing):
    """people("alice", "bob") -> clients in one room, which the first has made, and the room."""

    def make(*names, **room):
        clients = [register(n, on=pushing) for n in names]
        room_id = clients[0].create_room(**room)
        for c in clients[1:]:
            clients[0].invite(room_id, c)
            c.join(room_id)
        return *clients, room_id

    return make


def text(body, **more):
    return {"msgtype": "m.text", "body": body, **more}


def test_a_message(people, gateway):
    alice, bob, room = people("alice", "bob", name="Budget")
    key = pusher(bob, data={"org.example": {"kept": True}})
    alice.put(f"/profile/{alice.user_id}/displayname", {"displayname": "Alice"})
    event = alice.send(room, text("hello"))
    (n,) = gateway.wait(key)
    assert (n["event_id"], n["room_id"], n["type"], n["sender"]) == (event, room, "m.room.message", alice.user_id)
    assert n["content"] == text("hello") and n["room_name"] == "Budget"
    assert n["sender_display_name"] == "Alice"
    assert n["counts"] == {"unread": 1} and n["prio"] == "high"  # the default rule of a room for two has a sound
    (device,) = n["devices"]
    assert device["app_id"] == "org.test.phone" and device["data"] == {"org.example": {"kept": True}}
    assert device["pushkey_ts"] > 1600000000 and device["tweaks"] == {"sound": "default"}


def test_not_for_the_sender_nor_for_others(people, gateway, register, pushing):
    alice, bob, room = people("alice", "bob")
    carol = register("carol", on=pushing)
    own, other, key = pusher(alice), pusher(carol), pusher(bob)
    alice.send(room, text("one"))
    gateway.wait(key)
    assert not gateway.of(own) and not gateway.of(other)


def test_by_id_only(people, gateway):
    alice, bob, room = people("alice", "bob", name="Budget")
    key = pusher(bob, data={"format": "event_id_only"})
    event = alice.send(room, text("hello"))
    (n,) = gateway.wait(key)
    assert set(n) - {"status"} == {"event_id", "room_id", "counts", "prio", "devices"}
    assert n["event_id"] == event and "tweaks" not in n["devices"][0]
    assert n["devices"][0]["data"] == {"format": "event_id_only"}


def test_priority_and_tweaks(people, gateway):
    alice, bob, carol, room = people("alice", "bob", "carol")
    key = pusher(bob)
    alice.send(room, text("for all"))
    alice.send(room, text("for Bob", **{"m.mentions": {"user_ids": [bob.user_id]}}))
    alice.send(room, {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x"}, type="m.room.encrypted")
    alice.send(room, {"m.relates_to": {"rel_type": "m.annotation", "event_id": "$x", "key": "y"}}, type="m.reaction")
    alice.send(room, text("all of you", **{"m.mentions": {"room": True}}))
    got = gateway.wait(key, 4)
    assert [n["prio"] for n in got] == ["low", "high", "high", "high"]
    assert [n["devices"][0]["tweaks"] for n in got] == [
        {}, {"highlight": True, "sound": "default"}, {}, {"highlight": True}]


def test_rules_of_ones_own(people, gateway):
    alice, bob, room = people("alice", "bob")
    key = pusher(bob)
    bob.put(f"/pushrules/global/room/{room}", {"actions": []})
    quiet = alice.send(room, text("quiet"))
    bob.put(f"/pushrules/global/room/{room}", {"actions": ["notify", {"set_tweak": "sound", "value": "ring"}]})
    loud = alice.send(room, text("loud"))
    (n,) = gateway.wait(key)
    assert n["event_id"] == loud != quiet and n["devices"][0]["tweaks"] == {"sound": "ring"}


def test_an_invite(register, pushing, gateway):
    alice, bob = register("alice", on=pushing), register("bob", on=pushing)
    key = pusher(bob)
    room = alice.create_room(name="Budget")
    alice.invite(room, bob)
    (n,) = gateway.wait(key)
    assert n["type"] == "m.room.member" and n["membership"] == "invite" and n["user_is_target"] is True
    assert n["counts"] == {"unread": 1}
    bob.join(room)
    assert eventually(lambda: gateway.of(key, counts=True))[-1]["counts"] == {"unread": 0}


def test_counts_are_of_rooms_and_fall_when_read_elsewhere(people, gateway):
    alice, bob, room = people("alice", "bob")
    second = alice.create_room(invite=[bob.user_id])
    bob.join(second)
    key = pusher(bob)
    for i, r in enumerate((room, room, second)):
        event = alice.send(r, text("hello"))
        gateway.wait(key, i + 1)  # counts are those of when it is sent
    assert [n["counts"]["unread"] for n in gateway.wait(key, 3)] == [1, 1, 2]
    bob.read(second, event)
    (n,) = gateway.wait(key, counts=True)
    assert n["counts"] == {"unread": 1} and set(n) - {"status"} == {"counts", "devices"}


def test_no_counts(people, gateway):
    alice, bob, room = people("alice", "bob")
    key = pusher(bob, data={"org.matrix.msc4076.disable_badge_count": True})
    event = alice.send(room, text("one"))
    (n,) = gateway.wait(key)
    assert "counts" not in n
    bob.read(room, event)
    alice.send(room, text("two"))
    gateway.wait(key, 2)
    assert not gateway.of(key, counts=True)


def test_a_pusher_that_is_switched_off(people, gateway):
    alice, bob, room = people("alice", "bob")
    key = pusher(bob, **{"org.matrix.msc3881.enabled": False})
    (listed,) = bob.get("/pushers")["pushers"]
    assert listed["org.matrix.msc3881.enabled"] is False
    assert listed["org.matrix.msc3881.device_id"] == bob.device_id
    alice.send(room, text("one"))
    pusher(bob)
    event = alice.send(room, text("two"))
    assert gateway.wait(key)[0]["event_id"] == event


def test_a_rejected_key(people, gateway):
    alice, bob, room = people("alice", "bob")
    key, other = pusher(bob), pusher(bob, key=f"other of {bob.user_id}")
    gateway.rejected.append(key)
    alice.send(room, text("one"))
    eventually(lambda: [p["pushkey"] for p in bob.get("/pushers")["pushers"]] == [other])
    alice.send(room, text("two"))
    gateway.wait(other, 2)
    assert len(gateway.of(key)) == 1


def test_it_ends_with_its_device(people, gateway):
    alice, bob, room = people("alice", "bob")
    phone = bob.another_device()
    key, other = pusher(phone, key=f"phone of {bob.user_id}"), pusher(bob)
    alice.send(room, text("one"))
    gateway.wait(key)
    phone.post("/logout")
    alice.send(room, text("two"))
    gateway.wait(other, 2)
    assert len(gateway.of(key)) == 1


def test_a_key_that_moves_to_another_user(people, gateway):
    alice, bob, carol, room = people("alice", "bob", "carol")
    key = pusher(bob)
    pusher(carol, key=key)
    alice.send(room, text("one"))
    gateway.wait(key)
    alice.send(room, text("two"))
    gateway.wait(key, 2)
    assert len(gateway.of(key)) == 2


def test_ignored_users(people, gateway):
    alice, bob, carol, room = people("alice", "bob", "carol")
    key = pusher(bob)
    bob.put(f"/user/{bob.user_id}/account_data/m.ignored_user_list", {"ignored_users": {alice.user_id: {}}})
    alice.send(room, text("ignored"))
    event = carol.send(room, text("seen"))
    assert [n["event_id"] for n in gateway.wait(key)] == [event]


def test_a_call(people, gateway):
    alice, bob, room = people("alice", "bob")
    key = pusher(bob)
    alice.send(room, {"call_id": "1", "version": "1", "lifetime": 1, "offer": {"type": "offer", "sdp": ""}},
               type="m.call.invite")
    (n,) = gateway.wait(key)
    assert n["devices"][0]["tweaks"] == {"sound": "ring"} and n["prio"] == "high"


def test_private_addresses(people, gateway, pushing):
    """The URL that an app gives may not lead into the server's network."""
    alice, bob, room = people("alice", "bob")
    key, other = f"private of {bob.user_id}", pusher(bob)
    bob.post("/pushers/set", {
        "kind": "http", "app_id": "org.other", "pushkey": key, "app_display_name": "App",
        "device_display_name": "Phone", "lang": "en",
        "data": {"url": gateway.url.replace("http://", "https://")}})
    alice.send(room, text("one"))
    gateway.wait(other)
    eventually(lambda: "This server does not contact the addresses" in pushing.log_text())
    assert not gateway.of(key)


# ---- settings ----


@pytest.fixture
def bob_and_alice(fresh_server, gateway):
    """Two users of a server with these settings, their room, and the key of Bob's phone."""
    made = []

    def make(**settings):
        server = fresh_server(push__rewrite=f"org.test.phone={gateway.url}", **settings)
        bob, alice = (Client(server).register(n) for n in ("bob", "alice"))
        made.extend([bob, alice])
        room = alice.create_room(invite=[bob.user_id])
        bob.join(room)
        return bob, alice, room, pusher(bob, key=f"with {settings}")

    yield make
    for c in made:
        c.close()


def test_without_content(bob_and_alice, gateway):
    bob, alice, room, key = bob_and_alice(push__include_content="false")
    event = alice.send(room, text("secret"))
    (n,) = gateway.wait(key)
    assert "content" not in n and n["event_id"] == event


def test_counts_of_messages(bob_and_alice, gateway):
    bob, alice, room, key = bob_and_alice(push__group_unread_count_by_room="false")
    for i in range(3):
        alice.send(room, text(str(i)))
        gateway.wait(key, i + 1)
    assert [n["counts"]["unread"] for n in gateway.of(key)] == [1, 2, 3]


def test_pushes_are_switched_off(bob_and_alice, gateway):
    bob, alice, room, key = bob_and_alice(push__enabled="false")
    alice.send(room, text("one"))
    assert bob.get("/pushers")["pushers"] and not gateway.of(key)


# ---- other servers ----


@pytest.fixture
def abroad(ministries, gateway):
    """A client here, with a phone, and one of another server."""
    here, there = ministries(push__rewrite=f"org.test.phone={gateway.url}"), ministries()
    bob, alice = here.user("bob"), there.user("alice")
    return bob, alice, pusher(bob)


def test_an_invite_and_messages_of_another_server(abroad, gateway):
    bob, alice, key = abroad
    room = alice.create_room(preset="private_chat", name="Bridges")
    alice.invite(room, bob)
    (n,) = gateway.wait(key)
    assert n["membership"] == "invite" and n["user_is_target"] and n["sender"] == alice.user_id
    assert n["room_name"] == "Bridges" and n["counts"] == {"unread": 1}
    bob.join(room)
    event = alice.send(room, text("hello"))
    assert gateway.wait(key, 2)[-1]["event_id"] == event

"""Listing notifications."""

import pytest

from client import q


@pytest.fixture
def room(alice, bob):
    r = alice.create_room(preset="public_chat")
    bob.join(r)
    return r


def listed(client, **params):
    return [n["event"]["content"]["body"]
            for n in client.get("/notifications", params=params)["notifications"]]


def mention(user, body):
    return {"msgtype": "m.text", "body": body, "m.mentions": {"user_ids": [user]}}


def test_listed_notifications(alice, bob, room, register):
    carol = register("carol")
    carol.join(room)
    assert bob.get("/notifications") == {"notifications": []}
    first = alice.send(room, "one")
    alice.send(room, {"msgtype": "m.notice", "body": "quiet"})
    alice.send(room, mention(bob.user_id, "you"))
    bob.send(room, "mine")
    got = bob.get("/notifications")
    assert "next_token" not in got
    two, one = got["notifications"]
    assert one["event"]["event_id"] == first and "room_id" not in one["event"]
    assert one["room_id"] == room and one["ts"] == one["event"]["origin_server_ts"]
    assert one["actions"] == ["notify"]
    assert two["actions"] == ["notify", {"set_tweak": "highlight"}]
    assert one["read"] is True  # by answering
    assert listed(bob, only="highlight") == ["you"]
    assert listed(carol) == ["mine", "you", "one"]
    assert [n["read"] for n in carol.get("/notifications")["notifications"]] == [False] * 3
    carol.read(room, first)
    assert [n["read"] for n in carol.get("/notifications")["notifications"]] == [False, False, True]


def test_nothing_of_before_the_join(alice, room, register):
    alice.send(room, "before")
    carol = register("carol")
    carol.join(room)
    alice.send(room, "after")
    assert listed(carol) == ["after"]


def test_muted(alice, bob, room):
    bob.put(f"/pushrules/global/room/{q(room)}", {"actions": []})
    alice.send(room, "unheard")
    alice.send(room, mention(bob.user_id, "heard"))
    assert listed(bob) == ["heard"]


def test_pages(alice, bob, room):
    other = alice.create_room(preset="public_chat")
    bob.join(other)
    sent = []
    for i in range(130):  # more than one query reads, mostly of one room
        sent.append(f"m{i}")
        alice.send(other if i % 40 == 0 else room, sent[-1])
        if i % 3 == 0:
            alice.send(room, {"msgtype": "m.notice", "body": "quiet"})
    got, token = [], None
    for _ in range(60):
        r = bob.get("/notifications", params={"limit": 7, **({"from": token} if token else {})})
        got += [n["event"]["content"]["body"] for n in r["notifications"]]
        token = r.get("next_token")
        if not token:
            break
    assert got == sent[::-1]
    bob.fails(400, "M_INVALID_PARAM", "GET", "/notifications", params={"from": "nonsense"})
    bob.fails(400, "M_INVALID_PARAM", "GET", "/notifications", params={"limit": "0"})

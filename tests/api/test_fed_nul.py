"""JSON allows U+0000, but PostgreSQL does not store it: events with it must not stop processing."""

from client import q
from remote import FED
from waiting import eventually

NAME = "a\0b"


def test_member_events_with_nul(remote, two):
    one = two[0]
    alice, bob, carol = one.user("alice"), one.user("bob"), remote.user("carol")
    room = alice.create_room(preset="public_chat", initial_state=[
        {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}])
    bob.join(room)
    there = remote.join(one.name, room, carol)
    for name in NAME, "carol":
        remote.set_member(there, carol, carol, "join", displayname=name)
        seen = alice.send(room, f"hello {name!r}")
        remote.wait_for(lambda: seen in remote.pdu_ids(), 10)
    token = bob.get("/sync")["next_batch"]
    for name in NAME, "alice", NAME:
        alice.send_state(room, "m.room.member", {"membership": "join", "displayname": name},
                         alice.user_id)
    events = remote.get(one.name, f"{FED}/v1/backfill/{q(room)}?v={q(seen)}&limit=20")["pdus"]
    assert "hello" in events[0]["content"]["body"]  # events are visible in spite of the old name
    alice.leave(room)
    remote.wait_for(lambda: there.find(there.state["m.room.member", alice.user_id])["content"][
        "membership"] == "leave", 10)
    assert bob.get("/sync", params={"since": token})["device_lists"]["left"] == [alice.user_id]
    now = bob.get("/sync")["next_batch"]
    assert bob.get("/keys/changes", params={"from": token, "to": now})["left"] == [alice.user_id]


def test_profiles_with_nul(two):
    alice, bob = two[0].user("alice"), two[1].user("bob")
    alice.put(f"/profile/{alice.user_id}/displayname", {"displayname": NAME})
    alice.put(f"/profile/{alice.user_id}/org.example.x", {"org.example.x": [NAME]})
    assert alice.get(f"/profile/{alice.user_id}")["displayname"] == NAME
    assert bob.get(f"/profile/{q(alice.user_id)}/org.example.x") == {"org.example.x": [NAME]}
    alice.post("/user_directory/search", {"search_term": "alice"})


def test_messages_with_nul(remote, two):
    """In bodies, names, reactions, room aliases and searches."""
    one = two[0]
    alice, carol = one.user("alice"), remote.user("carol")
    room = alice.create_room(preset="public_chat", name="a")
    there = remote.join(one.name, room, carol)
    remote.send(there, carol, {"msgtype": "m.text", "body": NAME, "format": "org.matrix.custom.html",
                               "formatted_body": NAME})
    parent = remote.send(there, carol, "parent")
    remote.send(there, carol, {"m.relates_to": {"rel_type": "m.annotation", "event_id": parent,
                                                "key": NAME}}, "m.reaction")
    remote.send(there, carol, {"m.relates_to": {"rel_type": NAME, "event_id": parent}}, "org.x\0y")
    remote.send(there, carol, {"msgtype": "m.text", "body": NAME, "m.mentions": {
        "user_ids": [alice.user_id, NAME]}})
    remote.send(there, carol, "findable at last")
    find = lambda: alice.post("/search", {"search_categories": {"room_events": {
        "search_term": "findable"}}})["search_categories"]["room_events"]["results"]
    eventually(find)
    read = alice.get(f"/rooms/{q(room)}/messages", params={"dir": "b", "limit": 100})["chunk"]
    assert NAME in [e["content"].get("body") for e in read]

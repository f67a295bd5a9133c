"""A story in steps: what matrix-js-sdk and matrix-nio do in public rooms, and with their accounts. Each
step depends on those before it."""

import base64
import time

import pytest

from device import ClientError, bodies, one
from images import png, size_of


def test_three_register(story):
    for name in "alice", "bob":
        setattr(story, name, story.js(name).sign_in("register", name, f"{name}'s password"))
    story.carol = story.nio("carol").sign_in("register", "carol", "carol's password")


def test_a_public_room_is_found_in_the_directory_and_joined_by_alias(story):
    story.room = story.alice.sdk("createRoom", {
        "visibility": "public", "preset": "public_chat", "room_alias_name": "agora",
        "name": "Agora", "topic": "All are welcome"})["room_id"]
    found = story.bob.sdk("publicRooms", {"filter": {"generic_search_term": "agor"}})["chunk"]
    assert [r["room_id"] for r in found] == [story.room] and found[0]["num_joined_members"] == 1
    assert story.bob.sdk("getRoomIdForAlias", "#agora:test.example")["room_id"] == story.room
    story.bob.join("#agora:test.example")
    story.carol.join("#agora:test.example")
    view = story.bob.sees(story.room, lambda v: len(v["members"]) == 3, "all three")
    assert (view["name"], view["topic"]) == ("Agora", "All are welcome")
    view = story.carol.sees(story.room, lambda v: len(v["members"]) == 3, "all three")
    assert (view["name"], view["encrypted"]) == ("Agora", False)


def test_plain_messages_reach_all_members(story):
    for sender in story.alice, story.bob, story.carol:
        body = f"good morning from {sender.label}"
        sent = sender.send(story.room, body)
        for device in story.alice, story.bob, story.carol:
            view = device.sees(story.room, lambda v: one(v, sent) and body in bodies(v), body)
            assert not one(view, sent)["encrypted"]


def test_a_new_name_and_topic_are_seen(story):
    story.alice.sdk("setDisplayName", "Alice Anders")
    story.bob.sees(story.room, lambda v: v["names"][story.alice.user] == "Alice Anders", "the name")
    assert story.bob.sdk("getProfileInfo", story.alice.user)["displayname"] == "Alice Anders"
    story.alice.sdk("setRoomTopic", story.room, "Order!")
    story.alice.sdk("setRoomName", story.room, "The Agora")
    story.bob.sees(story.room, lambda v: (v["name"], v["topic"]) == ("The Agora", "Order!"), "both")
    story.carol.sees(story.room, lambda v: v["name"] == "The Agora", "the room's name")


def test_an_avatar_is_thumbnailed(story):
    image = png(320, 240)
    mxc = story.alice.upload(base64.b64encode(image).decode(), "image/png", "face.png")
    story.alice.sdk("setAvatarUrl", mxc)
    assert story.bob.sdk("getProfileInfo", story.alice.user)["avatar_url"] == mxc
    assert base64.b64decode(story.bob.download(mxc)) == image
    assert size_of(base64.b64decode(story.bob.download(mxc, 96, 96, "crop"))) == ("png", 96, 96, False)


def test_moderators_kick_ban_and_unban(story):
    with pytest.raises(ClientError, match="M_FORBIDDEN"):
        story.bob.sdk("kick", story.room, story.carol.user)
    story.alice.sdk("setPowerLevel", story.room, story.bob.user, 50)
    kicked = lambda v: story.carol.user not in v["members"]
    deadline = time.monotonic() + 10
    story.bob.sdk("kick", story.room, story.carol.user, "too loud")
    story.alice.sees(story.room, kicked, "Carol kicked")
    story.carol.join(story.room)
    story.alice.sees(story.room, lambda v: not kicked(v), "Carol back")
    story.bob.sdk("ban", story.room, story.carol.user)
    story.alice.sees(story.room, kicked, "Carol banned")
    with pytest.raises(ClientError, match="M_FORBIDDEN"):
        story.carol.join(story.room)
    story.bob.sdk("unban", story.room, story.carol.user)
    story.carol.join(story.room)
    story.alice.sees(story.room, lambda v: not kicked(v), "Carol back")
    assert time.monotonic() < deadline


def counts(view):
    return view["counted"]["notification_count"], view["counted"]["highlight_count"]


def read_all(device, room, event):
    device.sees(room, lambda v: one(v, event), "the event")
    device.mark_read(room, event)
    device.sees(room, lambda v: counts(v) == (0, 0), "nothing unread")


def test_mentions_and_keywords_highlight(story):
    read_all(story.bob, story.room, story.alice.send(story.room, "start"))
    story.alice.send(story.room, "nothing special")
    story.bob.sees(story.room, lambda v: counts(v) == (1, 0), "one unread message")
    story.alice.mention(story.room, "you there!", story.bob.user)
    story.bob.sees(story.room, lambda v: counts(v) == (2, 1), "the mention")
    story.bob.sdk("addPushRule", "global", "content", "wine",
                  {"pattern": "wine", "actions": ["notify", {"set_tweak": "highlight"}]})
    last = story.alice.send(story.room, "who brings Wine?")
    view = story.bob.sees(story.room, lambda v: counts(v) == (3, 2), "the keyword")
    assert (view["unread"], view["highlights"]) == (3, 2)
    read_all(story.bob, story.room, last)


def test_a_muted_room_counts_nothing(story):
    story.bob.sdk("setRoomMutePushRule", "global", story.room, True)
    story.alice.send(story.room, "psst")
    view = story.bob.sees(story.room, lambda v: "psst" in bodies(v), "the message")
    assert counts(view) == (0, 0)
    story.bob.sdk("setRoomMutePushRule", "global", story.room, False)
    last = story.alice.send(story.room, "loud again")
    view = story.bob.sees(story.room, lambda v: one(v, last), "the message")
    assert counts(view)[0] > 0
    read_all(story.bob, story.room, last)


def test_tags_and_account_data_are_returned(story):
    story.bob.sdk("setRoomTag", story.room, "m.favourite", {"order": 0.5})
    story.bob.sees(story.room, lambda v: v["tags"] == ["m.favourite"], "the tag")
    story.bob.sdk("deleteRoomTag", story.room, "m.favourite")
    story.bob.sees(story.room, lambda v: v["tags"] == [], "no tag")
    story.bob.sdk("setAccountData", "m.direct", {story.alice.user: [story.room]})
    story.bob.waits_until("accountData", lambda d: d == {story.alice.user: [story.room]},
                          "the account data", "m.direct")


def test_ignored_users_are_not_heard(story):
    story.bob.sdk("setIgnoredUsers", [story.carol.user])
    unheard = story.carol.send(story.room, "can you hear me?")
    heard = story.alice.send(story.room, "I can")
    story.alice.sees(story.room, lambda v: one(v, unheard), "Carol's message")
    view = story.bob.sees(story.room, lambda v: one(v, heard), "Alice's message")
    assert not one(view, unheard)
    story.bob.sdk("setIgnoredUsers", [])
    sent = story.carol.send(story.room, "and now?")
    story.bob.sees(story.room, lambda v: one(v, sent), "Carol again")


def test_presence_is_seen(story):
    story.alice.sdk("setPresence", {"presence": "unavailable", "status_msg": "in a meeting"})
    story.bob.waits_until(
        "presence", lambda p: p == {"presence": "unavailable", "message": "in a meeting"},
        "Alice's presence", story.alice.user)


def test_search_finds_messages_and_users(story):
    found = story.bob.sdk("searchMessageText", {"query": "morning"})
    results = found["search_categories"]["room_events"]["results"]
    assert {r["result"]["content"]["body"] for r in results} == {
        f"good morning from {name}" for name in ("alice", "bob", "carol")}
    users = story.bob.sdk("searchUserDirectory", {"term": "anders"})["results"]
    assert [u["user_id"] for u in users] == [story.alice.user]


def test_permalinks_and_dates_lead_to_events(story):
    first = story.alice.send(story.room, "the first of many")
    for n in range(30):
        last = story.alice.send(story.room, f"one of many {n}")
    story.bob.sees(story.room, lambda v: one(v, last), "the last")
    late = story.js("late").sign_in("login", "bob", "bob's password")
    late.sees(story.room, lambda v: one(v, last) and not one(v, first), "only the newest")
    around = [e.get("body") for e in late.around(story.room, first)]
    at = around.index("the first of many")
    assert around[at + 1] == "one of many 0" and around[at - 1] == "and now?" and len(around) == 11
    found = late.sdk("timestampToEvent", story.room, int(time.time() * 1000) + 60000, "b")
    assert found["event_id"] == last
    story.late = late


def test_a_space_lists_its_rooms(story):
    space = story.alice.sdk("createRoom", {
        "name": "City", "preset": "public_chat", "creation_content": {"type": "m.space"}})["room_id"]
    story.alice.sdk("sendStateEvent", space, "m.space.child",
                    {"via": ["test.example"], "suggested": True}, story.room)
    rooms = story.bob.sdk("getRoomHierarchy", space)["rooms"]
    assert [r["room_id"] for r in rooms] == [space, story.room]
    assert rooms[0]["children_state"][0]["state_key"] == story.room


def test_invites_are_declined_and_rooms_forgotten(story):
    room = story.alice.sdk("createRoom", {"preset": "private_chat", "invite": [story.bob.user]})
    room = room["room_id"]
    story.bob.sees(room, lambda v: v["membership"] == "invite", "the invite")
    story.bob.sdk("leave", room)
    story.bob.sees(room, lambda v: v["membership"] == "leave", "that it is declined")
    story.bob.sdk("forget", room)
    with pytest.raises(ClientError, match="M_FORBIDDEN"):
        story.bob.join(room)
    story.alice.invite(room, story.bob.user)
    story.bob.waits_until("view", lambda v: v["membership"] == "invite", "a new invite", room)
    story.bob.join(room)
    story.bob.sees(room, lambda v: v["membership"] == "join" and len(v["members"]) == 2, "the room")


def test_an_upgraded_room_leads_to_its_successor(story):
    new = story.alice.sdk("upgradeRoom", story.room, "11")["replacement_room"]
    story.bob.sees(story.room, lambda v: v.get("successor") == new, "the tombstone")
    story.bob.join(new)
    view = story.bob.sees(new, lambda v: len(v["members"]) == 2, "the new room")
    assert (view["name"], view["topic"]) == ("The Agora", "Order!")
    assert story.bob.sdk("getRoomIdForAlias", "#agora:test.example")["room_id"] == new
    with pytest.raises(ClientError, match="M_FORBIDDEN"):
        story.carol.send(story.room, "still here")


def test_devices_are_named_and_removed_with_the_password(story):
    story.bob.sdk("setDeviceDetails", story.late.device, {"display_name": "the late one"})
    devices = {d["device_id"]: d for d in story.bob.sdk("getDevices")["devices"]}
    assert devices[story.late.device]["display_name"] == "the late one"
    assert set(devices) == {story.bob.device, story.late.device}
    story.bob.proven("deleteDevice", story.late.device)
    story.late.waits_until("sessionEnded", lambda ended: ended, "that its session ended")
    assert [d["device_id"] for d in story.bob.sdk("getDevices")["devices"]] == [story.bob.device]


def test_pushers_and_tokens_of_an_account(story):
    pusher = {"kind": "http", "app_id": "org.example.app", "pushkey": "key", "lang": "fr",
              "app_display_name": "App", "device_display_name": "Phone",
              "data": {"url": "https://push.example/_matrix/push/v1/notify"}}
    story.bob.sdk("setPusher", pusher)
    assert [p["pushkey"] for p in story.bob.sdk("getPushers")["pushers"]] == ["key"]
    token = story.bob.sdk("getOpenIdToken")
    assert token["matrix_server_name"] == "test.example" and token["access_token"]


def test_the_server_knew_all_that_the_clients_asked(story):
    assert story.unexpected_requests() == set()


def test_the_server_logged_nothing_wrong(story):
    assert story.complaints() == []

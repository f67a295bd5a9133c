"""Client-server API, "Profiles"."""

import pytest

from client import Client, q, timeline


def path(c, *keys):
    return "/".join(["/profile", q(c.user_id), *(q(k) for k in keys)])


def test_displayname_and_avatar(anonymous, alice):
    alice.put(path(alice, "displayname"), {"displayname": "Alice Ä. ☕"})
    alice.put(path(alice, "avatar_url"), {"avatar_url": "mxc://test.example/abc"})
    whole = {"displayname": "Alice Ä. ☕", "avatar_url": "mxc://test.example/abc"}
    assert anonymous.get(path(alice)) == whole
    for key, value in whole.items():
        assert anonymous.get(path(alice, key)) == {key: value}


@pytest.mark.parametrize("nothing", ["", None])
def test_empty_texts_remove(alice, nothing):
    for key, value in ("displayname", "Alice"), ("avatar_url", "mxc://test.example/abc"):
        alice.put(path(alice, key), {key: value})
        alice.put(path(alice, key), {key: nothing})
        alice.fails(404, "M_NOT_FOUND", "GET", path(alice, key))


def test_delete(alice):
    alice.put(path(alice, "avatar_url"), {"avatar_url": "mxc://test.example/abc"})
    assert alice.delete(path(alice, "avatar_url")) == {}
    assert alice.delete(path(alice, "avatar_url")) == {}  # none was set
    assert "avatar_url" not in alice.get(path(alice))


def test_other_fields(anonymous, alice):
    values = {"m.tz": "Europe/London", "org.example.languages": ["de", "en"],
              "org.example.job_title": {"title": "Clerk", "since": 2019}, "org.example.null": None}
    for key, value in values.items():
        alice.put(path(alice, key), {key: value})
    for key, value in values.items():
        assert anonymous.get(path(alice, key)) == {key: value}
        assert anonymous.get(path(alice))[key] == value
    alice.delete(path(alice, "m.tz"))
    anonymous.fails(404, "M_NOT_FOUND", "GET", path(alice, "m.tz"))


def test_the_unstable_path(alice):
    base = f"/_matrix/client/unstable/uk.tcpip.msc4133/profile/{q(alice.user_id)}"
    alice.put(f"{base}/us.cloke.msc4175.tz", {"us.cloke.msc4175.tz": "Europe/Berlin"})
    assert alice.get(base)["us.cloke.msc4175.tz"] == "Europe/Berlin"
    alice.delete(f"{base}/us.cloke.msc4175.tz")
    e = alice.fails(404, "M_NOT_FOUND", "GET", f"{base}/us.cloke.msc4175.tz")
    assert "no such field" in e["error"]  # the user exists


@pytest.mark.parametrize("key, value, errcode", [
    ("displayname", 5, "M_INVALID_PARAM"), ("displayname", ["A"], "M_INVALID_PARAM"),
    ("displayname", "x" * 1025, "M_INVALID_PARAM"), ("avatar_url", 5, "M_INVALID_PARAM"),
    ("avatar_url", "https://x.example/a.png", None),  # as other servers take it
    ("nonamespace", "x", "M_INVALID_PARAM"), ("UPPER.case", "x", "M_INVALID_PARAM"),
    ("a." + "b" * 253, "x", None), ("a." + "b" * 254, "x", "M_KEY_TOO_LARGE"),
    ("org.example.big", "x" * 65536, "M_PROFILE_TOO_LARGE"),
])
def test_bad_fields(alice, key, value, errcode):
    if errcode:
        alice.fails(400, errcode, "PUT", path(alice, key), {key: value})
    else:
        alice.put(path(alice, key), {key: value})


def test_the_whole_profile_is_bounded(alice):
    alice.put(path(alice, "org.example.a"), {"org.example.a": "x" * 40000})
    alice.fails(400, "M_PROFILE_TOO_LARGE", "PUT", path(alice, "org.example.b"),
                {"org.example.b": "x" * 40000})
    alice.delete(path(alice, "org.example.a"))
    alice.put(path(alice, "org.example.b"), {"org.example.b": "x" * 40000})


def test_bodies_and_tokens(anonymous, alice, bob):
    me = path(alice, "displayname")
    alice.fails(400, "M_MISSING_PARAM", "PUT", me, {})
    alice.fails(400, "M_MISSING_PARAM", "PUT", me, {"avatar_url": "mxc://a/b"})
    anonymous.fails(401, "M_MISSING_TOKEN", "PUT", me, {"displayname": "x"})
    anonymous.fails(401, "M_MISSING_TOKEN", "DELETE", me)
    bob.fails(403, "M_FORBIDDEN", "PUT", me, {"displayname": "x"})
    bob.fails(403, "M_FORBIDDEN", "DELETE", me)


def test_nobodys_profile(anonymous):
    anonymous.fails(404, "M_NOT_FOUND", "GET", "/profile/@no-such-user:test.example")
    anonymous.fails(404, "M_NOT_FOUND", "GET", "/profile/@no-such-user:test.example/displayname")
    anonymous.fails(400, "M_INVALID_PARAM", "GET", "/profile/nonsense")


def test_profile_changes_reach_rooms(alice, bob):
    rooms = [alice.create_room(preset="public_chat") for _ in range(3)]
    bob.join(rooms[0])
    alice.put(path(alice, "displayname"), {"displayname": "Queen Alice"})
    alice.put(path(alice, "avatar_url"), {"avatar_url": "mxc://test.example/q"})
    for room in rooms:
        assert alice.state(room, "m.room.member", alice.user_id) == {
            "membership": "join", "displayname": "Queen Alice", "avatar_url": "mxc://test.example/q"}
    assert bob.state(rooms[0], "m.room.member", alice.user_id)["displayname"] == "Queen Alice"
    alice.delete(path(alice, "displayname"))
    assert "displayname" not in bob.state(rooms[0], "m.room.member", alice.user_id)


def test_members_see_a_new_name(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.next_sync()
    alice.put(path(alice, "displayname"), {"displayname": "Alice the Second"})
    names = lambda r: [e["content"].get("displayname") for e in timeline(r, room)]
    assert bob.sync_until(names) == ["Alice the Second"]


def test_an_unchanged_profile_writes_no_member_events(alice):
    room = alice.create_room()
    key = path(alice, "displayname")
    alice.put(key, {"displayname": "Alice L."})
    member = lambda: [e["event_id"] for e in alice.state(room) if e["type"] == "m.room.member"]
    before = member()
    alice.put(key, {"displayname": "Alice L."})
    alice.put(path(alice, "org.example.x"), {"org.example.x": 1})
    assert member() == before


def test_profile_changes_do_not_reach_left_rooms(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.leave(room)
    bob.put(path(bob, "displayname"), {"displayname": "Gone Bob"})
    assert alice.state(room, "m.room.member", bob.user_id)["membership"] == "leave"


def test_profiles_survive_a_restart(fresh_server):
    s = fresh_server()
    c = Client(s).register("ann")
    c.put(path(c, "m.tz"), {"m.tz": "Europe/London"})
    s.restart()
    assert Client(s).get(path(c)) == {"displayname": "ann", "m.tz": "Europe/London"}

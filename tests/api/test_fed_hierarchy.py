"""Server-server API, "Spaces", and the client's view of spaces and rooms of other servers."""

from urllib.parse import unquote

import pytest

from client import Client, q
from remote import FED

V1 = FED + "/v1/hierarchy/"


def path(room):
    return f"/_matrix/client/v1/rooms/{q(room)}/hierarchy"


def summary_path(room):
    return f"/_matrix/client/v1/room_summary/{q(room)}"


def rooms(client, room, via=(), **params):
    more = [(k, v) for k, v in params.items()] + [("via", v) for v in via]
    return [r["room_id"] for r in client.get(path(room), params=more)["rooms"]]


def make_space(client, **body):
    return client.create_room(**{"preset": "public_chat", **body},
                              creation_content={"type": "m.space"})


def add(client, space, room, *via, **content):
    client.send_state(space, "m.space.child", {"via": list(via), **content}, room)


def join_rule(rule, **content):
    return [{"type": "m.room.join_rules", "content": {"join_rule": rule, **content}}]


READABLE = [{"type": "m.room.history_visibility",
             "content": {"history_visibility": "world_readable"}}]


@pytest.fixture
def one(two):
    return two[0]


# ---- answering ----


def test_answering(remote, one):
    alice = one.user("alice")
    space = make_space(alice, name="Space")
    public = alice.create_room(preset="public_chat", name="Public")
    private = alice.create_room(name="Private")
    readable = alice.create_room(initial_state=READABLE)
    knock = alice.create_room(initial_state=join_rule("knock"))
    sub = make_space(alice, name="Sub")
    add(alice, sub, public, one.name)
    for n, room in enumerate([public, private, readable, knock, sub, "!elsewhere:x.example"]):
        add(alice, space, room, one.name, order=str(n), suggested=room == knock)
    summary = remote.get(one.name, V1 + q(space))
    assert summary["room"]["name"] == "Space" and summary["room"]["room_type"] == "m.space"
    assert [e["state_key"] for e in summary["room"]["children_state"]] == [
        public, private, readable, knock, sub, "!elsewhere:x.example"]
    assert set(summary["room"]["children_state"][0]) == {
        "type", "state_key", "content", "sender", "origin_server_ts"}
    assert [r["room_id"] for r in summary["children"]] == [public, readable, knock, sub]
    assert [e["state_key"] for e in summary["children"][3]["children_state"]] == [public]
    assert summary["inaccessible_children"] == [private]
    summary = remote.get(one.name, V1 + q(space) + "?suggested_only=true")
    assert [r["room_id"] for r in summary["children"]] == [knock]
    assert len(summary["room"]["children_state"]) == 1


def test_rooms_that_are_not_served(remote, one):
    alice = one.user("alice")
    for room in alice.create_room(), "!nowhere:" + one.name:
        remote.fails(one.name, 404, "M_NOT_FOUND", "GET", V1 + q(room))
    space = make_space(alice)
    remote.fails(one.name, 401, "M_UNAUTHORIZED", "GET", V1 + q(space), sign=False)
    remote.fails(one.name, 400, "M_INVALID_PARAM", "GET", V1 + q(space) + "?suggested_only=maybe")
    alice.send_state(space, "m.room.server_acl", {"allow": ["*"], "deny": ["localhost"]})
    remote.fails(one.name, 404, "M_NOT_FOUND", "GET", V1 + q(space))


def test_restricted_rooms_are_served_to_servers_that_fulfil_the_condition(remote, one):
    alice = one.user("alice")
    space = make_space(alice)
    inside = alice.create_room(initial_state=join_rule(
        "restricted", allow=[{"type": "m.room_membership", "room_id": space}]))
    add(alice, space, inside, one.name)
    assert remote.get(one.name, V1 + q(space))["inaccessible_children"] == [inside]
    remote.join(one.name, space, remote.user("carol"))
    summary = remote.get(one.name, V1 + q(space))
    assert [r["room_id"] for r in summary["children"]] == [inside]
    assert summary["children"][0]["allowed_room_ids"] == [space]


# ---- asking ----


def test_a_space_of_another_concorde(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    space, sub = make_space(alice, name="Ministry"), make_space(alice, name="Department")
    public, deep = (alice.create_room(preset="public_chat", name=n) for n in ("Public", "Deep"))
    private = alice.create_room(name="Private")
    ours = bob.create_room(preset="public_chat", name="Ours")
    add(alice, space, public, a.name, order="1")
    add(alice, space, private, a.name, order="2")
    add(alice, space, sub, a.name, order="3")
    add(alice, sub, deep, a.name, order="1")
    add(alice, sub, ours, b.name, order="2")
    assert rooms(bob, space, [a.name]) == [space, public, sub, deep, ours]
    assert rooms(alice, space) == [space, public, private, sub, deep, ours]
    assert rooms(bob, space, [a.name], max_depth=1) == [space, public, sub]
    found = bob.get(path(space), params={"via": a.name})["rooms"]
    assert found[0]["name"] == "Ministry" and len(found[0]["children_state"]) == 3
    assert found[1]["children_state"] == [] and found[3]["name"] == "Deep"
    first = bob.get(path(space), params={"via": a.name, "limit": 2})
    assert [r["room_id"] for r in first["rooms"]] == [space, public]
    rest = rooms(bob, space, [a.name], **{"from": first["next_batch"]})
    assert rest == [sub, deep, ours]


def test_a_child_that_is_elsewhere(two):
    """The space is ours; one of its rooms is another server's."""
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    theirs = alice.create_room(preset="public_chat", name="Theirs", room_version="11")
    hidden = alice.create_room(room_version="11")
    space = make_space(bob)
    add(bob, space, theirs, "unreachable.invalid", a.name, order="1")
    add(bob, space, hidden, a.name, order="2")
    add(bob, space, "!nowhere:unreachable.invalid", "unreachable.invalid", order="3")
    assert rooms(bob, space) == [space, theirs]
    found = bob.get(path(space))["rooms"][1]
    assert found["name"] == "Theirs" and found["room_version"] == "11"


def space_of(remote, *children, type="m.space"):
    return {"room_id": "!space:" + remote.name, "num_joined_members": 1, "world_readable": False,
            "guest_can_join": False, "join_rule": "public", "room_type": type,
            "children_state": [
                {"type": "m.space.child", "state_key": c, "content": {"via": [remote.name]},
                 "sender": remote.user("carol"), "origin_server_ts": 1} for c in children]}


def room_of(room_id, **more):
    return {"room_id": room_id, "num_joined_members": 1, "world_readable": False,
            "guest_can_join": False, "join_rule": "public", **more}


def test_the_server_of_a_space_is_not_asked_again_for_its_rooms(remote, one):
    alice = one.user("alice").stay()
    a, b, c, d = (f"!{n}:{remote.name}" for n in "abcd")
    remote.on("GET", V1, lambda r: (200, {
        "room": space_of(remote, a, b, c, d), "inaccessible_children": [b],
        "children": [room_of(a, name="A"), room_of(c, join_rule="invite"), room_of("nonsense"), 5]})
        if "space" in r.path else None)
    space = "!space:" + remote.name
    assert rooms(alice, space) == [space, a]
    asked = [r.path for r in remote.seen(path=V1)]
    assert len(asked) == 2 and asked[1].endswith("d%3A" + remote.name.replace(":", "%3A"))
    assert rooms(alice, space) == [space, a]  # remembered
    assert len(remote.seen(path=V1)) == 2


def test_users_see_only_visible_events(remote, one):
    alice, bob = one.user("alice"), one.user("bob")
    club = alice.create_room()
    a, b = (f"!{n}:{remote.name}" for n in "ab")
    remote.on("GET", V1, lambda r: (200, {
        "room": space_of(remote, a, b), "inaccessible_children": [],
        "children": [room_of(a, join_rule="restricted", allowed_room_ids=[club]),
                     room_of(b, join_rule="invite", world_readable=True)]}))
    space = "!space:" + remote.name
    assert rooms(alice, space) == [space, a, b]
    assert rooms(bob, space) == [space, b]


@pytest.mark.parametrize("answer", [
    {}, {"room": 5}, {"room": {"room_id": "!other:x"}, "children": []}, [], 500,
    {"errcode": "M_NOT_FOUND"}])
def test_answers_that_are_none(remote, one, answer):
    remote.on("GET", V1, answer if isinstance(answer, int) else (200, answer))
    one.user("alice").fails(403, "M_FORBIDDEN", "GET", path("!space:" + remote.name))


def test_malformed_children_are_left_out(remote, one):
    alice, good = one.user("alice"), f"!good:{remote.name}"
    summary = space_of(remote, good)
    child = summary["children_state"][0]
    summary["children_state"] += [
        5, {}, {**child, "state_key": "x"}, {**child, "content": {}}, {**child, "sender": 5},
        {**child, "type": "m.other"}, {**child, "origin_server_ts": "x"}]
    summary["children_state"][0] = {**child, "evil": 1}
    remote.on("GET", V1, lambda r: (200, {"room": {**summary, "evil": 1}, "children": [room_of(good)],
                                          "inaccessible_children": [5, "x"]}))
    found = alice.get(path("!space:" + remote.name))["rooms"]
    assert [r["room_id"] for r in found] == ["!space:" + remote.name, good]
    assert found[0]["children_state"] == [child] and "evil" not in found[0]


def test_a_loop_between_servers_ends(remote, one):
    alice, space = one.user("alice"), make_space(one.user("bob"))
    theirs = "!space:" + remote.name
    remote.on("GET", V1, lambda r: (200, {"room": space_of(remote, space, theirs), "children": [],
                                          "inaccessible_children": []}))
    assert rooms(alice, theirs) == [theirs, space]


def test_a_space_of_many_servers_comes_page_by_page(remote, one):
    """One request asks other servers a bounded number of times."""
    alice = one.user("alice")
    children = [f"!{n:03}:{remote.name}" for n in range(130)]
    space = "!space:" + remote.name

    @remote.on("GET", V1)
    def answer(request):
        id = unquote(request.path[len(V1):])
        room = space_of(remote, *children) if id == space else room_of(id)
        return 200, {"room": room, "children": [], "inaccessible_children": []}

    seen, token, asked = [], {}, 0
    for _ in range(4):
        reply = alice.get(path(space), params={"limit": 100, **token})
        seen += [r["room_id"] for r in reply["rooms"]]
        assert len(remote.seen(path=V1)) - asked <= 50
        asked = len(remote.seen(path=V1))
        token = {"from": reply.get("next_batch")}
        if not token["from"]:
            break
    assert seen == [space, *children] and asked == 131


# ---- summaries ----


def test_the_summary_of_a_room_of_another_concorde(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="public_chat", name="There", topic="Far", room_alias_name=f"s{a.link.port}")
    expected = alice.get(summary_path(room))
    assert expected.pop("membership") == "join"
    assert bob.get(summary_path(room), params={"via": a.name}) == expected
    assert bob.get(summary_path(f"#s{a.link.port}:{a.name}")) == expected
    assert Client(b).get(summary_path(room), params={"via": a.name}) == expected
    private = alice.create_room()
    for nothing in private, "!nowhere:" + a.name, "#nowhere:" + a.name:
        bob.fails(404, "M_NOT_FOUND", "GET", summary_path(nothing), params={"via": a.name})
    bob.fails(404, "M_NOT_FOUND", "GET", summary_path(room + "x"), params={"via": "n o n e"})


def test_closed_federation(remote, ministries):
    m = ministries(federation_domain_whitelist="elsewhere.example")
    alice, space = m.user("alice"), make_space(m.user("bob"))
    theirs = "!space:" + remote.name
    alice.fails(403, "M_FORBIDDEN", "GET", path(theirs), params={"via": remote.name})
    alice.fails(404, "M_NOT_FOUND", "GET", summary_path(theirs), params={"via": remote.name})
    assert remote.link.connections == 0


def test_large_spaces_count_as_many_questions(remote, ministries):
    m = ministries(rate_limits="true", rc_server__per_second="0.01", rc_server__burst_count="10",
                   rc_message__burst_count="1000", rc_room_creation__burst_count="1000")
    alice = m.user("alice")
    space = make_space(alice)
    for n in range(60):
        add(alice, space, f"!{n}:elsewhere.example", m.name)
    assert len(remote.get(m.name, V1 + q(space))["room"]["children_state"]) == 60
    remote.get(m.name, V1 + q(space))  # uses up the rest of the allowance, and more
    remote.fails(m.name, 429, "M_LIMIT_EXCEEDED", "GET", V1 + q(space))


def pages(client, room, limit=100):
    seen, token = [], {}
    while True:
        reply = client.get(path(room), params={"limit": limit, **token})
        seen += [r["room_id"] for r in reply["rooms"]]
        if "next_batch" not in reply:
            return seen
        token = {"from": reply["next_batch"]}


def test_the_rooms_of_a_tree_are_bounded(remote, one):
    """Rooms after the first two thousand are not shown."""
    names = [f"!space{n}:{remote.name}" for n in range(3)]
    inside = {s: [f"!{n}-{k:03}:{remote.name}" for k in range(800)] for n, s in enumerate(names)}

    @remote.on("GET", V1)
    def answer(request):
        id = unquote(request.path[len(V1):])
        summary = space_of(remote, *(inside.get(id) or names))
        return 200, {"room": {**summary, "room_id": id}, "inaccessible_children": [],
                     "children": [room_of(c) for c in inside[id]] if id in inside else
                     [room_of(c, room_type="m.space") for c in names]}
    seen = pages(one.user("alice"), "!space:" + remote.name)
    assert len(seen) == 2000
    assert seen == ["!space:" + remote.name, *[r for s in names for r in (s, *inside[s])]][:2000]

"""Client-server API, "Spaces" (hierarchies) and "Room previews" (summaries)."""

import pytest

from client import q


def path(room):
    return f"/_matrix/client/v1/rooms/{q(room)}/hierarchy"


def rooms(client, room, **params):
    return [r["room_id"] for r in client.get(path(room), params=params)["rooms"]]


def make_space(client, **body):
    return client.create_room(creation_content={"type": "m.space"}, preset="public_chat", **body)


def add(client, space, room, **content):
    client.send_state(space, "m.space.child", {"via": ["test.example"], **content}, room)


def join_rule(rule, **content):
    return [{"type": "m.room.join_rules", "content": {"join_rule": rule, **content}}]


# ---- hierarchies ----


def test_depth_first_and_each_room_once(alice, bob):
    root, sub = make_space(alice, name="Root"), make_space(alice, name="Sub")
    a, b, c = (alice.create_room(preset="public_chat") for _ in range(3))
    add(alice, root, a, order="a")
    add(alice, root, sub, order="b")
    add(alice, root, c, order="c")
    add(alice, sub, b)
    add(alice, sub, a)
    add(alice, sub, root)  # a loop
    assert rooms(bob, root) == [root, a, sub, b, c]
    reply = bob.get(path(root))
    first = reply["rooms"][0]
    assert first["name"] == "Root"
    assert first["room_type"] == "m.space"
    assert first["num_joined_members"] == 1
    assert [e["state_key"] for e in first["children_state"]] == [a, sub, c]
    child = first["children_state"][0]
    assert set(child) == {"type", "state_key", "content", "sender", "origin_server_ts"}
    assert child["content"] == {"via": ["test.example"], "order": "a"}
    assert reply["rooms"][1]["children_state"] == []
    assert "next_batch" not in reply


def test_order_of_children(alice):
    """The example of the spec, with names for rooms."""
    root = make_space(alice)
    made = {name: alice.create_room(preset="public_chat") for name in "abcde"}
    for name, order in (("e", None), ("d", None), ("b", " "), ("a", "aaaa"), ("c", "first")):
        add(alice, root, made[name], **({"order": order} if order else {}))
    assert rooms(alice, root) == [root] + [made[n] for n in "baced"]


def test_orders_that_are_none_come_last(alice):
    root = make_space(alice)
    made = [alice.create_room(preset="public_chat") for _ in range(4)]
    for room, order in zip(made, ["ä", "x" * 51, 1, "z"]):
        add(alice, root, room, order=order)
    assert rooms(alice, root) == [root, made[3], made[0], made[1], made[2]]


def test_removed_children_are_gone(alice):
    root, room = make_space(alice), alice.create_room(preset="public_chat")
    add(alice, root, room)
    alice.send_state(root, "m.space.child", {}, room)
    assert rooms(alice, root) == [root]
    assert alice.get(path(root))["rooms"][0]["children_state"] == []


def test_children_of_ordinary_rooms_do_not_count(alice):
    room, other = (alice.create_room(preset="public_chat") for _ in range(2))
    add(alice, room, other)
    assert rooms(alice, room) == [room]


def test_suggested_only(alice):
    root = make_space(alice)
    a, b = (alice.create_room(preset="public_chat") for _ in range(2))
    add(alice, root, a, suggested=True)
    add(alice, root, b)
    assert rooms(alice, root, suggested_only="true") == [root, a]
    assert rooms(alice, root) == [root, a, b]


def test_max_depth(alice):
    spaces = [make_space(alice) for _ in range(4)]
    for parent, child in zip(spaces, spaces[1:]):
        add(alice, parent, child)
    for depth in range(4):
        assert rooms(alice, spaces[0], max_depth=depth) == spaces[: depth + 1]


def test_pages(alice):
    root = make_space(alice)
    children = [alice.create_room(preset="public_chat") for _ in range(5)]
    for n, child in enumerate(children):
        add(alice, root, child, order=str(n))
    seen, token = [], None
    while True:
        params = {"limit": 2, **({"from": token} if token else {})}
        reply = alice.get(path(root), params=params)
        assert len(reply["rooms"]) <= 2
        seen += [r["room_id"] for r in reply["rooms"]]
        token = reply.get("next_batch")
        if not token:
            break
    assert seen == [root] + children
    token = alice.get(path(root), params={"limit": 2})["next_batch"]
    for params in ({"from": token, "max_depth": 3}, {"from": token, "suggested_only": "true"},
                   {"from": "nonsense"}, {"limit": 0}, {"limit": "x"}, {"max_depth": -1}):
        alice.fails(400, "M_INVALID_PARAM", "GET", path(root), params=params)


def test_a_page_ends_when_it_is_long(alice):
    spaces = [make_space(alice) for _ in range(4)]
    for space in spaces[1:]:
        add(alice, spaces[0], space, order=str(spaces.index(space)))
        for n in range(40):
            add(alice, space, f"!{n}:test.example", note="x" * 60_000)
    seen, tokens = [], [None]
    for token in tokens:
        reply = alice.get(path(spaces[0]), params={"from": token} if token else {})
        seen.append([r["room_id"] for r in reply["rooms"]])
        tokens += [reply["next_batch"]] if "next_batch" in reply else []
    assert seen == [spaces[:3], spaces[3:]]


def test_each_user_sees_only_visible_events(alice, bob):
    root = make_space(alice)
    private = alice.create_room()
    knockable = alice.create_room(initial_state=join_rule("knock"))
    readable = alice.create_room(initial_state=[
        {"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}])
    invited = alice.create_room(invite=[bob.user_id])
    restricted = alice.create_room(initial_state=join_rule(
        "restricted", allow=[{"type": "m.room_membership", "room_id": root}]))
    banned = alice.create_room(preset="public_chat")
    alice.ban(banned, bob)
    everything = [private, knockable, readable, invited, restricted, banned]
    for n, room in enumerate(everything):
        add(alice, root, room, order=str(n))
    assert rooms(alice, root) == [root] + everything
    assert rooms(bob, root) == [root, knockable, readable, invited]
    bob.join(root)
    assert rooms(bob, root) == [root, knockable, readable, invited, restricted]
    found = bob.get(path(root))["rooms"][-1]
    assert found["join_rule"] == "restricted"
    assert found["allowed_room_ids"] == [root]


def test_hierarchy_refusals(alice, bob):
    room = alice.create_room()
    bob.fails(403, "M_FORBIDDEN", "GET", path(room))
    bob.fails(403, "M_FORBIDDEN", "GET", path("!nowhere:test.example"))


# ---- summaries ----

PATHS = ["/_matrix/client/v1/room_summary/{}",
         "/_matrix/client/unstable/im.nheko.summary/summary/{}",
         "/_matrix/client/unstable/im.nheko.summary/rooms/{}/summary"]


@pytest.mark.parametrize("form", PATHS)
def test_summary(alice, bob, anonymous, form):
    name = f"summed-{PATHS.index(form)}"
    room = alice.create_room(
        preset="public_chat", name="Summed", topic="Up", room_alias_name=name, room_version="11",
        initial_state=[{"type": "m.room.encryption",
                        "content": {"algorithm": "m.megolm.v1.aes-sha2"}}])
    expected = {
        "room_id": room, "name": "Summed", "topic": "Up", "num_joined_members": 1,
        "canonical_alias": f"#{name}:test.example", "world_readable": False,
        "guest_can_join": False, "join_rule": "public", "room_version": "11",
        "encryption": "m.megolm.v1.aes-sha2"}
    if "unstable" in form:
        expected.update({"im.nheko.summary.room_version": "11", "im.nheko.summary.version": "11",
                         "im.nheko.summary.encryption": "m.megolm.v1.aes-sha2"})
    assert anonymous.get(form.format(q(room))) == expected
    assert bob.get(form.format(q(f"#{name}:test.example"))) == expected
    assert alice.get(form.format(q(room))) == {**expected, "membership": "join"}
    bob.join(room)
    bob.leave(room)
    assert bob.get(form.format(q(room)))["membership"] == "leave"


def test_summaries_require_access_to_the_room(alice, bob, anonymous):
    def get(client, room):
        return client.request("GET", PATHS[0].format(q(room))).status_code

    private = alice.create_room()
    assert (get(alice, private), get(bob, private), get(anonymous, private)) == (200, 404, 404)
    alice.invite(private, bob)
    assert get(bob, private) == 200
    knock = alice.create_room(initial_state=join_rule("knock"))
    assert (get(bob, knock), get(anonymous, knock)) == (200, 200)
    knock = alice.create_room(initial_state=join_rule("knock"), room_version="6")
    assert get(bob, knock) == 404
    bob.fails(404, "M_NOT_FOUND", "GET", PATHS[0].format(q("!nowhere:test.example")))
    bob.fails(404, "M_NOT_FOUND", "GET", PATHS[0].format(q("#nowhere:test.example")))
    bob.fails(400, "M_INVALID_PARAM", "GET", PATHS[0].format("nonsense"))

"""Client-server API, "Room aliases" and "Published room directory"."""

import pytest

from client import q


def alias(name):
    return f"#{name}:test.example"


def at(name):
    return "/directory/room/" + q(alias(name))


# ---- aliases ----


def test_alias_is_added_and_removed(alice, bob, anonymous):
    room = alice.create_room()
    assert alice.put(at("comes"), {"room_id": room}) == {}
    assert anonymous.get(at("comes")) == {"room_id": room, "servers": ["test.example"]}
    assert alice.get(f"/rooms/{q(room)}/aliases") == {"aliases": [alias("comes")]}
    bob.fails(403, "M_FORBIDDEN", "DELETE", at("comes"))
    assert alice.delete(at("comes")) == {}
    alice.fails(404, "M_NOT_FOUND", "GET", at("comes"))
    alice.fails(404, "M_NOT_FOUND", "DELETE", at("comes"))
    assert alice.get(f"/rooms/{q(room)}/aliases") == {"aliases": []}


def test_alias_is_taken_once(alice, bob):
    room = alice.create_room()
    alice.put(at("once"), {"room_id": room})
    body = alice.call("PUT", at("once"), {"room_id": room}, status=409)
    assert body["errcode"] in ("M_ROOM_IN_USE", "M_UNKNOWN")


@pytest.mark.parametrize("name", ["nonsense", "#x", "#x:elsewhere.example", "#a b:test.example",
                                  "#:test.example", "#" + "x" * 255 + ":test.example"])
def test_aliases_that_are_none(alice, name):
    room = alice.create_room()
    alice.fails(400, "M_INVALID_PARAM", "PUT", "/directory/room/" + q(name), {"room_id": room})


def test_alias_requests(alice, bob, anonymous):
    room = alice.create_room()
    anonymous.fails(400, "M_INVALID_PARAM", "GET", "/directory/room/nonsense")
    anonymous.fails(404, "M_NOT_FOUND", "GET", "/directory/room/" + q("#x:elsewhere.invalid"))
    alice.fails(400, "M_MISSING_PARAM", "PUT", at("requests"), {})
    alice.fails(404, "M_NOT_FOUND", "PUT", at("requests"), {"room_id": "!nowhere:test.example"})
    bob.fails(403, "M_FORBIDDEN", "PUT", at("requests"), {"room_id": room})
    anonymous.fails(401, "M_MISSING_TOKEN", "PUT", at("requests"), {"room_id": room})


def test_the_creator_of_an_alias_and_room_admins_delete_it(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.put(at("bobs-one"), {"room_id": room})
    bob.put(at("bobs-two"), {"room_id": room})
    bob.delete(at("bobs-one"))
    alice.delete(at("bobs-two"))


def test_deleted_alias_leaves_the_canonical_ones(alice):
    room = alice.create_room(room_alias_name="main")
    alice.put(at("second"), {"room_id": room})
    alice.send_state(room, "m.room.canonical_alias",
                     {"alias": alias("main"), "alt_aliases": [alias("second"), alias("main")]})
    alice.delete(at("second"))
    assert alice.state(room, "m.room.canonical_alias") == {
        "alias": alias("main"), "alt_aliases": [alias("main")]}
    alice.delete(at("main"))
    assert alice.state(room, "m.room.canonical_alias") == {"alt_aliases": []}


def test_alias_is_deleted_without_power_over_the_canonical_alias(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.put(at("leftover"), {"room_id": room})
    alice.send_state(room, "m.room.canonical_alias", {"alias": alias("leftover")})
    bob.delete(at("leftover"))
    assert alice.state(room, "m.room.canonical_alias") == {"alias": alias("leftover")}


def test_aliases_of_a_room_are_for_members(alice, bob):
    room = alice.create_room()
    bob.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q(room)}/aliases")
    bob.fails(403, "M_FORBIDDEN", "GET", f"/rooms/{q('!nowhere:test.example')}/aliases")
    alice.send_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    assert bob.get(f"/rooms/{q(room)}/aliases") == {"aliases": []}


# ---- publishing ----


def test_publishing(alice, bob, anonymous):
    room = alice.create_room(preset="public_chat")
    path = f"/directory/list/room/{q(room)}"
    assert anonymous.get(path) == {"visibility": "private"}
    bob.join(room)
    bob.fails(403, "M_FORBIDDEN", "PUT", path, {"visibility": "public"})
    alice.fails(400, "M_INVALID_PARAM", "PUT", path, {"visibility": "secret"})
    assert alice.put(path, {}) == {}
    assert anonymous.get(path) == {"visibility": "public"}
    alice.put(path, {"visibility": "private"})
    assert anonymous.get(path) == {"visibility": "private"}
    missing = f"/directory/list/room/{q('!nowhere:test.example')}"
    anonymous.fails(404, "M_NOT_FOUND", "GET", missing)
    alice.fails(404, "M_NOT_FOUND", "PUT", missing, {"visibility": "public"})


# ---- the list ----


def found(client, term, **body):
    reply = client.post("/publicRooms", {"filter": {"generic_search_term": term}, **body})
    return [r["room_id"] for r in reply["chunk"]], reply


def test_accents_case_and_unicode_form_do_not_matter(alice):
    room = alice.create_room(visibility="public", name="\u00c9ducation na\u00efve \u0152uvres",
                             topic="D\u0131\u015f Stra\u00dfe")
    for term in ("education naive", "E\u0301DUCATION NAI\u0308VE", "\u0153uvres", "oeuvr", "dis stras", "STRASSE"):
        assert room in found(alice, term)[0], term
    assert room not in found(alice, "educatoin")[0]


def test_entries_of_the_list(alice, bob):
    room = alice.create_room(
        visibility="public", name="Shown Room", topic="About ÜBUNGEN", room_alias_name="shown",
        initial_state=[
            {"type": "m.room.avatar", "content": {"url": "mxc://test.example/r"}},
            {"type": "m.room.guest_access", "content": {"guest_access": "can_join"}},
            {"type": "m.room.history_visibility",
             "content": {"history_visibility": "world_readable"}}])
    bob.join(room)
    for term in "shown room", "übungen", "#SHOWN:", "own ro":
        rooms, reply = found(alice, term)
        assert rooms == [room], term
    assert reply["chunk"][0] == {
        "room_id": room, "name": "Shown Room", "topic": "About ÜBUNGEN", "num_joined_members": 2,
        "canonical_alias": alias("shown"), "avatar_url": "mxc://test.example/r",
        "world_readable": True, "guest_can_join": True, "join_rule": "public"}
    assert reply["total_room_count_estimate"] == 1
    assert found(alice, "no room is called this")[0] == []


def test_the_list_keeps_up(alice, bob):
    room = alice.create_room(visibility="public", name="keeps up before")
    assert found(alice, "keeps up before")[0] == [room]
    alice.send_state(room, "m.room.name", {"name": "keeps up after"})
    assert found(alice, "keeps up before")[0] == []
    assert found(alice, "keeps up after")[1]["chunk"][0]["num_joined_members"] == 1
    bob.join(room)
    assert found(alice, "keeps up after")[1]["chunk"][0]["num_joined_members"] == 2
    event = alice.get(f"/rooms/{q(room)}/state/m.room.name", params={"format": "event"})["event_id"]
    alice.redact(room, event)
    assert found(alice, "keeps up after")[0] == []
    alice.send_state(room, "m.room.name", {"name": "keeps up again"})
    alice.put(f"/directory/list/room/{q(room)}", {"visibility": "private"})
    assert found(alice, "keeps up again")[0] == []


def test_long_topics(fresh_server, register):
    """Topics are not shortened; a page ends when it is long."""
    alice = register("alice", on=fresh_server())
    topics = {}
    for n in range(72):
        topic = {"type": "m.room.topic", "content": {"topic": f"{n} " + "t" * 60_000}}
        topics[alice.create_room(visibility="public", initial_state=[topic])] = n
    shown, params, pages = {}, {}, 0
    while True:
        page = alice.get("/publicRooms", params=params)
        shown.update({r["room_id"]: r["topic"] for r in page["chunk"]})
        pages += 1
        if "next_batch" not in page:
            break
        params = {"since": page["next_batch"]}
    assert shown == {room: f"{n} " + "t" * 60_000 for room, n in topics.items()}
    assert pages == 2 and len(page["chunk"]) < 10
    page = alice.get("/publicRooms", params={"since": params["since"], "limit": 1})
    page = alice.get("/publicRooms", params={"since": page["next_batch"], "limit": 1})
    walked, pages = [r["room_id"] for r in page["chunk"]], 0
    while "prev_batch" in page:
        page = alice.get("/publicRooms", params={"since": page["prev_batch"]})
        walked[:0] = [r["room_id"] for r in page["chunk"]]
        pages += 1
    assert walked == list(shown)[:len(walked)] and len(walked) > 71 and pages == 2
    assert found(alice, "71 tt")[0] == [room for room, n in topics.items() if n == 71]


def test_searches_in_long_topics(alice):
    filler = "x" * 4000
    near = alice.create_room(visibility="public", topic=f"{filler} halcyon")
    alice.create_room(visibility="public", topic=f"{filler} {filler} halcyon")
    assert found(alice, "halcyon")[0] == found(alice, "*hal*cyon")[0] == [near]


def test_room_types(alice):
    plain = alice.create_room(visibility="public", name="typed plain")
    space = alice.create_room(visibility="public", name="typed space",
                              creation_content={"type": "m.space"})
    other = alice.create_room(visibility="public", name="typed other",
                              creation_content={"type": "org.example"})

    def of(types):
        reply = alice.post("/publicRooms", {
            "filter": {"generic_search_term": "typed", "room_types": types}})
        return {r["room_id"] for r in reply["chunk"]}

    assert of([None]) == {plain}
    assert of(["m.space"]) == {space}
    assert of([None, "m.space"]) == {plain, space}
    assert of(["org.example", "org.unknown"]) == {other}
    assert of([]) == set()
    assert of(["m.space\0"]) == of([5]) == set()


def test_pages(alice, register):
    rooms = [alice.create_room(visibility="public", name=f"paged {n}") for n in range(5)]
    for n, room in enumerate(rooms):
        for _ in range(n % 3):
            register("filler").join(room)
    expected, _ = found(alice, "paged")
    sizes = [r["num_joined_members"] for r in found(alice, "paged")[1]["chunk"]]
    assert sizes == sorted(sizes, reverse=True)
    seen, since, pages = [], None, []
    while True:
        body = {"limit": 2, **({"since": since} if since else {})}
        page, reply = found(alice, "paged", **body)
        seen += page
        pages.append((page, reply))
        since = reply.get("next_batch")
        if not since:
            break
    assert seen == expected
    assert len(pages) == 3
    back, reply = found(alice, "paged", limit=2, since=pages[2][1]["prev_batch"])
    assert back == pages[1][0]
    assert "prev_batch" not in pages[0][1]
    back, reply = found(alice, "paged", limit=2, since=reply["prev_batch"])
    assert back == pages[0][0]
    assert "prev_batch" not in reply


def test_get_pages(alice):
    for n in range(3):
        alice.create_room(visibility="public", name=f"got {n}")
    first = alice.get("/publicRooms", params={"limit": 1})
    second = alice.get("/publicRooms", params={"limit": 1, "since": first["next_batch"]})
    assert len(first["chunk"]) == len(second["chunk"]) == 1
    assert first["chunk"][0]["room_id"] != second["chunk"][0]["room_id"]


def test_bad_queries(alice, anonymous):
    alice.fails(400, "M_INVALID_PARAM", "GET", "/publicRooms?since=nonsense")
    alice.fails(400, "M_INVALID_PARAM", "GET", "/publicRooms?limit=many")
    alice.fails(400, "M_BAD_JSON", "POST", "/publicRooms", {"filter": []})
    alice.fails(400, "M_BAD_JSON", "POST", "/publicRooms", {"limit": "many"})
    alice.fails(400, "M_INVALID_PARAM", "POST", "/publicRooms",
                {"include_all_networks": True, "third_party_instance_id": "irc"})
    anonymous.fails(401, "M_MISSING_TOKEN", "GET", "/publicRooms")


def test_networks(alice):
    alice.create_room(visibility="public", name="networked")
    assert found(alice, "networked", include_all_networks=True)[0]
    assert found(alice, "networked", third_party_instance_id="irc")[0] == []


def test_without_signing_in_where_that_is_allowed(fresh_server, register):
    server = fresh_server(allow_public_rooms_without_auth="true")
    host = register("host", on=server)
    room = host.create_room(visibility="public")
    host.token = None
    assert [r["room_id"] for r in host.get("/publicRooms")["chunk"]] == [room]

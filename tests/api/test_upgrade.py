"""Client-server API, "Room upgrades"."""

import concurrent.futures

import pytest

from client import q
from restoring import busy_workers, commits_held, psql, uri_of
from waiting import eventually

VERSIONS = [str(v) for v in range(1, 13)]


def upgrade(client, room, version, **body):
    return client.post(f"/rooms/{q(room)}/upgrade", {"new_version": version, **body})[
        "replacement_room"]


def refused(client, room, status, errcode, **body):
    client.fails(status, errcode, "POST", f"/rooms/{q(room)}/upgrade", body)


@pytest.mark.parametrize("version", VERSIONS)
def test_up_to_the_newest_and_back(alice, bob, version):
    room = alice.create_room(room_version=version, preset="public_chat", name="Up")
    for to in "12", version:
        new = upgrade(alice, room, to)
        create = alice.state(new, "m.room.create")
        assert create["room_version"] == to
        assert create["predecessor"]["room_id"] == room
        assert ("event_id" in create["predecessor"]) == (to != "12")
        tombstone = alice.state(room, "m.room.tombstone")
        assert tombstone["replacement_room"] == new
        assert tombstone["body"]
        assert alice.state(new, "m.room.name") == {"name": "Up"}
        levels = alice.state(new, "m.room.power_levels")
        assert levels["users"] == ({} if to == "12" else {alice.user_id: 100})
        bob.join(new)
        bob.send(new, "hello")
        alice.send_state(new, "m.room.topic", {"topic": "still mine"})
        room = new


def test_state_moves(alice, register):
    carol = register("carol")
    state = {
        "m.room.name": {"name": "N"}, "m.room.topic": {"topic": "T"},
        "m.room.avatar": {"url": "mxc://test.example/a"},
        "m.room.encryption": {"algorithm": "m.megolm.v1.aes-sha2"},
        "m.room.history_visibility": {"history_visibility": "joined"},
        "m.room.guest_access": {"guest_access": "forbidden"},
        "m.room.server_acl": {"allow": ["*"], "deny": ["evil.example"]},
        "m.room.join_rules": {"join_rule": "knock"},
    }
    room = alice.create_room(
        room_version="10", creation_content={"type": "org.example.type", "m.federate": False},
        initial_state=[{"type": t, "content": c} for t, c in state.items()]
        + [{"type": "org.example.private", "content": {"a": 1}}])
    alice.ban(room, carol, reason="spam")
    alice.send_state(room, "m.room.power_levels", {
        **alice.state(room, "m.room.power_levels"),
        "users": {alice.user_id: 100, "@mod:test.example": 50}, "ban": 60})
    new = upgrade(alice, room, "11")
    for type, content in state.items():
        assert alice.state(new, type) == content
    create = alice.state(new, "m.room.create")
    assert create["type"] == "org.example.type"
    assert create["m.federate"] is False
    assert alice.state(new, "m.room.member", carol.user_id) == {
        "membership": "ban", "reason": "spam"}
    levels = alice.state(new, "m.room.power_levels")
    assert levels["users"] == {alice.user_id: 100, "@mod:test.example": 50}
    assert levels["ban"] == 60
    alice.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(new)}/state/org.example.private")


def test_levels_written_as_text_become_numbers(alice):
    room = alice.create_room(room_version="9")
    alice.send_state(room, "m.room.power_levels", {
        "users": {alice.user_id: "100"}, "ban": "40", "events": {"x": "7"}})
    levels = alice.state(upgrade(alice, room, "10"), "m.room.power_levels")
    assert levels == {"users": {alice.user_id: 100}, "ban": 40, "events": {"x": 7}}


def test_join_rules_that_the_new_version_lacks(alice):
    room = alice.create_room(room_version="8", initial_state=[
        {"type": "m.room.join_rules", "content": {"join_rule": "restricted", "allow": []}}])
    new = upgrade(alice, room, "6")
    assert alice.state(new, "m.room.join_rules") == {"join_rule": "invite"}


def test_aliases_and_publication_move(alice):
    room = alice.create_room(visibility="public", room_alias_name="moving")
    alice.put("/directory/room/" + q("#moving-too:test.example"), {"room_id": room})
    alice.send_state(room, "m.room.canonical_alias", {
        "alias": "#moving:test.example", "alt_aliases": ["#moving-too:test.example"]})
    new = upgrade(alice, room, "12")
    for alias in "#moving:test.example", "#moving-too:test.example":
        assert alice.get("/directory/room/" + q(alias))["room_id"] == new
    assert alice.state(new, "m.room.canonical_alias") == {
        "alias": "#moving:test.example", "alt_aliases": ["#moving-too:test.example"]}
    assert alice.state(room, "m.room.canonical_alias") == {}
    assert alice.get(f"/directory/list/room/{q(new)}") == {"visibility": "public"}
    assert alice.get(f"/directory/list/room/{q(room)}") == {"visibility": "private"}


def test_the_old_room_falls_silent(alice, bob):
    room = alice.create_room(preset="public_chat", room_version="11")
    bob.join(room)
    upgrade(alice, room, "12")
    levels = alice.state(room, "m.room.power_levels")
    assert levels["events_default"] == 50
    assert levels["invite"] == 50
    bob.fails(403, "M_FORBIDDEN", "PUT", f"/rooms/{q(room)}/send/m.room.message/1", {"body": "x"})


def test_moderators_who_may_send_tombstones_upgrade(alice, bob):
    """The upgrading user keeps their low power level."""
    room = alice.create_room(preset="public_chat", room_version="11", name="Theirs")
    bob.join(room)
    levels = alice.state(room, "m.room.power_levels")
    alice.send_state(room, "m.room.power_levels", {
        **levels, "users": {alice.user_id: 100, bob.user_id: 50},
        "events": {**levels["events"], "m.room.tombstone": 50}})
    new = upgrade(bob, room, "11")
    assert bob.state(new, "m.room.power_levels")["users"] == {alice.user_id: 100, bob.user_id: 50}
    assert bob.state(new, "m.room.name") == {"name": "Theirs"}
    assert bob.state(room, "m.room.tombstone")["replacement_room"] == new
    assert bob.state(room, "m.room.power_levels") == {
        **levels, "users": {alice.user_id: 100, bob.user_id: 50},
        "events": {**levels["events"], "m.room.tombstone": 50}}


def test_changes_while_a_room_is_upgraded(alice, bob):
    """A moderator loses their power, and the room is closed, after the new room was prepared."""
    room = alice.create_room(preset="public_chat", room_version="11")
    bob.join(room)
    levels = alice.state(room, "m.room.power_levels")
    alice.send_state(room, "m.room.power_levels", {
        **levels, "users": {alice.user_id: 100, bob.user_id: 50}})
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        with commits_held(alice.server) as waiting:
            new = pool.submit(upgrade, alice, room, "11")
            eventually(waiting)
            set_levels = pool.submit(alice.send_state, room, "m.room.power_levels", levels)
            set_rule = pool.submit(alice.send_state, room, "m.room.join_rules", {"join_rule": "invite"})
            eventually(lambda: busy_workers(alice) == 3)
        new, changes = new.result(), [set_levels.result(), set_rule.result()]
    assert alice.state(new, "m.room.power_levels") == levels
    assert alice.state(new, "m.room.join_rules") == {"join_rule": "invite"}
    assert all(changes)


def test_many_bans_are_copied_in_parts(alice):
    room = alice.create_room(preset="public_chat", room_version="11")
    banned = {f"@spammer{i}:test.example" for i in range(1200)}
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda u: alice.post(f"/rooms/{q(room)}/ban", {"user_id": u}), banned))
    new = upgrade(alice, room, "12")
    state = alice.state(new)
    assert {e["state_key"] for e in state if e["type"] == "m.room.member" and
            e["content"]["membership"] == "ban"} == banned
    assert alice.state(new, "m.room.join_rules") == {"join_rule": "public"}
    sizes = psql(uri_of(alice.server), "SELECT count(*) FROM events e JOIN rooms r ON r.id = e.room WHERE "
                 f"r.room_id = '{new}' GROUP BY e.xmin::text")
    assert max(int(n) for n in sizes.split()) <= 1000 and sum(int(n) for n in sizes.split()) == len(state)


def test_more_bans_than_are_copied(fresh_server, register):
    server = fresh_server()
    alice = register("alice", on=server)
    room = alice.create_room(room_version="11")
    psql(uri_of(server), "INSERT INTO users (id, user_id) SELECT 100000 + n, '@spammer' || n || ':test.example' "
         "FROM generate_series(1, 20001) n")
    psql(uri_of(server), "INSERT INTO room_members (room, \"user\", membership, event, is_local) SELECT m.room, u.id, "
         "4, m.event, true FROM room_members m, users u WHERE u.id > 100000")
    server.restart()  # so that the room is read anew
    alice.http.base_url = server.url
    refused(alice, room, 413, "M_TOO_LARGE", new_version="12")


def test_an_upgrade_that_fails_leaves_no_room(alice, bob):
    """The user loses the right to send the tombstone meanwhile: the new room is given up."""
    room = alice.create_room(preset="public_chat", room_version="11")
    bob.join(room)
    levels = alice.state(room, "m.room.power_levels")
    mighty = {**levels, "users": {alice.user_id: 100, bob.user_id: 100}}
    alice.send_state(room, "m.room.power_levels", mighty)
    before = set(bob.get("/joined_rooms")["joined_rooms"])
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        with commits_held(alice.server) as waiting:
            failed = pool.submit(bob.fails, 403, "M_FORBIDDEN", "POST", f"/rooms/{q(room)}/upgrade",
                                 {"new_version": "12"})
            eventually(waiting)
            demoted = pool.submit(bob.send_state, room, "m.room.power_levels", levels)
            eventually(lambda: busy_workers(alice) == 2)
        failed.result(), demoted.result()
    assert set(bob.get("/joined_rooms")["joined_rooms"]) == before


def test_additional_creators(alice, bob):
    room = alice.create_room(preset="public_chat", room_version="11")
    levels = alice.state(room, "m.room.power_levels")
    alice.send_state(room, "m.room.power_levels", {
        **levels, "users": {alice.user_id: 100, bob.user_id: 100, "@c:test.example": 50}})
    new = upgrade(alice, room, "12", additional_creators=[bob.user_id])
    assert alice.state(new, "m.room.create")["additional_creators"] == [bob.user_id]
    levels = alice.state(new, "m.room.power_levels")
    assert levels["users"] == {"@c:test.example": 50}
    assert levels["events"]["m.room.tombstone"] == 150
    again = upgrade(alice, new, "12")
    assert "additional_creators" not in alice.state(again, "m.room.create")
    older = upgrade(alice, again, "11", additional_creators=[bob.user_id])
    assert "additional_creators" not in alice.state(older, "m.room.create")
    refused(alice, older, 400, "M_INVALID_PARAM", new_version="12", additional_creators=["bob"])
    refused(alice, older, 400, "M_BAD_JSON", new_version="12", additional_creators="@b:x")


def test_a_space_keeps_its_rooms(alice):
    room = alice.create_room()
    space = alice.create_room(creation_content={"type": "m.space"})
    alice.send_state(space, "m.space.child", {"via": ["test.example"]}, room)
    alice.send_state(space, "m.space.child", {}, "!removed:test.example")
    new = upgrade(alice, space, "12")
    children = [e for e in alice.state(new) if e["type"] == "m.space.child"]
    assert [e["state_key"] for e in children] == [room]


def test_settings_of_a_user_are_copied(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    for user in alice, bob:
        home = f"/user/{q(user.user_id)}"
        user.put(f"{home}/rooms/{q(room)}/tags/m.favourite", {"order": 0.5})
        user.put(f"/pushrules/global/room/{q(room)}", {"actions": []})
        user.put(f"{home}/account_data/m.direct", {"@x:test.example": [room], "@y:z": []})
    new = upgrade(alice, room, "12")
    bob.join(new)
    for user in alice, bob:
        home = f"/user/{q(user.user_id)}"
        assert user.get(f"{home}/rooms/{q(new)}/tags") == {"tags": {"m.favourite": {"order": 0.5}}}
        assert user.get(f"/pushrules/global/room/{q(new)}/actions") == {"actions": []}
        assert user.get(f"{home}/account_data/m.direct") == {
            "@x:test.example": [room, new], "@y:z": []}
        user.get(f"/pushrules/global/room/{q(room)}/actions")


def follow(user, old, new):
    """Sets state in the old room that is copied, joins the new room by new(), and checks it."""
    home = f"/user/{q(user.user_id)}"
    user.put(f"{home}/rooms/{q(old)}/tags/m.favourite", {"order": 0.5})
    user.put(f"/pushrules/global/room/{q(old)}", {"actions": []})
    room = new()
    assert user.get(f"{home}/rooms/{q(room)}/tags") == {"tags": {"m.favourite": {"order": 0.5}}}
    assert user.get(f"/pushrules/global/room/{q(room)}/actions") == {"actions": []}
    return room


def test_settings_are_copied_to_a_successor_made_by_hand(alice, bob):
    old = alice.create_room(visibility="public", room_alias_name="by-hand", preset="public_chat")
    bob.join(old)
    new = follow(alice, old, lambda: alice.create_room(
        preset="public_chat", creation_content={"predecessor": {"room_id": old, "event_id": "$x"}}))
    alias = "/directory/room/" + q("#by-hand:test.example")
    unlinked = alice.create_room(
        preset="public_chat", creation_content={"predecessor": {"room_id": old, "event_id": "$x"}})
    bob.join(unlinked)  # the old room has no tombstone
    assert alice.get(alias)["room_id"] == old
    alice.send_state(old, "m.room.tombstone", {"body": "moved", "replacement_room": new})
    follow(bob, old, lambda: bob.join(new) or new)
    assert alice.get(alias)["room_id"] == new
    assert alice.get(f"/directory/list/room/{q(new)}") == {"visibility": "public"}
    assert alice.get(f"/directory/list/room/{q(old)}") == {"visibility": "private"}


def test_settings_are_copied_after_an_upgrade_on_another_server(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    old = alice.create_room(preset="public_chat")
    bob.join(old, via=[a.name])
    levels = alice.state(old, "m.room.power_levels")
    levels["users"] = {**levels.get("users", {}), bob.user_id: 100}
    alice.send_state(old, "m.room.power_levels", levels)
    eventually(lambda: bob.state(old, "m.room.power_levels") == levels)
    alias = f"/directory/room/{q(f'#theirs:{b.name}')}"
    bob.put(alias, {"room_id": old})
    bob.put(f"/directory/list/room/{q(old)}", {"visibility": "public"})
    new = alice.post(f"/rooms/{q(old)}/upgrade", {"new_version": "11"})["replacement_room"]
    eventually(lambda: bob.request(
        "GET", f"/rooms/{q(old)}/state/m.room.tombstone").status_code == 200)
    follow(bob, old, lambda: bob.join(new, via=[a.name]) or new)
    assert bob.get(alias)["room_id"] == new
    assert bob.get(f"/directory/list/room/{q(new)}") == {"visibility": "public"}
    assert bob.get(f"/directory/list/room/{q(old)}") == {"visibility": "private"}


def test_refusals(alice, bob):
    room = alice.create_room(preset="public_chat")
    refused(bob, room, 403, "M_FORBIDDEN", new_version="11")
    bob.join(room)
    refused(bob, room, 403, "M_FORBIDDEN", new_version="11")
    refused(alice, room, 400, "M_UNSUPPORTED_ROOM_VERSION", new_version="ancient")
    refused(alice, room, 400, "M_MISSING_PARAM")
    refused(alice, room, 400, "M_BAD_JSON", new_version=11)
    refused(alice, "!nowhere:test.example", 404, "M_NOT_FOUND", new_version="11")
    alice.fails(404, "M_NOT_FOUND", "GET", f"/rooms/{q(room)}/state/m.room.tombstone")


def test_a_room_is_not_replaced_by_itself(alice):
    room = alice.create_room()
    alice.fails(400, "M_INVALID_PARAM", "PUT", f"/rooms/{q(room)}/state/m.room.tombstone",
                {"body": "gone", "replacement_room": room})
    alice.send_state(room, "m.room.tombstone", {"body": "gone", "replacement_room": "!other:x.example"})

"""Server-server API, "Querying for information": aliases and profiles, asked and answered; and
"OpenID"."""

import time

import httpx
import pytest

import plain
from client import Client, q
from federation import authority
from remote import FED
from waiting import eventually

V1 = FED + "/v1"


@pytest.fixture
def one(two):
    return two[0]


def fed_query(remote, server, kind, status=200, **params):
    uri = f"{V1}/query/{kind}?" + "&".join(f"{k}={q(v)}" for k, v in params.items())
    return remote.get(server.name, uri, status=status)


# ---- aliases ----


def test_an_alias_of_another_concorde(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    name = f"hall-{time.time_ns()}"
    room = alice.create_room(room_alias_name=name)
    alias = f"#{name}:{a.name}"
    found = {"room_id": room, "servers": [a.name]}
    assert bob.get(f"/directory/room/{q(alias)}") == found
    assert Client(b).get(f"/directory/room/{q(alias)}") == found  # without a user
    bob.fails(404, "M_NOT_FOUND", "GET", f"/directory/room/{q('#nowhere:' + a.name)}")


def test_answering_for_aliases(remote, one):
    alice = one.user("alice")
    name = f"hall-{time.time_ns()}"
    room = alice.create_room(room_alias_name=name)
    assert fed_query(remote, one, "directory", room_alias=f"#{name}:{one.name}") == {
        "room_id": room, "servers": [one.name]}
    for alias, status, errcode in [
            (f"#nowhere:{one.name}", 404, "M_NOT_FOUND"),
            ("#x:elsewhere.example", 400, "M_INVALID_PARAM"),
            ("nonsense", 400, "M_INVALID_PARAM")]:
        assert fed_query(remote, one, "directory", status, room_alias=alias)["errcode"] == errcode
    remote.fails(one.name, 400, "M_MISSING_PARAM", "GET", f"{V1}/query/directory")
    remote.fails(one.name, 401, "M_UNAUTHORIZED", "GET", f"{V1}/query/directory?room_alias=x",
                 sign=False)
    remote.fails(one.name, 404, "M_UNRECOGNIZED", "GET", f"{V1}/query/weather?where=here")


def test_alias_answers_are_checked(remote, one):
    alice = one.user("alice")
    alias = f"#x:{remote.name}"

    def alias_answered(answer):
        remote.on("GET", f"{V1}/query/directory", lambda r: (200, answer))
        return f"/directory/room/{q(f'#{time.time_ns()}:{remote.name}')}"

    for answer in ({}, {"room_id": "nonsense", "servers": []}, {"room_id": 5}, []):
        alice.fails(502, "M_BAD_STATUS", "GET", alias_answered(answer))
    good = {"room_id": "!room:x", "servers": ["good.example", 5, "b/ad", one.name, "good.example:1"]}
    assert alice.get(alias_answered(good)) == {"room_id": "!room:x",
                                               "servers": ["good.example", "good.example:1"]}
    many = {"room_id": "!room:x", "servers": [f"s{n}.example" for n in range(1000)]}
    assert len(alice.get(alias_answered(many))["servers"]) == 50
    assert alice.get(alias_answered({"room_id": "!room:x"}))["servers"] == [remote.name]
    remote.link.cut()
    alice.fails(404, "M_NOT_FOUND", "GET", f"/directory/room/{q('#later' + alias)}")


def test_answers_are_remembered_for_a_while(remote, one):
    alice, alias = one.user("alice"), f"#hall:{remote.name}"
    remote.aliases[alias] = "!somewhere:" + remote.name
    for _ in range(3):
        assert alice.get(f"/directory/room/{q(alias)}")["room_id"] == remote.aliases[alias]
        alice.fails(404, "M_NOT_FOUND", "GET", f"/directory/room/{q('#no' + alias[1:])}")
    assert len(remote.seen(path=f"{V1}/query/directory")) == 2
    assert all(r.is_authentic for r in remote.seen(path=f"{V1}/query/directory"))


def test_answers_are_forgotten_when_joining_through_them_failed(remote, one):
    alice, alias, carol = one.user("alice"), f"#hall:{remote.name}", remote.user("carol")
    remote.aliases[alias] = "!gone:" + remote.name
    assert alice.request("POST", f"/join/{q(alias)}", {}).status_code == 404
    room = remote.create_room(carol)
    remote.aliases[alias] = room.id
    assert alice.post(f"/join/{q(alias)}", {})["room_id"] == room.id


def test_answers_are_forgotten_when_the_server_joined(remote, one):
    alice, alias, carol = one.user("alice"), f"#hall:{remote.name}", remote.user("carol")
    path = f"/directory/room/{q(alias)}"
    alice.fails(404, "M_NOT_FOUND", "GET", path)
    room = alice.create_room(preset="public_chat")
    remote.aliases[alias] = room
    alice.fails(404, "M_NOT_FOUND", "GET", path)
    remote.join(one.name, room, carol)
    assert alice.get(path)["room_id"] == room


def test_canonical_aliases_of_other_servers(remote, one):
    alice = one.user("alice")
    room = alice.create_room()
    good, bad = f"#good:{remote.name}", f"#bad:{remote.name}"
    remote.aliases.update({good: room, bad: "!other:" + remote.name})
    path = f"/rooms/{q(room)}/state/m.room.canonical_alias/"
    alice.put(path, {"alias": good})
    alice.fails(400, "M_BAD_ALIAS", "PUT", path, {"alias": good, "alt_aliases": [bad]})
    alice.fails(400, "M_BAD_ALIAS", "PUT", path, {"alias": f"#none:{remote.name}"})
    assert alice.state(room, "m.room.canonical_alias") == {"alias": good}


# ---- profiles ----


def test_a_profile_of_another_concorde(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    alice.put(f"/profile/{alice.user_id}/displayname", {"displayname": "Alice"})
    alice.put(f"/profile/{alice.user_id}/org.example.job", {"org.example.job": {"title": "clerk"}})
    whole = {"displayname": "Alice", "org.example.job": {"title": "clerk"}}
    assert bob.get(f"/profile/{q(alice.user_id)}") == whole
    assert Client(b).get(f"/profile/{q(alice.user_id)}") == whole
    for field, value in whole.items():
        assert bob.get(f"/profile/{q(alice.user_id)}/{field}") == {field: value}
    bob.fails(404, "M_NOT_FOUND", "GET", f"/profile/{q(alice.user_id)}/avatar_url")
    bob.fails(404, "M_NOT_FOUND", "GET", f"/profile/{q('@unknown:' + a.name)}")


def test_answering_for_profiles(remote, one):
    alice = one.user("alice", )
    alice.put(f"/profile/{alice.user_id}/displayname", {"displayname": "Alice"})
    assert fed_query(remote, one, "profile", user_id=alice.user_id) == {"displayname": "Alice"}
    assert fed_query(remote, one, "profile", user_id=alice.user_id, field="displayname") == {
        "displayname": "Alice"}
    for params, status, errcode in [
            ({"user_id": f"@unknown:{one.name}"}, 404, "M_NOT_FOUND"),
            ({"user_id": alice.user_id, "field": "avatar_url"}, 404, "M_NOT_FOUND"),
            ({"user_id": remote.user("carol")}, 400, "M_INVALID_PARAM"),
            ({"user_id": "nonsense"}, 400, "M_INVALID_PARAM"),
            ({}, 400, "M_MISSING_PARAM")]:
        assert fed_query(remote, one, "profile", status, **params)["errcode"] == errcode


def test_profiles_are_not_served_when_switched_off(remote, ministries):
    m = ministries(allow_profile_lookup_over_federation="false")
    alice = m.user("alice")
    assert fed_query(remote, m, "profile", 403, user_id=alice.user_id)["errcode"] == "M_FORBIDDEN"


def test_profiles_can_require_a_token(remote, ministries):
    m = ministries(require_auth_for_profile_requests="true")
    alice, anonymous, carol = m.user("alice"), Client(m), remote.user("carol")
    remote.profiles[carol] = {"displayname": "Carol"}
    for user in alice.user_id, carol:
        anonymous.fails(401, "M_MISSING_TOKEN", "GET", f"/profile/{q(user)}")
        anonymous.fails(401, "M_MISSING_TOKEN", "GET", f"/profile/{q(user)}/displayname")
    assert alice.get(f"/profile/{q(carol)}") == {"displayname": "Carol"}


def test_profile_answers_are_checked(remote, one):
    alice, carol = one.user("alice"), remote.user("carol")
    remote.profiles[carol] = {"displayname": 5, "avatar_url": ["x"], "org.example.x": [1, None]}
    assert alice.get(f"/profile/{q(carol)}") == {"org.example.x": [1, None]}
    remote.on("GET", f"{V1}/query/profile", lambda r: (200, {"displayname": "A", "more": 1}))
    assert alice.get(f"/profile/{q(carol)}/displayname") == {"displayname": "A"}
    dave = remote.user("dave")
    remote.on("GET", f"{V1}/query/profile", lambda r: (200, {"displayname": "A" * 10**6}))
    assert alice.request("GET", f"/profile/{q(dave)}").status_code >= 400
    remote.on("GET", f"{V1}/query/profile", (403, {"errcode": "M_FORBIDDEN", "error": "no"}))
    alice.fails(403, "M_FORBIDDEN", "GET", f"/profile/{q(remote.user('erin'))}")
    remote.on("GET", f"{V1}/query/profile", (200, ["no object"]))
    assert alice.request("GET", f"/profile/{q(remote.user('frank'))}").status_code == 502


def test_a_silent_server_does_not_stall_others(remote, remotes, one):
    """Many queries wait for it; those to other servers and for local profiles stay fast."""
    alice, other = one.user("alice"), remotes()
    askers = [one.user("asker") for _ in range(4)]  # a few of each user wait at once
    statuses = []
    remote.link.mute()
    with httpx.Client(base_url=one.url, timeout=0.3, verify=plain.TLS) as c:
        for n in range(40):
            try:
                r = c.get(f"/_matrix/client/v3/profile/{q(f'@u{n}:{remote.name}')}",
                          headers={"Authorization": f"Bearer {askers[n % 4].token}"})
                statuses.append((r.status_code, "retry-after" in r.headers))
            except httpx.TimeoutException:
                statuses.append(None)
            if n % 10 == 9:
                before = time.monotonic()
                alice.get(f"/profile/{alice.user_id}")
                carol = other.user(f"carol-{n}")
                other.profiles[carol] = {"displayname": "Carol"}
                assert alice.get(f"/profile/{q(carol)}") == {"displayname": "Carol"}
                assert time.monotonic() - before < 2
    assert statuses[:8] == [None] * 8 and (503, True) in statuses[8:]


def test_one_server_may_not_ask_too_much(remote, remotes, ministries):
    m = ministries(rate_limits="true", rc_server__per_second="0.01", rc_server__burst_count="3")
    uri = f"{V1}/query/profile?user_id={q('@unknown:' + m.name)}"
    for _ in range(3):
        remote.fails(m.name, 404, "M_NOT_FOUND", "GET", uri)
    remote.fails(m.name, 429, "M_LIMIT_EXCEEDED", "GET", uri)
    remote.fails(m.name, 429, "M_LIMIT_EXCEEDED", "GET", FED + "/v1/publicRooms")
    remotes().fails(m.name, 404, "M_NOT_FOUND", "GET", uri)


def test_one_user_may_not_have_too_much_asked(remote, ministries):
    m = ministries(rate_limits="true", rc_remote__per_second="0.01", rc_remote__burst_count="3",
                   rc_registration__burst_count="100")
    alice, bob = m.user("alice"), m.user("bob")
    carol = remote.user("carol")
    for _ in range(3):
        alice.fails(404, "M_NOT_FOUND", "GET", f"/profile/{q(carol)}")
    alice.fails(429, "M_LIMIT_EXCEEDED", "GET", f"/profile/{q(carol)}")
    bob.fails(404, "M_NOT_FOUND", "GET", f"/profile/{q(carol)}")


def test_closed_federation(remote, ministries):
    m = ministries(federation_domain_whitelist="elsewhere.example")
    alice, carol = m.user("alice"), remote.user("carol")
    alice.fails(403, "M_FORBIDDEN", "GET", f"/profile/{q(carol)}")
    alice.fails(403, "M_FORBIDDEN", "GET", f"/directory/room/{q('#x:' + remote.name)}")
    alice.fails(403, "M_FORBIDDEN", "GET", "/publicRooms", params={"server": remote.name})
    remote.fails(m.name, 403, "M_FORBIDDEN", "GET", f"{V1}/query/profile?user_id={alice.user_id}")
    assert remote.link.connections == 0


# ---- openid ----


def test_openid_userinfo(one):
    alice = one.user("alice")
    token = alice.post(f"/user/{alice.user_id}/openid/request_token")
    assert token["matrix_server_name"] == one.name and token["token_type"] == "Bearer"
    with httpx.Client(verify=authority().client_context()) as c:
        url = f"https://{one.name}{V1}/openid/userinfo"
        assert c.get(url, params={"access_token": token["access_token"]}).json() == {
            "sub": alice.user_id}
        for wrong in ({}, {"access_token": "wrong"}, {"access_token": alice.token}):
            assert c.get(url, params=wrong).status_code == 401


def test_users_of_other_servers_are_found_by_their_names(remote, two):
    one = two[0]
    alice, bob = one.user("alice"), one.user("bob")
    carol = remote.user(f"carol{one.link.port}")
    room = alice.create_room(preset="public_chat")
    there = remote.join(one.name, room, carol, content={"displayname": "Frau Übel"})
    find = lambda who, term: [(u["user_id"], u.get("display_name")) for u in who.post(
        "/user_directory/search", {"search_term": term})["results"]]
    assert find(alice, "frau ü") == [(carol, "Frau Übel")]
    assert find(alice, "FRAU ÜBEL") == find(alice, carol[1:8]) == [(carol, "Frau Übel")]
    assert find(bob, "frau ü") == []
    assert find(bob, carol) == [(carol, None)]  # the room is public, but bob has not seen her in it
    remote.set_member(there, carol, carol, "join", displayname="a\0b", avatar_url="mxc://x/y")
    eventually(lambda: find(alice, carol) == [(carol, "a\ufffdb")])
    alice.send_state(room, "m.room.join_rules", {"join_rule": "invite"})
    assert find(bob, carol) == []

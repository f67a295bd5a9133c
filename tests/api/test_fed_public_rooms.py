"""Server-server API, "Published Room Directory"."""

import pytest

from conftest import running
from federation import Ministry
from remote import FED

PATH = FED + "/v1/publicRooms"
URL = "/publicRooms"


@pytest.fixture(scope="module")
def open_one(network):
    """A server with only these rooms in its directory."""
    m = Ministry(network).start()
    running.append(m)
    alice = m.user("alice")
    for name, type in ("Beta", None), ("Alpha", "m.space"), ("Gamma", None):
        alice.create_room(name=name, visibility="public", topic=f"All about {name}",
                          creation_content={"type": type} if type else {})
    alice.create_room(name="Hidden", preset="public_chat")
    yield m
    running.remove(m)
    m.close()


def names(reply):
    return sorted(r.get("name") for r in reply["chunk"])


def test_answering(remote, open_one):
    reply = remote.get(open_one.name, PATH)
    assert names(reply) == ["Alpha", "Beta", "Gamma"] and reply["total_room_count_estimate"] == 3
    one = next(r for r in reply["chunk"] if r["name"] == "Alpha")
    assert one["room_type"] == "m.space" and one["num_joined_members"] == 1
    assert one["topic"] == "All about Alpha" and one["join_rule"] == "public"
    post = lambda **body: names(remote.call(open_one.name, "POST", PATH, body))
    assert post() == ["Alpha", "Beta", "Gamma"]
    assert post(filter={"generic_search_term": "about b"}) == ["Beta"]
    assert post(filter={"room_types": ["m.space"]}) == ["Alpha"]
    assert post(filter={"room_types": [None]}) == ["Beta", "Gamma"]
    assert post(include_all_networks=True) == ["Alpha", "Beta", "Gamma"]
    assert post(third_party_instance_id="irc-freenode") == []
    assert names(remote.get(open_one.name, PATH + "?third_party_instance_id=irc")) == []


def test_pages(remote, open_one):
    seen, since = [], ""
    for _ in range(3):
        reply = remote.get(open_one.name, f"{PATH}?limit=1{since}")
        seen += names(reply)
        since = f"&since={reply.get('next_batch')}"
    assert sorted(seen) == ["Alpha", "Beta", "Gamma"] and "next_batch" not in reply


@pytest.mark.parametrize("body", [
    {"limit": "x"}, {"filter": 5}, {"since": "nonsense"}, {"filter": {"room_types": "x"}},
    {"include_all_networks": True, "third_party_instance_id": "x"}])
def test_refused_questions(remote, open_one, body):
    r = remote.request(open_one.name, "POST", PATH, body)
    assert r.status_code == 400


def test_not_served_unless_allowed(remote, two, ministries):
    closed = ministries(allow_public_rooms_over_federation=None)
    remote.fails(closed.name, 403, "M_FORBIDDEN", "GET", PATH)
    remote.fails(closed.name, 403, "M_FORBIDDEN", "POST", PATH, {})
    two[1].user("bob").fails(403, "M_FORBIDDEN", "GET", URL, params={"server": closed.name})


def test_asking_another_concorde(two, open_one):
    bob = two[1].user("bob")
    server = {"server": open_one.name}
    assert names(bob.get(URL, params=server)) == ["Alpha", "Beta", "Gamma"]
    found = bob.post(URL, {"filter": {"generic_search_term": "gamma"}}, params=server)
    assert names(found) == ["Gamma"]
    page = bob.get(URL, params={**server, "limit": 2})
    rest = bob.get(URL, params={**server, "limit": 2, "since": page["next_batch"]})
    assert sorted(names(page) + names(rest)) == ["Alpha", "Beta", "Gamma"]


def test_lists_of_another_server_are_checked(remote, two):
    bob, server = two[1].user("bob"), {"server": remote.name}
    remote.on("GET", PATH, lambda r: (200, {"chunk": [
        {"room_id": "!good:x", "name": "Good", "num_joined_members": 5, "world_readable": True,
         "guest_can_join": "yes", "canonical_alias": "no alias", "avatar_url": 7, "evil": 1},
        {"room_id": "nonsense"}, "nothing", {"name": "no id"}]}))
    assert bob.get(URL, params=server)["chunk"] == [
        {"room_id": "!good:x", "name": "Good", "num_joined_members": 5, "world_readable": True,
         "guest_can_join": False}]
    remote.on("GET", PATH, (200, {"chunk": [], "next_batch": 5, "total_room_count_estimate": -1}))
    assert bob.get(URL, params=server) == {"chunk": []}
    remote.on("GET", PATH, 500)
    bob.fails(502, "M_BAD_STATUS", "GET", URL, params=server)
    bob.fails(400, "M_INVALID_PARAM", "GET", URL, params={"server": "no server"})


def test_requests_to_another_server(remote, two):
    bob, server = two[1].user("bob"), {"server": remote.name}
    bob.get(URL, params={**server, "limit": 7, "since": "a b&c"})
    bob.post(URL, {"third_party_instance_id": "irc"}, params=server)
    bob.post(URL, {"include_all_networks": True, "limit": 9,
                   "filter": {"generic_search_term": "x", "room_types": [None]}}, params=server)
    first, second, third = remote.seen(path=PATH)
    assert first.query == {"limit": ["7"], "since": ["a b&c"], "include_all_networks": ["false"]}
    assert second.query["third_party_instance_id"] == ["irc"] and second.method == "GET"
    assert third.body == {"limit": 9, "include_all_networks": True,
                          "filter": {"generic_search_term": "x", "room_types": [None]}}
    assert all(r.is_authentic for r in (first, second, third))

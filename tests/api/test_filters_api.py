"""Filters: storing them, and naming them in /sync."""

import pytest

from client import q

FILTER = {"room": {"timeline": {"limit": 2, "types": ["m.room.message"]}},
          "event_fields": ["type", "content"]}


def path(client, id=None):
    return f"/user/{q(client.user_id)}/filter" + (f"/{q(id)}" if id else "")


def test_stored_values_are_returned(alice):
    id = alice.post(path(alice), FILTER)["filter_id"]
    assert isinstance(id, str) and not id.startswith("{")
    assert alice.get(path(alice, id)) == FILTER
    assert alice.post(path(alice), FILTER)["filter_id"] == id
    other = alice.post(path(alice), {})["filter_id"]
    assert other != id and alice.get(path(alice, other)) == {}


def test_only_ones_own(alice, bob):
    id = alice.post(path(alice), FILTER)["filter_id"]
    bob.fails(403, "M_FORBIDDEN", "POST", path(alice), FILTER)
    bob.fails(403, "M_FORBIDDEN", "GET", path(alice, id))
    bob.fails(404, "M_NOT_FOUND", "GET", path(bob, id))
    bob.fails(400, "M_INVALID_PARAM", "GET", "/sync", params={"filter": id})


@pytest.mark.parametrize("id", ["999999999", "0", "-1", "nonsense", "99999999999999999999"])
def test_unknown_ones(alice, id):
    alice.fails(404, "M_NOT_FOUND", "GET", path(alice, id))
    alice.fails(400, "M_INVALID_PARAM", "GET", "/sync", params={"filter": id})


@pytest.mark.parametrize("body", [
    {"room": 5}, {"room": {"timeline": {"limit": "2"}}}, {"event_fields": "type"},
    {"presence": {"types": [1]}}, {"room": {"rooms": ["nonsense"]}},
])
def test_bad_ones(alice, body):
    r = alice.request("POST", path(alice), body)
    assert r.status_code == 400 and r.json()["errcode"] in ("M_BAD_JSON", "M_INVALID_PARAM"), r.text


def shown(client, **params):
    joined = client.sync(**params)["rooms"]["join"]
    return [e for j in joined.values() for e in j["timeline"]["events"]]


def test_stored_and_inline_do_the_same(alice):
    room = alice.create_room()
    for i in range(4):
        alice.send(room, f"message {i}")
    id = alice.post(path(alice), FILTER)["filter_id"]
    stored = shown(alice, filter=id)
    assert [e["content"]["body"] for e in stored] == ["message 2", "message 3"]
    assert all(set(e) == {"type", "content"} for e in stored)
    inline = '{"room":{"timeline":{"limit":2,"types":["m.room.message"]}},' \
             '"event_fields":["type","content"]}'
    assert shown(alice, filter=inline) == stored
    assert shown(alice, filter=inline) == stored  # now from the cache
    assert len(shown(alice, filter="")) > 4


@pytest.mark.parametrize("bad", ["{", "{\"room\": 5}", "[]"])
def test_bad_inline_ones(alice, bad):
    r = alice.request("GET", "/sync", params={"filter": bad})
    assert r.status_code == 400 and r.json()["errcode"].startswith("M_"), r.text

"""However many events a client asks for at once, it gets 1,000: `limit` of /messages, /context,
/initialSync and of a filter's timeline."""

import pytest

from client import Client, q
from syncing import section, timeline_filter

MOST, VERY_MANY = 1000, 10**9
EVENTS = MOST + 60


@pytest.fixture(scope="module")
def long_room(server):
    """A user in a room with more events than a page."""
    user = Client(server).register("long")
    room = user.create_room(initial_state=[
        {"type": "a.test", "state_key": str(n), "content": {}} for n in range(MOST)])
    for n in range(MOST, EVENTS):
        user.send_state(room, "a.test", {}, str(n))
    return user, room


def keys(events):
    return [int(e["state_key"]) for e in events if e["type"] == "a.test"]


def test_messages(long_room):
    user, room = long_room
    for limit in MOST, MOST + 1, VERY_MANY:
        page = user.messages(room, dir="b", limit=limit)
        assert len(page["chunk"]) == MOST
    rest = user.messages(room, dir="b", limit=VERY_MANY, **{"from": page["end"]})
    assert len(rest["chunk"]) < MOST
    assert sorted(keys(page["chunk"] + rest["chunk"])) == list(range(EVENTS))
    forwards = user.messages(room, dir="f", limit=VERY_MANY)
    assert len(forwards["chunk"]) == MOST and "end" in forwards


@pytest.mark.parametrize("limit", [MOST, MOST + 1, VERY_MANY])
def test_context(long_room, limit):
    user, room = long_room
    newest_first = user.messages(room, dir="b", limit=VERY_MANY)["chunk"]
    event = newest_first[MOST // 2 + 20]["event_id"]
    r = user.get(f"/rooms/{q(room)}/context/{q(event)}", params={"limit": limit})
    assert len(r["events_before"]) == len(r["events_after"]) == MOST // 2


@pytest.mark.parametrize("limit", [MOST, MOST + 1, VERY_MANY])
def test_sync(long_room, limit):
    user, room = long_room
    line = section(user.sync(**timeline_filter(limit=limit)), room)["timeline"]
    assert len(line["events"]) == MOST and line["limited"] is True


def test_initial_sync_of_a_room(long_room):
    user, room = long_room
    r = user.get(f"/rooms/{q(room)}/initialSync", params={"limit": VERY_MANY})
    assert len(r["messages"]["chunk"]) == MOST

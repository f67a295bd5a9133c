"""Reading /sync replies, and a client that keeps rooms and state as real clients do."""

import json


def section(reply, room, name="join"):
    """The room's part of the reply, {} if absent."""
    return reply.get("rooms", {}).get(name, {}).get(room, {})


def events_of(reply, room, name="join"):
    return section(reply, room, name).get("timeline", {}).get("events", [])


def ids(events):
    return [e["event_id"] for e in events]


def bodies(events):
    return [e["content"]["body"] for e in events if e["type"] == "m.room.message"]


def state_of(reply, room, name="join", key="state"):
    """{(type, state key): event}; each key may occur once."""
    events = section(reply, room, name).get(key, {}).get("events", [])
    by_key = {(e["type"], e["state_key"]): e for e in events}
    assert len(by_key) == len(events), [(e["type"], e["state_key"]) for e in events]
    return by_key


def members_in(state):
    return sorted(key for kind, key in state if kind == "m.room.member")


def inline(**filter):
    return {"filter": json.dumps(filter)}


def timeline_filter(**timeline):
    return inline(room={"timeline": timeline})


LAZY = {"room": {"state": {"lazy_load_members": True}}}


class Mirror:
    """What one client knows of its rooms: it applies `state`, then the timeline, as the
    specification says; it fills gaps through /messages. It fails when an event comes twice, or out
    of order."""

    def __init__(self, client, **params):
        self.client, self.params, self.since = client, params, None
        self.rooms = {}  # joined: {"events": [ids], "state": {key: event id}}

    def step(self):
        reply = self.client.sync(since=self.since, **self.params)
        rooms = reply.get("rooms", {})
        for room, part in rooms.get("join", {}).items():
            self._join(room, part)
        for name in "leave", "invite", "knock":
            for room in rooms.get(name, {}):
                self.rooms.pop(room, None)
        self.since = reply["next_batch"]
        return reply

    def _join(self, room, part):
        known = self.rooms.setdefault(room, {"events": [], "state": {}})
        line = part["timeline"]
        new = ids(line["events"])
        if line["limited"] and known["events"]:
            new = self._gap(room, line["prev_batch"], known["events"][-1]) + new
        assert len(set(new)) == len(new), "an event came twice"
        repeated = set(new) & set(known["events"])
        assert not repeated, f"{repeated} came again"
        known["events"] += new
        for e in part.get("state", {}).get("events", []) + line["events"]:
            if "state_key" in e:
                known["state"][e["type"], e["state_key"]] = e["event_id"]

    def _gap(self, room, prev_batch, last):
        """The events between the last known one and the timeline, oldest first."""
        missed, token = [], prev_batch
        while token:
            page = self.client.messages(room, limit=7, **{"from": token})
            for e in page["chunk"]:
                if e["event_id"] == last:
                    return missed[::-1]
                missed.append(e["event_id"])
            token = page.get("end")
        raise AssertionError("the gap did not end at the last known event")

"""A room of a fake remote server (remote.py): its events in the order of their arrival, and its state.
There is no state resolution: tests that fork a room set the state themselves
(`room.state`, `room.state_before[event_id]`)."""

import os
import time

import pdus
from pdus import ids_of


last_ms = 0


def next_ms():
    """The time, never the same twice: equal create events would be one room in version 12."""
    global last_ms
    last_ms = max(last_ms + 1, int(time.time() * 1000))
    return last_ms


class Room:
    def __init__(self, version, room_id):
        self.version, self.id = str(version), room_id
        self.events = {}  # id → event
        self.order = []  # ids in the order of arrival
        self.state = {}  # (type, state_key) → id, now
        self.state_before = {}  # id → such a map, where the order does not give it
        self.heads = []  # ids that nothing refers to yet
        self.unlisted = {}  # events that are served by id, but are not in the room
        self.servers = []  # those that make_join named
        self.hidden = set()  # ids that are not served

    def add(self, event, before=None):
        """An event of the room; its id."""
        i = pdus.event_id(event, self.version)
        if i in self.events:
            return i
        self.events[i] = event
        self.order.append(i)
        if before is not None:
            self.state_before[i] = before
        gone = set(ids_of(event["prev_events"]))
        self.heads = [h for h in self.heads if h not in gone] + [i]
        if "state_key" in event:
            self.state[event["type"], event["state_key"]] = i
        return i

    def adopt(self, state, chain, join):
        """Takes the answer to send_join, and our join."""
        for e in [*chain, *state]:
            self.unlisted[pdus.event_id(e, self.version)] = e
        for e in state:
            self.state[e["type"], e["state_key"]] = pdus.event_id(e, self.version)
        i = pdus.event_id(join, self.version)
        self.state_before[i] = dict(self.state)
        self.heads = []
        return self.add(join, before=self.state_before[i])

    def find(self, event_id):
        if event_id in self.hidden:
            return None
        return self.events.get(event_id) or self.unlisted.get(event_id)

    def state_at(self, event_id):
        """The state before the event."""
        at = self.order.index(event_id)
        start = max((n for n, i in enumerate(self.order[: at + 1]) if i in self.state_before),
                    default=None)
        state = dict(self.state_before[self.order[start]]) if start is not None else {}
        for i in self.order[start or 0 : at]:
            e = self.events[i]
            if "state_key" in e:
                state[e["type"], e["state_key"]] = i
        return state

    def auth_chain(self, ids):
        """The ids of these events' auth chain, without the events themselves."""
        found, todo = {}, list(ids)
        while todo:
            e = self.find(todo.pop())
            for a in ids_of(e["auth_events"]) if e else []:
                if a not in found and self.find(a):
                    found[a] = True
                    todo.append(a)
        return list(found)

    def before(self, ids, limit):
        """These events and their ancestors, newest first."""
        seen, found, todo = set(ids), [], list(ids)
        while todo and len(found) < limit:
            todo.sort(key=lambda i: -(self.find(i) or {"depth": 0})["depth"])
            i = todo.pop(0)
            e = self.events.get(i) if i not in self.hidden else None
            if not e:
                continue
            found.append(i)
            for p in ids_of(e["prev_events"]):
                if p not in seen:
                    seen.add(p)
                    todo.append(p)
        return found

    def build(self, sender, type, content, state_key=None, *, prev=None, auth=None, state=None,
              ts=None, **more):
        """An event at the room's heads (or `prev`), authorised by its state (or `state`, `auth`);
        neither hashed nor signed, nor added."""
        state = self.state if state is None else state
        keys = pdus.auth_keys(type, sender, state_key, content, self.version)
        if auth is None:
            auth = [state[k] for k in dict.fromkeys(keys) if k in state]
        prev = self.heads[-20:] if prev is None else prev
        depths = [(self.find(p) or {}).get("depth", 0) for p in prev]
        return pdus.make(
            self.version, self.id, sender, type, content, prev=prev, auth=auth,
            depth=max(depths, default=0) + 1, ts=ts or next_ms(),
            state_key=state_key, events={**self.unlisted, **self.events}, **more)

    def members(self, membership="join"):
        return [k for (t, k), i in self.state.items() if t == "m.room.member"
                and self.find(i)["content"]["membership"] == membership]

    def servers_in(self):
        return sorted({m.split(":", 1)[1] for m in self.members()} | set(self.servers))


def first_events(version, creator, join_rule, visibility="shared", create=None, levels=None):
    """(type, state_key, content) of a new room's first events."""
    n = int(version)
    content = {"room_version": str(version), **(create or {})}
    if n < 11:
        content["creator"] = creator
    users = {creator: 100} if n < 12 else {}
    yield "m.room.create", "", content
    yield "m.room.member", creator, {"membership": "join"}
    yield "m.room.power_levels", "", {
        "users": users, "users_default": 0, "events": {}, "events_default": 0, "state_default": 50,
        "ban": 50, "kick": 50, "redact": 50, "invite": 0, **(levels or {})}
    rule = join_rule if isinstance(join_rule, dict) else {"join_rule": join_rule}
    yield "m.room.join_rules", "", rule
    yield "m.room.history_visibility", "", {"history_visibility": visibility}


def new_room_id(server):
    """A room id of versions before 12."""
    return f"!{os.urandom(9).hex()}:{server}"

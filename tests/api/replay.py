"""A room read from the database and replayed from its first event: each event must follow the
one before it, cite that event's state, and be allowed by it. Written from the
authorization rules of room versions 11 and 12, for rooms of one server."""

import json

import pdus
from restoring import psql, uri_of


class Replay:
    def __init__(self, server, room, version):
        self.server, self.version = server, version
        self.room = psql(uri_of(server), f"SELECT id FROM rooms WHERE room_id = '{room}'")
        self.state, self.ids, self.events = {}, [], []
        rows = psql(uri_of(server), "SELECT convert_from(json, 'UTF8') FROM events WHERE room = "
                                    f"{self.room} AND position > 0 ORDER BY position")
        for row in rows.splitlines():
            self.play(json.loads(row))
        self.check_rows()

    def content(self, type, key=""):
        event = self.state.get((type, key))
        return event["content"] if event else {}

    def membership(self, user):
        return self.content("m.room.member", user).get("membership")

    def levels(self):
        return self.content("m.room.power_levels")

    def power(self, user):
        create = self.state["m.room.create", ""]
        if self.version == "12" and user == create["sender"]:
            return 1 << 60
        if ("m.room.power_levels", "") not in self.state:
            return 100 if user == create["sender"] else 0
        return self.levels().get("users", {}).get(user, self.levels().get("users_default", 0))

    def play(self, event):
        id = pdus.event_id(event, self.version)
        assert event["prev_events"] == self.ids[-1:], f"{id} does not follow the event before it"
        keys = pdus.auth_keys(event["type"], event["sender"], event.get("state_key"),
                              event["content"], self.version)
        cited = {pdus.event_id(self.state[k], self.version) for k in keys if k in self.state}
        assert set(event["auth_events"]) == cited, f"{id} cites another state: {event}"
        assert self.allows(event), f"{event} is not allowed in {self.state}"
        self.ids.append(id)
        self.events.append(event)
        if "state_key" in event:
            self.state[event["type"], event["state_key"]] = event

    def allows(self, event):
        type, sender, key = event["type"], event["sender"], event.get("state_key")
        if type == "m.room.create":
            return not self.ids
        if type == "m.room.member":
            return self.allows_member(sender, key, event["content"]["membership"])
        if self.membership(sender) != "join":
            return False
        needed = self.levels().get("events", {}).get(
            type, self.levels().get("events_default", 0) if key is None
            else self.levels().get("state_default", 50))
        if type == "m.room.power_levels" and not self.levels():
            return True
        if type == "m.room.power_levels" and not self.allows_levels(sender, event["content"]):
            return False
        return self.power(sender) >= needed

    def allows_levels(self, sender, new):
        """Changed levels, old and new, must not exceed the sender's; those of other users must be lower."""
        old, mine = self.levels(), self.power(sender)

        def changed(was, will):
            return [(k, was.get(k), will.get(k)) for k in was.keys() | will.keys()
                    if was.get(k) != will.get(k)]

        def plain(levels):
            return {k: v for k, v in levels.items() if isinstance(v, int)}

        within = changed(plain(old), plain(new)) + changed(old.get("events", {}), new.get("events", {}))
        users = changed(old.get("users", {}), new.get("users", {}))
        return (all(v is None or v <= mine for change in within for v in change[1:])
                and all(v is None or v <= mine for _, _, v in users)
                and all(v is None or v < mine for user, v, _ in users if user != sender))

    def allows_member(self, sender, target, wanted):
        was, mine = self.membership(target), self.membership(sender)
        higher = self.power(sender) > self.power(target)
        if wanted == "join":
            creator = len(self.ids) == 1 and sender == self.state["m.room.create", ""]["sender"]
            rule = self.content("m.room.join_rules").get("join_rule")
            return sender == target and was != "ban" and (
                creator or was in ("join", "invite") or rule == "public")
        if wanted == "leave" and sender == target:
            return was in ("join", "invite", "knock")
        if wanted == "knock":
            return (sender == target and was not in ("join", "invite", "ban")
                    and self.content("m.room.join_rules").get("join_rule") == "knock")
        if mine != "join":
            return False
        if wanted == "leave":
            enough = self.power(sender) >= self.levels().get("kick", 50) and higher
            return enough and (was != "ban" or self.power(sender) >= self.levels().get("ban", 50))
        if wanted == "ban":
            return self.power(sender) >= self.levels().get("ban", 50) and higher
        return wanted == "invite" and was not in ("join", "ban") and (
            self.power(sender) >= self.levels().get("invite", 0))

    def check_rows(self):
        """The stored current state and memberships are those at the end, and all intervals join."""
        uri = uri_of(self.server)
        rows = psql(uri, "SELECT t.type, s.state_key, convert_from(e.json, 'UTF8') FROM room_state s "
                         "JOIN event_types t ON t.id = s.type JOIN events e ON e.position = s.event "
                         f"WHERE s.room = {self.room} AND s.valid_to = 9223372036854775807")
        current = {}
        for row in rows.splitlines():
            type, key, text = row.split("|", 2)
            assert (type, key) not in current, f"{type} {key} is current twice"
            current[type, key] = json.loads(text)
        assert current == self.state
        assert psql(uri, "SELECT count(*) FROM room_state s WHERE s.room = "
                         f"{self.room} AND s.valid_to <> COALESCE((SELECT min(n.valid_from) FROM "
                         "room_state n WHERE n.room = s.room AND n.type = s.type AND n.state_key = "
                         "s.state_key AND n.valid_from > s.valid_from), 9223372036854775807)") == "0"
        rows = psql(uri, "SELECT u.user_id, CASE m.membership WHEN 1 THEN 'join' WHEN 2 THEN "
                         "'invite' WHEN 3 THEN 'leave' WHEN 4 THEN 'ban' WHEN 5 THEN 'knock' ELSE 'other' END "
                         "FROM room_members m JOIN users u ON u.id = m.\"user\" "
                         f"WHERE m.room = {self.room}")
        assert dict(row.split("|") for row in rows.splitlines()) == {
            key: e["content"]["membership"] for (type, key), e in self.state.items()
            if type == "m.room.member"}

"""Replies as they were recorded in tests/api/corpus/: what differs from run to run (ids, times, tokens)
has a name by the order of appearance, all other bytes must be the same, the order of members too. With
RECORD=1 in the environment the replies of this run are written instead of compared."""

import difflib
import json
import os
import pathlib
import re
from urllib.parse import unquote

PLACE = pathlib.Path(__file__).parent / "corpus"
DECODER = json.JSONDecoder()
SHORT = 40  # a longer line is written once; where it comes again, its number is written

VARYING = re.compile(
    r"(?P<token>\bs-?\d+_\d+_[0-9a-f]+)"
    r"|(?P<event>\$[A-Za-z0-9_-]{43})"
    r"|(?P<room>![A-Za-z0-9_-]{43}|![0-9A-Za-z]+(?=:))"
    r"|(?P<server>\blocalhost:\d+)"
    r'|(?P<time>(?<="origin_server_ts":)\d+|(?<="ts":)\d+|(?<="age":)\d+|(?<="last_active_ago":)\d+)'
    r'|(?P<transaction>(?<="transaction_id":")t\d+)'
    r'|(?P<hash>(?<="sha256":")[^"]+)'
    r'|(?P<signature>"ed25519:[^"]+":"[^"]+")')

# Of a state list with m.room.create, and of one that a filter has chosen, the order is random; so is that
# of rooms.
STATE = re.compile(r'"state(?:_after)?":(?:\{"events":)?\[')
ROOMS = re.compile(r'"(?:join|invite|knock|leave)":\{(?="!)|"rooms":\[')
# The content of an m.receipt event, whose members are in the order of event ids.
RECEIPTS = re.compile(r'(?<="content":\{)"\$[^"]+":\{"m\.read.*?\}\}\}(?=\})')


def members(text, at):
    """(value, start, end) of each value of a list, or of each key of an object, from the first one."""
    while text[at] not in "]}":
        value, end = DECODER.raw_decode(text, at)
        if text[end] == ":":  # that was a key
            _, end = DECODER.raw_decode(text, end + 1)
        yield value, at, end
        at = end + (text[end] == ",")


def sort_lists(text, begin, key):
    """The text with the lists and objects after these matches sorted by key(list of values) → the key
    of one value, or None to keep the order."""
    done, end = [], 0
    for start in (m.end() for m in begin.finditer(text)):
        if start < end:
            continue
        parts = list(members(text, start))
        of_one = key([value for value, _, _ in parts])
        if of_one:
            done.append(text[end:start])
            end = parts[-1][2] if parts else start
            parts.sort(key=lambda part: of_one(part[0]))
            done.append(",".join(text[a:b] for _, a, b in parts))
    return "".join(done) + text[end:]


def key_of_state(event):
    return event.get("type", ""), event.get("state_key", "")


def without_tokens(lines):
    """Of several nodes, a change of who types has a position, and serials are by the clock."""
    whole = []
    for line in lines:
        repeated = re.fullmatch(r"= line (\d+)", line)
        whole.append(whole[int(repeated[1]) - 1] if repeated else re.sub(r"\bs[+-]?\d+_(0|T\d+)", "TOKEN", line))
    return whole


class Recording:
    """One played script. A position is written as its distance from the first one, where
    has_positions; else it has a name, as when work in the background moves the log."""

    def __init__(self, name, has_positions=True):
        self.file = PLACE / f"{name}.txt"
        self.has_positions, self.first = has_positions, None
        self.names, self.lines, self.asked = {}, [], []
        self.seen = {}  # a line → where it was first

    # ---- requests ----

    def initial(self, client, title, **params):
        """An initial sync; the client goes on from it."""
        client.next_batch = self.sync(client, title, None, **params)["next_batch"]

    def next(self, client, title, **params):
        """A sync from where the client is; it goes on from there."""
        reply = self.sync(client, title, client.next_batch, **params)
        client.next_batch = reply["next_batch"]
        return reply

    def peek(self, client, title, **params):
        """A sync from where the client is, which stays there."""
        return self.sync(client, title, client.next_batch, **params)

    def sync(self, client, title, since, **params):
        query = {"timeout": 0, **params}
        if since:
            query["since"] = since
            self.asked.append((client, title, query))
        return self.get(client, title, "/sync", **query)

    def get(self, client, title, path, **params):
        for room in getattr(client, "rooms", ()):  # rooms have their names in the order of creation
            self._number("room", room.split(":")[0])
        r = client.request("GET", path, params=params)
        assert r.status_code == 200, r.text
        shown = " ".join(f"{k}={v}" for k, v in params.items() if k != "timeout")
        sorts_state = '"state"' in str(params.get("filter"))
        self.add(f"#### {title}: {client.user_id} {unquote(path)} {shown}".rstrip(), r.text,
                 sorts_state)
        return r.json()

    def again(self, title, keep=lambda title: True):
        """All syncs that had a `since`, once more."""
        for client, name, query in list(self.asked):
            if keep(name):
                self.get(client, f"{title}: {name}", "/sync", **query)

    # ---- names ----

    def add(self, title, reply, sorts_state):
        assert "\n" not in reply
        reply = sort_lists(reply, ROOMS, lambda rooms: self._key_of_room)
        reply = sort_lists(reply, STATE, lambda events: key_of_state if sorts_state or any(
            e.get("type") == "m.room.create" for e in events) else None)
        reply = RECEIPTS.sub(self._sorted, reply)
        text = VARYING.sub(self._named, f"{title}\n{reply}")
        for line in re.sub(r"(?<=[\]}]),", ",\n", text).split("\n"):
            first = self.seen.setdefault(line, len(self.lines) + 1)
            is_repeated = first <= len(self.lines) and len(line) > SHORT
            self.lines.append(f"= line {first}" if is_repeated else line)

    def _key_of_room(self, room):
        room_id = room if isinstance(room, str) else room["room_id"]
        return int(self._number("room", room_id.split(":")[0]))

    def _sorted(self, match):
        of_events = re.split(r'(?<=\}\}\}),(?="\$)', match[0])
        return ",".join(sorted(of_events, key=lambda e: int(self._number("event", e.split('"')[1]))))

    def _named(self, match):
        kind, text = match.lastgroup, match[0]
        if kind in ("time", "hash"):
            return kind.upper()
        if kind == "signature":
            return '"KEY":"SIGNATURE"'
        if kind == "token":
            return self._token(text)
        begin = {"event": "$", "room": "!", "server": "server-", "transaction": "t"}[kind]
        return begin + self._number(kind, text)

    def _number(self, kind, text):
        of_kind = self.names.setdefault(kind, {})
        return str(of_kind.setdefault(text, len(of_kind) + 1))

    def _token(self, text):
        position, serial, _ = text[1:].split("_")
        if self.first is None:
            self.first = int(position)
        place = (f"{int(position) - self.first:+}" if self.has_positions
                 else self._number("position", position))
        return f"s{place}_{'0' if serial == '0' else 'T' + self._number('serial', serial)}"

    # ---- the end ----

    def check(self):
        """Compares with the recorded script, or records."""
        if os.environ.get("RECORD"):
            self.file.write_text("\n".join(self.lines) + "\n")
        recorded = self.file.read_text().split("\n")[:-1]
        now = self.lines
        if os.environ.get("NODES"):
            recorded, now = without_tokens(recorded), without_tokens(now)
        differences = difflib.unified_diff(recorded, now, "recorded", "now", lineterm="")
        assert recorded == now, "\n".join(list(differences)[:100])

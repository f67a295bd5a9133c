"""Senders and readers that never give up: every answer they got must stay true."""

import threading

import httpx

import plain
from client import Client, q
from waiting import attempts


class Stubborn:
    """A client that repeats a request until it is answered with something other than "come back
    later". It counts the 503s, and fails on any without Retry-After."""

    def __init__(self, server, user):
        self.server, self.user = server, user
        self.http = httpx.Client(timeout=30, verify=plain.TLS)
        self.refusals = 0
        self.wrong = []

    def call(self, method, path, stop=None, **options):
        for _ in attempts(stop):
            try:
                r = self.http.request(
                    method, self.server.url + "/_matrix/client/v3" + path,
                    headers={"Authorization": f"Bearer {self.user.token}"}, **options)
            except (httpx.TransportError, IndexError):
                continue
            if r.status_code == 503:
                self.refusals += 1
                if "retry-after" not in r.headers or r.json().get("errcode") is None:
                    self.wrong.append(f"503 without Retry-After: {r.headers} {r.text}")
                continue
            if r.status_code != 200:
                self.wrong.append(f"{method} {path}: {r.status_code} {r.text[:300]}")
                continue
            return r.json()
        return None


class Sender(threading.Thread):
    """Sends numbered messages into one room. `acknowledged`: (event id, transaction id), in order."""

    def __init__(self, server, user, room, stop):
        super().__init__(daemon=True)
        self.client = Stubborn(server, user)
        self.room, self.stop = room, stop
        self.acknowledged = []
        self.repeated = 0

    def send(self, txn, body):
        return self.client.call(
            "PUT", f"/rooms/{q(self.room)}/send/m.room.message/{txn}",
            json={"msgtype": "m.text", "body": body})

    def run(self):
        n = 0
        while not self.stop.is_set():
            txn = f"{self.client.user.user_id}-{n}"
            reply = self.send(txn, f"message {n} of {self.client.user.user_id}")
            self.acknowledged.append((reply["event_id"], txn))
            if n % 10 == 0:
                again = self.send(txn, "a repeated transaction must not be sent again")
                if again["event_id"] != reply["event_id"]:
                    self.client.wrong.append(f"{txn} made {reply} and then {again}")
                self.repeated += 1
            n += 1


class Reader(threading.Thread):
    """A /sync cursor that continues over all failures. `seen`: event ids by room, in order. It
    advances only when a reply was read completely, as clients do."""

    def __init__(self, server, user, stop):
        super().__init__(daemon=True)
        self.client = Stubborn(server, user)
        self.stop = stop
        self.since = None
        self.seen = {}
        self.gaps = []

    def step(self, timeout):
        params = {"timeout": timeout, "filter": '{"room":{"timeline":{"limit":1000}}}'}
        if self.since:
            params["since"] = self.since
        reply = self.client.call("GET", "/sync", params=params)
        for room, joined in reply.get("rooms", {}).get("join", {}).items():
            timeline = joined["timeline"]
            if self.since and timeline.get("limited"):
                self.gaps.append((room, timeline["prev_batch"]))
            self.seen.setdefault(room, []).extend(
                e["event_id"] for e in timeline["events"] if e["type"] == "m.room.message")
        self.since = reply["next_batch"]

    def run(self):
        while not self.stop.is_set():
            self.step(timeout=1000)


def history(user: Client, room):
    """Every message of the room, oldest first, from /messages."""
    events, token = [], None
    while True:
        params = {"dir": "b", "limit": 500}
        if token:
            params["from"] = token
        page = user.get(f"/rooms/{q(room)}/messages", params=params)
        events += [e for e in page["chunk"] if e["type"] == "m.room.message"]
        token = page.get("end")
        if not token or not page["chunk"]:
            return list(reversed([e["event_id"] for e in events]))


def furnish(server, senders, rooms):
    """Users, public rooms with some of them each, and a watcher who is in every room."""
    users = [Client(server).register(f"sender{i}") for i in range(senders)]
    made = []
    for i in range(rooms):
        made.append(users[i].create_room(preset="public_chat"))
        for user in users[i + rooms :: rooms]:
            user.join(made[i])
    watcher = Client(server).register("watcher")
    for room in made:
        watcher.join(room)
    return users, made, watcher

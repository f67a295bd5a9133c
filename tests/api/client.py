"""A small Matrix client for tests. Paths that do not begin with /_ or /. are below
/_matrix/client/v3. Calls check the status and return the JSON body."""

import itertools
import time
from urllib.parse import quote

import httpx

import plain

PREFIX = "/_matrix/client/v3"
transactions = itertools.count(1)


def q(text):
    """One path segment."""
    return quote(text, safe="")


class Client:
    """One device of one user; without a token its requests are anonymous."""

    def __init__(self, server, user_id=None, token=None, device_id=None, password=None):
        self.server = server
        self.user_id, self.token, self.device_id = user_id, token, device_id
        self.password = password
        self.http = httpx.Client(base_url=server.url, timeout=90, verify=plain.TLS)
        self.next_batch = None

    def close(self):
        self.http.close()

    def stay(self, node=0):
        """From now on at one node, of several: for what only that node remembers (which members lazy loading has
        sent, what other servers answered), or the others learn within a second (the presence that requests imply)."""
        self.close()
        self.http = httpx.Client(base_url=self.server.nodes[node].url, timeout=90, verify=plain.TLS)
        return self

    # ---- requests ----

    def request(self, method, path, json=None, **options):
        """The bare response, whatever its status."""
        if not path.startswith(("/_", "/.", "/health", "/ready", "/metrics")):
            path = PREFIX + path
        headers = dict(options.pop("headers", None) or {})
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        return self.http.request(method, path, json=json, headers=headers, **options)

    def call(self, method, path, json=None, status=200, **options):
        """Checks the status; the body as JSON."""
        r = self.request(method, path, json, **options)
        assert r.status_code == status, f"{method} {path}: {r.status_code} {r.text[:2000]}"
        return r.json()

    def get(self, path, **options):
        return self.call("GET", path, **options)

    def post(self, path, json=None, **options):
        return self.call("POST", path, {} if json is None else json, **options)

    def put(self, path, json=None, **options):
        return self.call("PUT", path, {} if json is None else json, **options)

    def delete(self, path, json=None, **options):
        return self.call("DELETE", path, json, **options)

    def fails(self, status, errcode, method, path, json=None, **options):
        """The call must fail in just this way; the body."""
        if json is None and method in ("POST", "PUT"):
            json = {}
        body = self.call(method, path, json, status=status, **options)
        assert body.get("errcode") == errcode, f"{method} {path}: {body}"
        assert isinstance(body.get("error"), str)
        return body

    # ---- account ----

    def register(self, name, password="a password for tests", **body):
        r = self.call(
            "POST", "/register",
            {"username": name, "password": password, "auth": {"type": "m.login.dummy"}, **body},
        )
        self._adopt(r, password)
        return self

    def login(self, user, password, **body):
        r = self.post(
            "/login",
            {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user},
             "password": password, **body},
        )
        self._adopt(r, password)
        return self

    def _adopt(self, r, password):
        self.user_id, self.token = r["user_id"], r.get("access_token")
        self.device_id, self.password = r.get("device_id"), password

    def another_device(self, **body):
        return Client(self.server).login(self.user_id, self.password, **body)

    # ---- rooms ----

    def create_room(self, **body):
        return self.post("/createRoom", body)["room_id"]

    def join(self, room, via=(), **body):
        r = self.post(f"/join/{q(room)}", body, params=[("via", v) for v in via])
        return r["room_id"]

    def invite(self, room, user, **body):
        return self.post(f"/rooms/{q(room)}/invite", {"user_id": _id(user), **body})

    def leave(self, room, **body):
        return self.post(f"/rooms/{q(room)}/leave", body)

    def kick(self, room, user, **body):
        return self.post(f"/rooms/{q(room)}/kick", {"user_id": _id(user), **body})

    def ban(self, room, user, **body):
        return self.post(f"/rooms/{q(room)}/ban", {"user_id": _id(user), **body})

    def unban(self, room, user, **body):
        return self.post(f"/rooms/{q(room)}/unban", {"user_id": _id(user), **body})

    def send(self, room, content, type="m.room.message", txn=None):
        """A text, or the content of an event; the event's id."""
        if isinstance(content, str):
            content = {"msgtype": "m.text", "body": content}
        txn = txn or f"t{next(transactions)}"
        return self.put(f"/rooms/{q(room)}/send/{q(type)}/{q(txn)}", content)["event_id"]

    def send_state(self, room, type, content, key=""):
        return self.put(f"/rooms/{q(room)}/state/{q(type)}/{q(key)}", content)["event_id"]

    def redact(self, room, event, txn=None, **body):
        txn = txn or f"t{next(transactions)}"
        return self.put(f"/rooms/{q(room)}/redact/{q(event)}/{q(txn)}", body)["event_id"]

    def state(self, room, type=None, key=""):
        """One state event's content, or all state events."""
        if type is None:
            return self.get(f"/rooms/{q(room)}/state")
        return self.get(f"/rooms/{q(room)}/state/{q(type)}/{q(key)}")

    def event(self, room, event):
        return self.get(f"/rooms/{q(room)}/event/{q(event)}")

    def messages(self, room, dir="b", **params):
        return self.get(f"/rooms/{q(room)}/messages", params={"dir": dir, **params})

    def read(self, room, event, kind="m.read", **body):
        return self.post(f"/rooms/{q(room)}/receipt/{q(kind)}/{q(event)}", body)

    # ---- sync ----

    def sync(self, since=None, timeout=0, **params):
        if since is not None:
            params["since"] = since
        return self.get("/sync", params={"timeout": timeout, **params})

    def next_sync(self, timeout=0, **params):
        """Syncs from where the last call ended."""
        r = self.sync(since=self.next_batch, timeout=timeout, **params)
        self.next_batch = r["next_batch"]
        return r

    def sync_until(self, found, seconds=20, **params):
        """Syncs until found(reply) is true; that value."""
        deadline = time.monotonic() + seconds
        while True:
            value = found(self.next_sync(timeout=1000, **params))
            if value:
                return value
            assert time.monotonic() < deadline, "what was waited for did not come down /sync"


def _id(user):
    return user.user_id if isinstance(user, Client) else user


def timeline(reply, room):
    """The timeline events of a joined room in a sync reply."""
    return reply.get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {}).get("events", [])

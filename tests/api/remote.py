"""A fake homeserver: it has a name (localhost:PORT), a key, TLS, rooms and correctly signed events,
and answers as the test defines. Threads answer its requests.

    def test_join(remote, two):
        carol = remote.user("carol")                  # "@carol:localhost:12345"
        room = remote.join(two[0].name, room_id, carol)     # make_join, send_join
        remote.send(room, carol, "hello")             # a signed event to all servers in the room
        remote.wait_for(lambda: "m.typing" in remote.edu_types())

    room = remote.create_room(carol, version="11", members=5000)    # the remote is the resident server
    remote.invite(room, carol, "@alice:…")            # the invite, signed by both

Misbehaving:
    @remote.on("GET", "/_matrix/federation/v1/event/")     # a prefix of the path
    def answer(request): return 200, {...}            # or None: as usual; bytes are sent as they are
    remote.on("PUT", "/_matrix/federation/v1/send/", 500)  # always this status
    e = room.build(carol, "m.room.message", {...})    # then change it, and send it:
    remote.sign(room, e); remote.put_transaction(server, [e])
    room.hidden.add(event_id)                         # never served
    remote.link.cut(), .mute(), .delay(s), .drip(bytes_a_second)

Received: remote.requests (method, path, query, body, origin, is_authentic), remote.pdus and
remote.edus (of transactions), remote.seen(method, path prefix)."""

import base64
import collections
import contextlib
import http.server
import itertools
import json
import re
import socketserver
import threading
import time
from urllib.parse import parse_qs, quote, unquote, urlsplit

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import pdus
from e2ee import SigningKey, b64, canonical
from federation import authority
from link import Link
from remote_answers import ROUTES, Refused
from remote_room import Room, first_events, new_room_id
from waiting import eventually

FED = "/_matrix/federation"
Request = collections.namedtuple(
    "Request", "method path query body origin is_authentic headers time raw")


def unb64(text):
    return base64.b64decode(text + "=" * (-len(text) % 4))


def q(text):
    return quote(text, safe="")


class Remote:
    """name: a name that a fake DNS resolves; localhost:PORT by default. handler: replaces the one for
    its connections; is_direct: without a Link, for measurements."""

    def __init__(self, name=None, certificate=None, network=None, handler=None, is_direct=False):
        self.key, self.key_id = SigningKey(), "ed25519:1"
        self.http = _Http(("127.0.0.1", 0), handler or Handler)
        self.http.remote = self
        self.link = None if is_direct else Link(network)
        self.name = name or f"localhost:{self.link.port if self.link else self.http.server_port}"
        if self.link:
            self.link.name, self.link.target = self.name, self.http.server_address
        self.rooms, self.users, self.profiles = {}, set(), {}
        self.aliases, self.public_rooms, self.media = {}, [], {}
        self.devices = {}  # user → the answer to user/devices
        self.one_time_keys = {}  # user → device → list of {key id: key}
        self.keys_of = {}  # server → key id → base64, the keys it verifies with
        self.invites = []  # received: (room version, event, stripped state)
        self.requests, self.pdus, self.edus = [], [], []
        self.answers = []  # (method, prefix of the path, answer)
        self.transactions = itertools.count(int(time.time() * 1000))
        self.client = httpx.Client(verify=authority().client_context(), timeout=60)
        self.lock = threading.RLock()
        self.tls = authority().server_context(certificate)
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        if self.link:
            self.link.close()
        self.http.shutdown()
        self.http.server_close()
        self.client.close()

    # ---- received requests ----

    def on(self, method, path, answer=None):
        """Answers requests to paths with this prefix with a status, (status, body) or a function of
        the request; without an answer, a decorator of such a function. The last definition wins."""
        if answer is None:
            return lambda function: self.on(method, path, function)
        entry = method, path, answer
        self.answers.insert(0, entry)
        return entry if not callable(answer) else answer

    def seen(self, method=None, path=""):
        return [r for r in list(self.requests)
                if method in (None, r.method) and r.path.startswith(path)]

    def edu_types(self):
        return [e["edu_type"] for e in list(self.edus)]

    def edus_of(self, type):
        return [e["content"] for e in list(self.edus) if e["edu_type"] == type]

    def pdu_ids(self, version="12"):
        return [pdus.event_id(p, version) for p in list(self.pdus)]

    def wait_for(self, check, seconds=20):
        return eventually(check, seconds)

    # ---- asking ----

    def user(self, local):
        self.users.add(f"@{local}:{self.name}")
        return f"@{local}:{self.name}"

    def authorization(self, method, uri, destination, body=None, /, **wrong):
        """The header's value. wrong: origin, destination, key or sig to use instead."""
        signed = {"method": method, "uri": uri, "origin": self.name, "destination": destination}
        if body is not None:
            signed["content"] = body
        values = {
            "origin": self.name, "destination": destination, "key": self.key_id,
            "sig": b64(self.key.private.sign(canonical(signed))), **wrong,
        }
        return "X-Matrix " + ",".join(f'{k}="{v}"' for k, v in values.items() if v is not None)

    def request(self, server, method, uri, body=None, headers=None, sign=True, **wrong):
        """A request to a server named localhost:PORT; httpx's response."""
        headers = dict(headers or {})
        if sign:
            headers["Authorization"] = self.authorization(method, uri, server, body, **wrong)
        content = canonical(body) if body is not None else None
        if content is not None:
            headers["Content-Type"] = "application/json"
        return self.client.request(method, f"https://{server}{uri}", content=content, headers=headers)

    def call(self, server, method, uri, body=None, status=200, **options):
        r = self.request(server, method, uri, body, **options)
        assert r.status_code == status, f"{method} {uri}: {r.status_code} {r.text[:2000]}"
        return r.json()

    def get(self, server, uri, **options):
        return self.call(server, "GET", uri, **options)

    def fails(self, server, status, errcode, method, uri, body=None, **options):
        answer = self.call(server, method, uri, body, status=status, **options)
        assert answer.get("errcode") == errcode, answer
        return answer

    def server_keys(self, server):
        """The verify keys of a server, asked once."""
        if server not in self.keys_of:
            r = self.client.get(f"https://{server}/_matrix/key/v2/server").json()
            self.keys_of[server] = {i: k["key"] for i, k in r["verify_keys"].items()}
        return self.keys_of[server]

    def is_signed(self, bytes_, server, signatures):
        """Is one of {key id: signature} a valid signature of that server?"""
        keys = self.server_keys(server)
        for key_id, signature in signatures.items():
            with contextlib.suppress(InvalidSignature, ValueError):
                if key_id in keys:
                    Ed25519PublicKey.from_public_bytes(unb64(keys[key_id])).verify(
                        unb64(signature), bytes_)
                    return True
        return False

    def check_event(self, event, version):
        """Are the hash and the signature of the sender's server valid?"""
        server = event["sender"].split(":", 1)[1]
        return event["hashes"]["sha256"] == pdus.hash_content(event) and self.is_signed(
            pdus.signed_bytes(event, version), server, event["signatures"].get(server, {}))

    # ---- events ----

    def sign(self, room, event):
        version = room.version if isinstance(room, Room) else room
        return pdus.sign(event, version, self.name, self.key, self.key_id)

    def event(self, room, sender, type, content, state_key=None, **options):
        """A signed event of the room, added to it, not yet sent; (id, event)."""
        with self.lock:
            event = self.sign(room, room.build(sender, type, content, state_key, **options))
            return room.add(event), event

    def send(self, room, sender, content, type="m.room.message", state_key=None, to=None, **options):
        """Sends an event to all (or these) servers of the room; its id."""
        if isinstance(content, str):
            content = {"msgtype": "m.text", "body": content}
        i, event = self.event(room, sender, type, content, state_key, **options)
        self.deliver(room, [event], to)
        return i

    def set_member(self, room, sender, user, membership, to=None, **content):
        return self.send(room, sender, {"membership": membership, **content}, "m.room.member", user, to)

    def deliver(self, room, events, to=None):
        """Sends these events to all (or these) servers of the room."""
        for server in room.servers_in() if to is None else to:
            if server != self.name:
                self.put_transaction(server, events)

    def put_transaction(self, server, events=(), edus=(), txn=None, status=200, **options):
        """PUT /send; the answer."""
        body = {"origin": self.name, "origin_server_ts": int(time.time() * 1000),
                "pdus": list(events)}
        if edus:
            body["edus"] = list(edus)
        txn = txn or next(self.transactions)
        return self.call(server, "PUT", f"{FED}/v1/send/{txn}", body, status=status, **options)

    def send_edu(self, server, type, content):
        return self.put_transaction(server, edus=[{"edu_type": type, "content": content}])

    # ---- rooms of other servers ----

    def make(self, server, what, room_id, user, versions=pdus.VERSIONS, status=200):
        """make_join, make_leave, make_knock: its reply."""
        ver = "" if what == "leave" else "?" + "&".join(f"ver={v}" for v in versions)
        return self.get(server, f"{FED}/v1/make_{what}/{q(room_id)}/{q(user)}{ver}", status=status)

    def fill_template(self, template, version, user):
        """The event of a make_… reply, signed; (id, event)."""
        event = {**template, "origin_server_ts": int(time.time() * 1000)}
        if int(version) < 11:
            event["origin"] = self.name
        if int(version) <= 2:
            event["event_id"] = pdus.new_event_id(self.name)
        for gone in ("hashes", "signatures", "unsigned"):
            event.pop(gone, None)
        self.sign(version, event)
        return pdus.event_id(event, version), event

    def join(self, server, room_id, user, versions=pdus.VERSIONS, content=None, omit_members=False):
        """Joins through that server; the Room. What send_join answered is room.join_reply."""
        made = self.make(server, "join", room_id, user, versions)
        version = made.get("room_version", "1")
        template = made["event"]
        template["content"] = {**template["content"], **(content or {})}
        i, event = self.fill_template(template, version, user)
        tail = "?omit_members=true" if omit_members else ""
        reply = self.call(server, "PUT", f"{FED}/v2/send_join/{q(room_id)}/{q(i)}{tail}", event)
        room = self.rooms.get(room_id) or Room(version, room_id)
        room.join_reply, room.servers = reply, reply.get("servers_in_room", [])
        room.adopt(reply["state"], reply["auth_chain"], reply.get("event") or event)
        self.rooms[room_id] = room
        return room

    def leave(self, server, room_id, user):
        made = self.make(server, "leave", room_id, user)
        i, event = self.fill_template(made["event"], made.get("room_version", "1"), user)
        self.call(server, "PUT", f"{FED}/v2/send_leave/{q(room_id)}/{q(i)}", event)
        return i

    def knock(self, server, room_id, user, versions=pdus.VERSIONS, **content):
        made = self.make(server, "knock", room_id, user, versions)
        made["event"]["content"].update(content)
        i, event = self.fill_template(made["event"], made["room_version"], user)
        return i, self.call(server, "PUT", f"{FED}/v1/send_knock/{q(room_id)}/{q(i)}", event)

    # ---- rooms of its own ----

    def create_room(self, creator, version="12", join_rule="public", members=0, visibility="shared",
                    create=None, levels=None, state=()):
        """members: how many more of its users are members. state: more (type, state_key, content)."""
        room = Room(version, new_room_id(self.name) if int(version) < 12 else None)
        first = first_events(version, creator, join_rule, visibility, create, levels)
        for type, state_key, content in itertools.chain(first, state):
            i, _ = self.event(room, creator, type, content, state_key)
            if type == "m.room.create" and int(version) >= 12:
                room.id = "!" + i[1:]
        for n in range(members):
            user = self.user(f"member-{n}")
            self.event(room, user, "m.room.member", {"membership": "join", "displayname": f"M {n}"},
                       user)
        self.rooms[room.id] = room
        return room

    def invite(self, room, sender, target, status=200, room_state=None, **content):
        """Has the target's server sign the invite, and adds it to the room; the event's id.
        room_state: sent instead of the room's real stripped state."""
        content = {"membership": "invite", **content}
        event = self.sign(room, room.build(sender, "m.room.member", content, target))
        i = pdus.event_id(event, room.version)
        shown = [room.find(i) for key, i in room.state.items() if key[0] in (
            "m.room.create", "m.room.join_rules", "m.room.name", "m.room.encryption")]
        if room_state is None:  # whole events since MSC4311
            room_state = shown if int(room.version) >= 11 else [
                {k: e[k] for k in ("type", "state_key", "content", "sender")} for e in shown]
        server = target.split(":", 1)[1]
        reply = self.call(
            server, "PUT", f"{FED}/v2/invite/{q(room.id)}/{q(i)}",
            {"event": event, "room_version": room.version, "invite_room_state": room_state},
            status=status)
        if status != 200:
            return reply
        with self.lock:
            return room.add(reply["event"])

    # ---- answering ----

    def answer(self, request):
        for method, path, answer in list(self.answers):
            if method == request.method and request.path.startswith(path):
                value = answer(request) if callable(answer) else answer
                if value is not None:
                    return (value, {}) if isinstance(value, int) else value
        if request.path.startswith(FED) and request.origin is None and not re.search(
                "/(version|openid/userinfo)", request.path):
            return 401, {"errcode": "M_UNAUTHORIZED", "error": "no X-Matrix"}
        if request.origin is not None and not request.is_authentic:
            return 401, {"errcode": "M_UNAUTHORIZED", "error": "bad signature"}
        for method, pattern, handler in ROUTES:
            found = re.fullmatch(pattern, request.path)
            if method == request.method and found:
                try:
                    with self.lock:
                        return 200, handler(self, request, *map(unquote, found.groups()))
                except Refused as e:
                    return e.status, {"errcode": e.errcode, "error": str(e)}
        return 404, {"errcode": "M_UNRECOGNIZED", "error": "no such endpoint"}


class _Http(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 200

    def finish_request(self, request, client_address):
        """Runs in the connection's own thread."""
        with contextlib.suppress(OSError):
            with self.remote.tls.wrap_socket(request, server_side=True) as wrapped:
                self.RequestHandlerClass(wrapped, client_address, self)

    def shutdown_request(self, request):
        with contextlib.suppress(OSError):
            request.close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def _serve(self):
        remote = self.server.remote
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        body = json.loads(raw) if raw else None
        origin, is_authentic = self._authenticate(remote, body)
        request = Request(self.command, parts.path, parse_qs(parts.query), body, origin,
                          is_authentic, dict(self.headers), time.time(), raw)
        remote.requests.append(request)
        status, answer = remote.answer(request)
        headers = {"Content-Type": "application/json"}
        if isinstance(answer, tuple):
            answer, headers = answer
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = _serve

    def _authenticate(self, remote, body):
        header = self.headers.get("Authorization", "")
        if not header.startswith("X-Matrix "):
            return None, False
        values = dict(re.findall(r'(\w+)="?([^",]*)"?', header[9:]))
        signed = {"method": self.command, "uri": self.path, "origin": values.get("origin"),
                  "destination": remote.name}
        if body is not None:
            signed["content"] = body
        try:
            good = values.get("destination", remote.name) == remote.name and remote.is_signed(
                canonical(signed), values["origin"], {values["key"]: values["sig"]})
        except (KeyError, httpx.HTTPError):
            good = False
        return values.get("origin"), good

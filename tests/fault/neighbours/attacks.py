"""Attacks of a bad neighbour: bounded, each from one source or from twenty.

An attack is prepared while rate limits are off, and then runs in a separate process under default
limits, a few threads for each source, until it is stopped or MAX_SECONDS are over. Each
source has its own user, address (127.0.1.N) and server."""

import multiprocessing
import random
import socket
import threading
import time

import httpx

import pdus
from federation import authority
from remote import FED
from waiting import eventually

MAX_SECONDS = 60
C = "/_matrix/client/v3"


class Source:
    def __init__(self, house, n):
        self.house, self.n = house, n
        self.address = f"127.0.1.{n + 1}"
        self.user = house.users[n]
        self.remote = house.remotes[n]

    def client(self, **options):
        """A client with the source's address."""
        transport = httpx.HTTPTransport(
            local_address=self.address, verify=authority().client_context(), retries=0)
        return httpx.Client(transport=transport, timeout=30, **options)

    def http(self, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.client(base_url=self.house.url, headers=headers)

    def server(self):
        """The same for the federation port, for signed requests."""
        return self.client(base_url=self.house.federation_url)


def signed(source, http, method, uri, body=None):
    remote = source.remote
    header = remote.authorization(method, uri, source.house.name, body)
    content = pdus.canonical(body) if body is not None else None
    return http.request(method, uri, content=content, headers={
        "Authorization": header, "Content-Type": "application/json"})


# ---- the attacks: every thread of a source repeats `step` ----


class Attack:
    """threads: of one source. prepare(house): once, without rate limits."""

    threads = 4

    def prepare(self, house):
        pass

    def start(self, source):
        """A thread's state: connections, counters."""
        return source.http()

    def step(self, source, kept):
        raise NotImplementedError


class OnbindOfASilentServer(Attack):
    threads = 16

    def step(self, source, http):
        body = {"mxid": source.user.user_id, "medium": "email", "address": "a@example.org", "invites": [{
            "room_id": f"!{random.random()}:{source.house.silent}",
            "sender": f"@x:{source.house.silent}", "mxid": source.user.user_id,
            "signed": {"mxid": source.user.user_id, "token": "t", "signatures": {}}}] * 5}
        http.put(FED + "/v1/3pid/onbind", json=body)


class SendJoinByDeadAuthorisers(Attack):
    threads = 16

    def start(self, source):
        return source.server()

    def step(self, source, http):
        room, n = source.house.room, random.randrange(1 << 40)
        event = pdus.make(
            "10", room, source.remote.user(f"u{n}"), "m.room.member",
            {"membership": "join", "join_authorised_via_users_server": f"@x:127.0.0.1:{1024 + n % 60000}"},
            prev=["$" + "a" * 43], auth=["$" + "b" * 43], depth=5, ts=int(time.time() * 1000),
            state_key=source.remote.user(f"u{n}"))
        source.remote.sign("10", event)
        uri = f"{FED}/v2/send_join/{room}/{pdus.event_id(event, '10')}"
        signed(source, http, "PUT", uri, event)


class ProfilesOfUnknownServers(Attack):
    threads = 16

    def step(self, source, http):
        n = random.randrange(1 << 40)
        http.get(f"{C}/profile/@x{n}:127.0.0.{n % 200 + 1}:{1024 + n % 60000}")


class ProfilesOfASilentServer(Attack):
    threads = 16

    def step(self, source, http):
        http.get(f"{C}/profile/@x{random.random()}:{source.house.silent}")


class Searches(Attack):
    def start(self, source):
        return source.http(source.user.token)

    def step(self, source, http):
        http.post(C + "/search", json={"search_categories": {"room_events": {
            "search_term": "-a " * 300 + "message"}}})


class ToDeviceToMany(Attack):
    """Messages to `*`, with as many devices as a user may have."""

    DEVICES = 100

    def prepare(self, house):
        for user in house.users:
            for i in range(self.DEVICES // (4 if len(house.users) > 1 else 1)):
                user.call("POST", "/login", {
                    "type": "m.login.password", "password": user.password,
                    "identifier": {"type": "m.id.user", "user": user.user_id},
                    "device_id": f"DEVICE{i}"})

    def start(self, source):
        return source.http(source.user.token)

    def step(self, source, http):
        http.put(f"{C}/sendToDevice/m.test/{random.random()}", json={
            "messages": {source.user.user_id: {"*": {"filler": "x" * 60000}}}})


class Files(dict):
    """A server that has a file under every name."""

    def __contains__(self, name):
        return True

    def __getitem__(self, name):
        return "application/octet-stream", b"x" * 500_000


class RemoteMedia(Attack):
    def prepare(self, house):
        for remote in house.remotes:
            remote.media = Files()

    def start(self, source):
        return source.http(source.user.token)

    def step(self, source, http):
        name = f"m{random.randrange(1 << 60)}"
        http.get(f"/_matrix/client/v1/media/download/{source.remote.name}/{name}")


class SlowConnections(Attack):
    """Connections that send half a request head, and stop."""

    threads, HELD = 1, 1500

    def start(self, source):
        return []

    def step(self, source, held):
        host, port = source.house.url.split("//")[1].split(":")
        if len(held) >= self.HELD:
            held.pop(0).close()
        s = socket.create_connection((host, int(port)), source_address=(source.address, 0), timeout=5)
        s.sendall(b"GET /_matrix/client/versions HTTP/1.1\r\nHost: x\r\n")
        held.append(s)


class WrongPasswords(Attack):
    def step(self, source, http):
        http.post(C + "/login", json={"type": "m.login.password", "password": "wrong", "identifier": {
            "type": "m.id.user", "user": source.house.victim.user_id}})


class HostileBodies(Attack):
    BODY = b'{"refresh_token":[' + b",".join([b"{}"] * 600000) + b"]}"

    def step(self, source, http):
        http.post(C + "/refresh", content=self.BODY, headers={"Content-Type": "application/json"})


# ---- servers, initial syncs, registrations and the directory ----


class ForgedOrigins(Attack):
    """Requests in the name of dead servers: their keys must be fetched."""

    threads = 16

    def start(self, source):
        return source.server()

    def step(self, source, http):
        n = random.randrange(1 << 40)
        http.put(f"{FED}/v1/send/{n}", json={"pdus": []}, headers={
            "Authorization": f'X-Matrix origin="127.0.0.{n % 200 + 1}:{1024 + n % 60000}",'
                             f'destination="{source.house.name}",key="ed25519:1",sig="AAAA"'})


class SendersOfDeadServers(Attack):
    """Transactions with events of users of servers that do not answer."""

    def start(self, source):
        return source.server()

    def step(self, source, http):
        events = []
        for _ in range(50):
            n = random.randrange(1 << 40)
            events.append(pdus.make(
                "10", source.house.room, f"@x:127.0.0.{n % 200 + 1}:{1024 + n % 60000}", "m.room.message",
                {"body": "x"}, prev=["$" + "a" * 43], auth=["$" + "b" * 43], depth=5,
                ts=int(time.time() * 1000)))
            source.remote.sign("10", events[-1])
        uri = f"{FED}/v1/send/{random.random()}"
        signed(source, http, "PUT", uri, {
            "origin": source.remote.name, "origin_server_ts": int(time.time() * 1000), "pdus": events})


class InitialSyncs(Attack):
    def start(self, source):
        return source.http(source.user.token)

    def step(self, source, http):
        http.get(C + "/sync", params={"full_state": "true", "timeout": "0"})


class Registrations(Attack):
    """Each causes a password hash."""

    def step(self, source, http):
        http.post(C + "/register", json={
            "username": f"u{random.randrange(1 << 60)}", "password": "a password for tests",
            "auth": {"type": "m.login.dummy"}})


class PublicRooms(Attack):
    """Searches of the directory, which need no token."""

    def start(self, source):
        return source.http(source.user.token)

    def step(self, source, http):
        http.post(C + "/publicRooms", json={"filter": {"generic_search_term": "room"}, "limit": 500})
        http.post(C + "/user_directory/search", json={"search_term": "u", "limit": 50})


class Uploads(Attack):
    """Pictures, and thumbnails of them in every size."""

    def prepare(self, house):
        from images import png

        for user in house.users:
            r = user.http.post("/_matrix/media/v3/upload", content=png(1200, 900), headers={
                "Authorization": f"Bearer {user.token}", "Content-Type": "image/png"})
            user.media = r.json()["content_uri"][len("mxc://"):]

    def start(self, source):
        return source.http(source.user.token)

    def step(self, source, http):
        size = {"width": random.randrange(16, 1500), "height": random.randrange(16, 1500)}
        http.get(f"/_matrix/client/v1/media/thumbnail/{source.user.media}", params=size)


ATTACKS = [
    OnbindOfASilentServer, SendJoinByDeadAuthorisers, ProfilesOfUnknownServers, ProfilesOfASilentServer,
    Searches, ToDeviceToMany, RemoteMedia, SlowConnections, WrongPasswords, HostileBodies, ForgedOrigins,
    SendersOfDeadServers, InitialSyncs, Registrations, PublicRooms, Uploads,
]


# ---- running one ----


def _threads(attack, sources):
    """The number of threads of each source."""
    return max(1, attack.threads // (1 if sources == 1 else 4))


def _work(attack, source, begun, end):
    kept = attack.start(source)
    while time.monotonic() < end:
        with begun.get_lock():
            begun.value += 1
        try:
            attack.step(source, kept)
        except (httpx.HTTPError, OSError):
            time.sleep(0.01)  # a refused request is repeated; the pause saves processor time


def _attack(attack, house, sources, begun):
    end = time.monotonic() + MAX_SECONDS
    threads = [threading.Thread(target=_work, args=(attack, Source(house, n), begun, end), daemon=True)
               for n in range(sources) for _ in range(_threads(attack, sources))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, end - time.monotonic()))


class Running:
    """with Running(attack, house, sources): ...; the body runs once every thread has begun."""

    def __init__(self, attack, house, sources):
        fork = multiprocessing.get_context("fork")
        self.begun = fork.Value("l", 0)
        self.threads = sources * _threads(attack, sources)
        self.process = fork.Process(target=_attack, args=(attack, house, sources, self.begun), daemon=True)

    def __enter__(self):
        self.process.start()
        eventually(lambda: self.begun.value >= self.threads, MAX_SECONDS / 2)
        return self

    def steps(self):
        """The number of steps begun."""
        return self.begun.value

    def __exit__(self, *_):
        self.process.kill()
        self.process.join()

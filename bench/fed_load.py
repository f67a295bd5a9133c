"""Tools of the federation benchmarks: processes' CPU time, prepared requests on
bare sockets, a sink that counts PDUs without parsing them. Their own cost is not measured."""

import contextlib
import functools
import http.client
import json
import multiprocessing
import os
import socket
import threading
import time
from urllib.parse import parse_qs, urlsplit

from e2ee import canonical
from federation import authority
from remote import FED, Remote, Request

TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """utime and stime of a process, and its parent."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK, int(fields[1])
    return 0, 0


class Meter:
    """CPU seconds of a server and of the database whose postmaster is given."""

    def __init__(self, server, postmaster):
        self.server, self.postmaster = server, postmaster
        self.start = time.monotonic()
        self.before = self._read()

    def _read(self):
        database = 0
        for pid in filter(str.isdigit, os.listdir("/proc")):
            seconds, parent = cpu_seconds(pid)
            if self.postmaster in (parent, int(pid)):
                database += seconds
        return cpu_seconds(self.server)[0], database

    def stop(self):
        self.seconds = time.monotonic() - self.start
        now = self._read()
        self.cpu = now[0] - self.before[0], now[1] - self.before[1]
        return self


class Sink:
    """The handler of a Remote that only counts the PDUs of transactions."""

    def __init__(self, connection, address, server):
        remote = server.remote
        reader = connection.makefile("rb", 262144)
        while line := reader.readline():
            method, target, _ = line.decode().split(" ")
            length = 0
            while (header := reader.readline()) not in (b"\r\n", b""):
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            body = reader.read(length)
            if target.startswith(FED + "/v1/send/"):
                remote.count(body.count(b'"auth_events"'))
                status, answer = 200, {"pdus": {}}
            else:
                parts = urlsplit(target)
                status, answer = remote.answer(Request(
                    method, parts.path, parse_qs(parts.query), json.loads(body) if body else None,
                    "unread", True, {}, time.time(), body))
            data = json.dumps(answer).encode()
            connection.sendall(b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\n"
                               b"Content-Length: %d\r\n\r\n%s" % (status, len(data), data))


class Sinks:
    """n servers that only count, in a process of their own."""

    def __init__(self, n):
        self.counts = multiprocessing.Array("q", n, lock=False)
        self.here, there = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(
            target=self._run, args=(n, there), daemon=True)
        self.process.start()

    def join(self, server, rooms):
        """One user of each joins the rooms of that server; until no further PDUs arrive."""
        self.here.send((server, rooms))
        assert self.here.recv() == "joined"
        before = None
        while before != self.counts[:]:
            before = self.counts[:]
            time.sleep(2)

    def close(self):
        self.here.send(None)
        self.process.join(20)

    def _run(self, n, pipe):
        remotes = [Remote(handler=Sink, is_direct=True) for _ in range(n)]
        for k, remote in enumerate(remotes):
            remote.count = functools.partial(self._count, k)
        while command := pipe.recv():
            server, rooms = command
            for remote in remotes:
                for room in rooms:
                    remote.join(server, room, remote.user("carol"))
            pipe.send("joined")
        os._exit(0)

    def _count(self, k, n):
        self.counts[k] += n  # one connection at a time: transactions come one after the other


class Transactions:
    """Prepared transactions of one server to another, sent one after the other."""

    def __init__(self, remote, server, lists_of_pdus):
        self.requests = []
        for pdus in lists_of_pdus:
            uri = f"{FED}/v1/send/{next(remote.transactions)}"
            body = {"origin": remote.name, "origin_server_ts": int(time.time() * 1000), "pdus": pdus}
            self.requests.append((uri, canonical(body), {
                "Authorization": remote.authorization("PUT", uri, server, body),
                "Content-Type": "application/json"}))
        host, port = server.split(":")
        self.connection = http.client.HTTPSConnection(
            host, int(port), context=authority().client_context(), timeout=300)

    def send(self):
        for uri, body, headers in self.requests:
            self.connection.request("PUT", uri, body, headers)
            r = self.connection.getresponse()
            answer = r.read()
            assert r.status == 200, answer
            errors = [e for e in json.loads(answer).get("pdus", {}).values() if "error" in e]
            assert not errors, errors[:3]


def read_chunks(reader):
    data = b""
    while size := int(reader.readline(), 16):
        data += reader.read(size)
        reader.readline()
    reader.readline()
    return data


class Talker(threading.Thread):
    """Sends messages to a room as fast as they are answered, until it is stopped."""

    def __init__(self, client, room):
        super().__init__(daemon=True)
        self.client, self.room, self.sent, self.ends = client, room, 0, False
        host, port = client.server.url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.body = json.dumps({"msgtype": "m.text", "body": "About as long as what people write to "
                                "each other in a working day, and a little more than that."}).encode()

    def run(self):
        reader = self.socket.makefile("rb")
        path = f"/_matrix/client/v3/rooms/{self.room}/send/m.room.message/{id(self)}"
        while not self.ends:
            self.socket.sendall(
                f"PUT {path}-{self.sent} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
                f"{self.client.token}\r\nContent-Type: application/json\r\nContent-Length: "
                f"{len(self.body)}\r\n\r\n".encode() + self.body)
            status, length = reader.readline(), None
            while (header := reader.readline()) not in (b"\r\n", b""):
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            answer = reader.read(length) if length is not None else read_chunks(reader)
            assert b" 200 " in status, status + answer
            self.sent += 1
        self.socket.close()

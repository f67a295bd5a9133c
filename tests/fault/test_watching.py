"""Health checks are answered while all other requests wait: for a database that hangs, and for memory
that large bodies use. Neither /health nor /ready nor /metrics waits behind a pool."""

import concurrent.futures
import json
import socket

import httpx
import pytest

from client import Client
from server import Server
from test_hung_database import hung
from waiting import eventually

WORKERS, SOURCES = 4, 8
HANGS_S = 30  # database_statement_timeout: its maximum


@pytest.fixture
def server():
    s = Server({"workers": str(WORKERS), "log_level": "info", "database_statement_timeout": f"{HANGS_S}s"})
    try:
        yield s.start()
    finally:
        s.close()


def metrics(server):
    lines = httpx.get(server.url + "/metrics", timeout=30).text.splitlines()
    return {name: float(value) for name, value in (l.rsplit(" ", 1) for l in lines if not l.startswith("#"))}


def test_while_all_workers_wait_for_the_database(server):
    users = [Client(server).register(f"user{n}") for n in range(SOURCES)]
    rooms = [u.create_room() for u in users]
    with concurrent.futures.ThreadPoolExecutor(SOURCES) as pool:
        with hung(server):
            asked = [pool.submit(u.request, "GET", f"/rooms/{room}/messages?dir=b", timeout=4 * HANGS_S)
                     for u, room in zip(users, rooms)]
            eventually(lambda: metrics(server)['concorde_http_workers_busy{pool="client"}'] == WORKERS and
                       metrics(server)['concorde_http_queue_depth{pool="client"}'] == SOURCES - WORKERS)
            assert httpx.get(server.url + "/health", timeout=30).status_code == 200
            r = httpx.get(server.url + "/ready", timeout=30)
            assert r.status_code == 503 and "database" in r.text, r.text
        assert {a.result().status_code for a in asked} <= {200, 503}
    assert eventually(lambda: httpx.get(server.url + "/ready", timeout=30).status_code == 200)
    for u in users:
        u.close()


def half_a_body(server, user, size):
    """A request that lasts as long as the connection is kept."""
    host, port = server.url.removeprefix("http://").split(":")
    s = socket.create_connection((host, int(port)), timeout=60)
    head = (f"PUT /_matrix/client/v3/sendToDevice/m.x/1 HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n"
            f"Authorization: Bearer {user.token}\r\nContent-Type: application/json\r\n\r\n")
    try:
        s.sendall(head.encode() + json.dumps({"messages": {}}).encode() + b" " * (size - 1000))
    except OSError:
        pass  # it has been refused
    return s


def test_while_bodies_have_all_the_memory(server):
    users = [Client(server).register(f"user{n}") for n in range(SOURCES)]
    refused = "concorde_http_bodies_refused_total"
    sockets = []
    while metrics(server)[refused] < SOURCES and len(sockets) < 20 * SOURCES:
        sockets.append(half_a_body(server, users[len(sockets) % SOURCES], 7 << 20))
    assert metrics(server)[refused] >= SOURCES
    for path in "/health", "/ready", "/metrics":
        assert httpx.get(server.url + path, timeout=30).status_code == 200
    for s in sockets:
        s.close()
    eventually(lambda: users[0].request("PUT", "/sendToDevice/m.x/2", {"messages": {}}).status_code == 200)
    for u in users:
        u.close()

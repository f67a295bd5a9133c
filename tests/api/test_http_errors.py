"""Client-server API, "API standards": errors and headers of every answer."""

import socket

import pytest


def test_unknown_path(anonymous):
    anonymous.fails(404, "M_UNRECOGNIZED", "GET", "/_matrix/client/v3/no/such/thing")
    anonymous.fails(404, "M_UNRECOGNIZED", "POST", "/_matrix/federation/v1/no/such/thing")


def test_wrong_method(anonymous):
    anonymous.fails(405, "M_UNRECOGNIZED", "DELETE", "/_matrix/client/versions")


@pytest.mark.parametrize("path", ["/_matrix/client/versions", "/_matrix/client/v3/nothing"])
def test_cors(anonymous, path):
    r = anonymous.request("GET", path)
    assert r.headers["access-control-allow-origin"] == "*"
    r = anonymous.request("OPTIONS", path)
    assert r.status_code in (200, 204)
    assert r.headers["access-control-allow-origin"] == "*"
    for method in "GET", "POST", "PUT", "DELETE", "OPTIONS":
        assert method in r.headers["access-control-allow-methods"]
    for header in "X-Requested-With", "Content-Type", "Authorization":
        assert header.lower() in r.headers["access-control-allow-headers"].lower()


def test_errors_are_json(anonymous):
    r = anonymous.request("GET", "/_matrix/client/v3/nothing")
    assert r.headers["content-type"].startswith("application/json")
    assert set(r.json()) == {"errcode", "error"}


RUBBISH = {
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "NUL in the path": b"GET /_matrix/client/versions%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "not UTF-8": b"GET /_matrix/client/%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad escape": b"GET /_matrix/client/versions?a=%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    "very long path": b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    "negative length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "half a request": b"GET / HT",
}


@pytest.mark.parametrize("what", RUBBISH)
def test_rubbish_is_survived(server, anonymous, what):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=3) as s:
        reply = b""
        try:
            s.sendall(RUBBISH[what])
            s.shutdown(socket.SHUT_WR)
            while chunk := s.recv(65536):
                reply += chunk
        except OSError:  # the server may hang up at once
            pass
    assert not reply.startswith(b"HTTP/1.1 5")
    anonymous.get("/_matrix/client/versions")


def test_another_version_of_http(server):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as s:
        s.sendall(b"GET / HTTP/2.0\r\nHost: x\r\n\r\n")
        reply = b""
        while chunk := s.recv(65536):
            reply += chunk
    assert reply.startswith(b"HTTP/1.1 505 ") and b"speaks HTTP/1.1 only" in reply

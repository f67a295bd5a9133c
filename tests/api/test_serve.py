"""`concorde serve` as systemd and operators see it: listeners, signals, notification, settings."""

import concurrent.futures
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import time

import httpx
import pytest

import plain
from client import Client
from server import ROOT, Server, run_cli
from waiting import eventually


@pytest.fixture
def certificate(tmp_path):
    tmp_path.chmod(0o755)
    pem, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(pem)], check=True, capture_output=True,
    )
    return pem, key


def test_listens_on_tls_a_socket_and_ipv6(fresh_server, certificate, tmp_path):
    pem, key = certificate
    path = tmp_path / "matrix.sock"
    config = tmp_path / "c.yaml"
    config.write_text(
        "listen:\n"
        f"  - {{address: '127.0.0.1:0', tls_certificate: {pem}, tls_key: {key}}}\n"
        f"  - unix:{path}\n"
        "  - '[::1]:0'\n"
    )
    s = Server({"listen": None})
    s.more = ["--config", str(config)]
    try:
        s.start()
        tls, unix, ipv6 = s.addresses
        assert tls.startswith("https://127.0.0.1:") and unix == f"unix:{path}"
        context = ssl.create_default_context(cafile=str(pem))
        assert httpx.get(tls + "/health", verify=context).text == "OK"
        with pytest.raises(httpx.TransportError):
            plain.get(tls.replace("https:", "http:") + "/health")
        transport = httpx.HTTPTransport(uds=str(path))
        assert httpx.Client(transport=transport).get("http://x/health").text == "OK"
        assert ipv6.startswith("http://[::1]:") and plain.get(ipv6 + "/health").text == "OK"
    finally:
        s.close()


def test_bad_certificate_is_reported(tmp_path, certificate):
    pem, key = certificate
    key.write_text("not a key")
    config = tmp_path / "c.yaml"
    config.write_text(
        f"server_name: gov.example\nlisten: {{address: '127.0.0.1:0', tls_certificate: {pem}, tls_key: {key}}}\n"
    )
    data = tmp_path / "data"
    r = run_cli("serve", "--config", str(config), "--data", str(data))
    assert r.returncode == 1
    assert "127.0.0.1:0" in r.stderr


def test_systemd_is_notified(tmp_path, monkeypatch):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(30)
        s = Server()
        s.environment |= {"NOTIFY_SOCKET": path}
        try:
            s.start()
            assert notify.recv(100) == b"READY=1"
            assert plain.get(s.url + "/ready").text == "OK"
            s.stop()
            assert notify.recv(100) == b"STOPPING=1"
        finally:
            s.close()


def test_hangup_reads_the_log_level_again(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("log_level: warn\n")
    s = Server({"log_level": None})
    s.more = ["--config", str(config)]

    def reload(expected):
        before = len(s.log_text())
        s.process.send_signal(signal.SIGHUP)
        eventually(lambda: expected in s.log_text()[before:], 20, s.log_tail)

    try:
        s.start()
        plain.get(s.url + "/health")
        assert "GET /health" not in s.log_text()
        config.write_text("log_level: debug\n")
        reload("read again")
        plain.get(s.url + "/health")
        assert "GET /health" in s.log_text()
        config.write_text("log_level: loud\n")
        reload("the settings are wrong; nothing changed")
        assert plain.get(s.url + "/health").text == "OK"
    finally:
        s.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_is_clean(number):
    s = Server().start()
    s.process.send_signal(number)
    assert s.process.wait(30) == 0
    assert "stopped" in s.log_text()
    s.close()


def test_waiting_sync_is_answered_at_a_stop(fresh_server):
    s = fresh_server()
    user = Client(s).register("waiter")
    user.next_sync()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(user.request, "GET", "/sync",
                              params={"since": user.next_batch, "timeout": 60000})
        s.wait_until_parked()
        start = time.monotonic()
        assert s.stop() == 0
        assert time.monotonic() - start < 10
        assert waiting.result().status_code in (200, 503)


def test_killed_server_starts_again(fresh_server):
    s = fresh_server()
    user = Client(s).register("survivor")
    s.kill()
    s.start()
    again = Client(s, user.user_id, user.token)
    assert again.get("/account/whoami")["user_id"] == user.user_id


def test_files_are_private(server):
    mode = lambda name: stat.S_IMODE(os.stat(server.data / name).st_mode)
    assert mode("signing.key") == 0o600
    assert mode("concorde.lock") == 0o600
    assert mode("media") == 0o700
    assert mode("postgres") == 0o700


def test_log_can_be_json(fresh_server):
    import json

    s = fresh_server(log_format="json")
    plain.get(s.url + "/health")
    s.stop()
    records = [json.loads(line) for line in s.log_text().splitlines()]
    assert any("GET /health 200" in r["message"] and "request" in r for r in records)
    assert all({"time", "level", "message"} <= set(r) for r in records)


def test_forwarded_addresses_count_only_from_trusted_proxies(fresh_server):
    """Rate limits use the address that a trusted proxy sends."""

    def tries(s, addresses):
        return [
            plain.post(
                f"{s.url}/_matrix/client/v3/login", headers={"X-Forwarded-For": address},
                json={"type": "m.login.password", "password": "x",
                      "identifier": {"type": "m.id.user", "user": f"ghost{n}"}},
            ).status_code
            for n, address in enumerate(addresses)
        ]

    limits = {"rate_limits": "on", "rc_login__per_second": "0.001", "rc_login__burst_count": "2"}
    many = [f"198.51.100.{n}" for n in range(4)]
    assert tries(fresh_server(**limits), many) == [403, 403, 429, 429]
    proxied = fresh_server(trusted_proxies="127.0.0.1", **limits)
    assert tries(proxied, many) == [403] * 4
    assert tries(proxied, many[:1] * 3) == [403, 429, 429]


# ---- its unit ----


def test_its_unit_bounds_memory():
    """The limit has space for the caches, bodies (tests/fault/test_memory.py) and an embedded database;
    a process killed for lack of memory does not end the others."""
    unit = dict(line.split("=", 1) for line in (ROOT / "deploy" / "concorde.service").read_text().splitlines()
                if "=" in line and not line.startswith("#"))
    caches = re.search(r"^#? *cache_size: *(\d+)M", run_cli("check-config", "--example").stdout, re.M)
    most = re.fullmatch(r"(\d+)G", unit["MemoryMax"])
    assert int(most[1]) * 1024 >= 2 * (int(caches[1]) + 512)
    assert unit["OOMPolicy"] == "continue" and unit["Restart"] == "on-failure"

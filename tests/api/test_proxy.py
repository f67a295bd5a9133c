"""The example configurations of reverse proxies in deploy/, with names, ports and files replaced."""

import os
import re
import shutil
import socket
import ssl
import subprocess

import httpx
import pytest

import plain
from client import Client, q, timeline
from server import ROOT
from waiting import eventually

TOOLS = [ROOT / "build-tools" / "usr" / d for d in ("sbin", "bin")]


def program(name):
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *map(str, TOOLS)]))
    return found or pytest.fail(f"{name} is not there: scripts/deps.sh test")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Proxied:
    """A server as a Client needs it: its URL, and the certificate of the proxy."""

    def __init__(self, url, context, behind):
        self.url, self.context, self.behind = url, context, behind

    def client(self, name=None):
        c = Client(self)
        c.http = httpx.Client(base_url=self.url, timeout=90, verify=self.context)
        return c.register(name) if name else c


def nginx(tmp_path, backend, port, cert, key, host="127.0.0.1"):
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    text = text.replace("listen 443 ssl http2;", f"listen 127.0.0.1:{port} ssl http2;")
    text = text.replace("    listen [::]:443 ssl http2;\n", "")
    text = text.replace("http://127.0.0.1:8008", backend)
    text = re.sub(r"ssl_certificate .*;", f"ssl_certificate {cert};", text)
    text = re.sub(r"ssl_certificate_key .*;", f"ssl_certificate_key {key};", text)
    paths = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        f"daemon off;\npid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}{text}}}\n"
    )
    return [program("nginx"), "-c", str(conf), "-p", str(tmp_path), "-e", "stderr"]


def caddy(tmp_path, backend, port, cert, key, host="127.0.0.1"):
    text = (ROOT / "deploy" / "Caddyfile").read_text()
    text = text.replace("matrix.example.org {", f"https://{host}:{port} {{\n\ttls {cert} {key}")
    text = text.replace("127.0.0.1:8008", backend.removeprefix("http://"))
    conf = tmp_path / "Caddyfile"
    conf.write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + text)
    return [program("caddy"), "run", "--config", str(conf), "--adapter", "caddyfile"]


def wait_for_proxy(url, context, process, log):
    def answers():
        if process.poll() is not None:
            log.seek(0)
            raise RuntimeError(log.read())
        return httpx.get(url, verify=context).is_success

    eventually(answers, 30)


@pytest.fixture(params=[nginx, caddy], ids=["nginx", "caddy"])
def proxied(request, fresh_server, tmp_path):
    behind = fresh_server(
        trusted_proxies="127.0.0.1", rate_limits="on", rc_registration__burst_count="50",
        rc_login__per_second="0.001", rc_login__burst_count="2",
    )
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True,
    )
    key.chmod(0o644)
    tmp_path.chmod(0o755)
    port = free_port()
    log = (tmp_path / "proxy.log").open("w+")
    command = request.param(tmp_path, behind.url, port, cert, key)
    process = subprocess.Popen(command, stdout=log, stderr=log,
                               env={**os.environ, "HOME": str(tmp_path)})
    s = Proxied(f"https://127.0.0.1:{port}", ssl.create_default_context(cafile=str(cert)), behind)
    try:
        wait_for_proxy(s.url + "/_matrix/client/versions", s.context, process, log)
        yield s
    finally:
        process.terminate()
        process.wait()
        log.close()


def test_behind_a_proxy(proxied):
    user = proxied.client("user")
    # A path reaches the server as it was sent, with its escapes.
    room = user.create_room(room_alias_name="a/b+ü%")
    alias = f"#a/b+ü%:{proxied.behind.name}"
    assert user.get(f"/directory/room/{q(alias)}")["room_id"] == room
    user.fails(404, "M_NOT_FOUND", "GET", f"/profile/{q('@no/body:test.example')}")
    # A waiting sync is answered at once.
    user.next_sync()
    event = user.send(room, "hello")
    found = user.sync_until(lambda r: [e["event_id"] for e in timeline(r, room)])
    assert event in found
    # The operator's pages are not reachable from outside.
    for path in "/metrics", "/health", "/ready":
        assert user.http.get(path).status_code == 404
    # CORS headers for browsers are present.
    r = user.http.options("/_matrix/client/v3/sync", headers={"Origin": "https://app.example"})
    assert r.headers.get_list("access-control-allow-origin") == ["*"]
    # The client's own address headers are ignored.
    guesses = [
        proxied.client().request(
            "POST", "/login", {"type": "m.login.password", "password": "x",
                               "identifier": {"type": "m.id.user", "user": f"ghost{n}"}},
            headers={"X-Forwarded-For": f"198.51.100.{n}"},
        ).status_code
        for n in range(4)
    ]
    assert guesses == [403, 403, 429, 429]


def test_large_uploads_pass_a_proxy(proxied):
    user = proxied.client("uploader")
    data = os.urandom(3 << 20)
    r = user.http.post(
        "/_matrix/media/v3/upload", content=data,
        headers={"Authorization": f"Bearer {user.token}", "Content-Type": "application/octet-stream"},
    )
    assert r.status_code == 200, r.text
    media = r.json()["content_uri"].removeprefix("mxc://")
    r = user.request("GET", f"/_matrix/client/v1/media/download/{media}")
    assert r.status_code == 200 and r.content == data


def test_pages_that_stay_internal(proxied):
    with httpx.Client(base_url=proxied.url, verify=proxied.context) as http:
        for path in "/_synapse/admin/v1/registration_tokens", "/metrics", "/health", "/ready":
            assert plain.get(proxied.behind.url + path).status_code != 404
            assert http.get(path).status_code == 404, path
        page = http.get("/")
        assert page.status_code == 200 and "Matrix" in page.text
        assert page.headers["strict-transport-security"].startswith("max-age=")
        assert http.get("/index.html").status_code == 404


def test_limits_agree(proxied):
    """The proxy passes bodies a little larger than the server's limit, so that the server answers
    with an error that clients understand."""
    user = proxied.client("user")
    largest = user.get("/_matrix/client/v1/media/config")["m.upload.size"]
    assert largest == 50 << 20
    r = user.request("POST", "/_matrix/media/v3/upload", content=bytes(largest),
                     headers={"Content-Type": "application/octet-stream"})
    assert r.status_code == 200, r.text
    head = {"X-Long": "x" * 12000}
    assert user.request("GET", "/_matrix/client/versions", headers=head).status_code == 200
    [nginx_max] = re.findall(r"client_max_body_size (\d+)m;", (ROOT / "deploy/nginx.conf").read_text())
    [caddy_max] = re.findall(r"max_size (\d+)MiB", (ROOT / "deploy/Caddyfile").read_text())
    assert int(nginx_max) << 20 > largest and int(caddy_max) << 20 > largest

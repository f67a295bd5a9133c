"""Federation through the reverse proxies of deploy/: signed requests must arrive
unchanged."""

import os
import ssl
import subprocess

import pytest

from federation import authority, federation_settings, has_event, same_state
from client import Client, q
from server import Server
from test_proxy import caddy, free_port, nginx, wait_for_proxy
from waiting import eventually


def wait_for(url, process, log):
    context = ssl.create_default_context(cafile=str(authority().file))
    wait_for_proxy(url + "/_matrix/key/v2/server", context, process, log)


@pytest.fixture(params=[nginx, caddy], ids=["nginx", "caddy"])
def proxied(request, tmp_path):
    """A server that others reach only through the proxy."""
    port = free_port()
    server = Server({"server_name": f"localhost:{port}", "trusted_proxies": "127.0.0.1",
                     "public_baseurl": f"https://localhost:{port}", **federation_settings()}).start()
    tmp_path.chmod(0o755)
    log = (tmp_path / "proxy.log").open("w+")
    cert, key = authority().local
    process = subprocess.Popen(
        request.param(tmp_path, server.url, port, cert, key, "localhost"), stdout=log, stderr=log,
        env={**os.environ, "HOME": str(tmp_path)})
    try:
        wait_for(f"https://localhost:{port}", process, log)
        yield server
    finally:
        process.terminate()
        process.wait()
        log.close()
        server.close()


def test_two_ministries_behind_a_proxy(proxied, ministries):
    other = ministries()
    anna = Client(proxied).register("anna")
    ben = other.user("ben")
    room = anna.create_room(preset="public_chat", room_alias_name="budget/2027-ü")
    alias = f"#budget/2027-ü:{proxied.name}"
    assert ben.get(f"/directory/room/{q(alias)}")["room_id"] == room
    ben.post(f"/join/{q(alias)}")
    eventually(lambda: same_state(room, anna, ben))
    for i, who in enumerate((anna, ben)):
        event = who.send(room, f"message {i}")
        eventually(lambda: has_event(anna, room, event) and has_event(ben, room, event))

    own = ben.create_room(preset="private_chat", invite=[anna.user_id])
    eventually(lambda: own in anna.sync().get("rooms", {}).get("invite", {}))
    anna.post(f"/join/{q(own)}")
    eventually(lambda: same_state(own, anna, ben))
    anna.close()

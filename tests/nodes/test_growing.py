"""docs/operations.md, "From one machine to three": a server with its own PostgreSQL becomes three nodes on another one."""

import contextlib
import shutil
import subprocess

import httpx

import plain
from client import Client, timeline
from cluster import shared_postgres
from postgres import port_to_keep
from proxies import Proxy, nginx
from server import Server
from test_cluster import listed

DATABASE = "grown"


def run(*command):
    subprocess.run(command, check=True, capture_output=True)


def move_database(first, dump, postgres):
    """The dump is made while the server runs, after the last request."""
    run("pg_dump", "-Fc", "-f", dump, first.database_uri)
    assert first.stop() == 0
    postgres.make_database(DATABASE)
    run("pg_restore", "-1", "-O", "-d", postgres.uri(DATABASE, "concorde"), dump)


def settings_of_all(first, shared, postgres):
    """The key and the media are put where all machines have them."""
    shutil.copytree(first.data / "media", shared / "media")
    shutil.copy2(first.data / "signing.key", shared / "signing.key")
    return {"database": postgres.uri(DATABASE, "concorde"), "signing_key_path": str(shared / "signing.key"),
            "media_store_path": str(shared / "media"), "trusted_proxies": "127.0.0.1", "presence.enabled": "off"}


def download(server, client, media):
    return plain.get(f"{server.url}/_matrix/client/v1/media/download/{media}",
                     headers={"Authorization": f"Bearer {client.token}"})


def keys(server):
    return plain.get(f"{server.url}/_matrix/key/v2/server").json()["verify_keys"]


def test_one_machine_becomes_three(tmp_path):
    postgres = shared_postgres()
    with contextlib.ExitStack() as stack:
        first = Server({"presence.enabled": "off"})
        stack.callback(first.close)
        first.start()
        alice, before = Client(first).register("alice"), keys(first)
        room = alice.create_room()
        alice.send(room, "on one machine")
        r = alice.request("POST", "/_matrix/media/v3/upload", content=b"an image")
        media = r.json()["content_uri"].removeprefix("mxc://")
        since = alice.sync()["next_batch"]
        move_database(first, tmp_path / "dump", postgres)
        settings = settings_of_all(first, tmp_path, postgres)

        nodes = [first, Server(), Server()]
        for other in nodes[1:]:
            stack.callback(other.close)
        for node in nodes:
            node.settings |= settings | {"listen": f"127.0.0.1:{port_to_keep()}"}
            node.start()
        assert len(listed(first)) == 3
        proxy = Proxy(nginx, [int(node.url.rsplit(":", 1)[1]) for node in nodes])
        stack.callback(proxy.close)

        here = Client(proxy, alice.user_id, alice.token, alice.device_id)
        here.http = httpx.Client(base_url=proxy.url, timeout=90, verify=proxy.tls)
        for n in range(9):
            here.send(room, f"on three {n}")
        assert [e["content"]["body"] for e in timeline(here.sync(since=since), room)] == [
            f"on three {n}" for n in range(9)]
        for node in nodes:
            assert download(node, alice, media).content == b"an image"
            assert keys(node) == before

"""The backups of docs/operations.md are taken of a server that runs, restored, and served: nothing
is missing, and clients continue or sync anew, as they must."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from client import Client, q, timeline
from e2ee import Device, Identity, query
from restoring import copy_tree, make_database, psql, uri_of
from server import Server, as_superuser
from test_to_device import send

ENCRYPTION = {"type": "m.room.encryption", "state_key": "",
              "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
# Tables that a server changes as it starts and runs.
NOT_COMPARED = {"log_head", "log_epochs", "log_batches", "nodes", "leases", "joins", "push_slices", "presence",
                "search_cursor", "search_index", "devices", "sliding_connections"}


def run(*command, **options):
    r = subprocess.run(command, capture_output=True, text=True, **options)
    assert r.returncode == 0 and not r.stderr, (command, r.stderr)


class Story:
    """Users with all kinds of data that a server keeps, and how clients read them."""

    def __init__(self, server):
        self.server = server
        self.alice, self.bob = (Client(server).register(n) for n in ("alice", "bob"))
        alice, bob = self.alice, self.bob
        for client in alice, bob:
            client.put(f"/profile/{q(client.user_id)}/displayname", {"displayname": "Ä \\ \u0000 ☎"})
            identity = Identity(client.user_id)
            Device(client).upload(one_time=3, fallback="F")
            client.post("/keys/device_signing/upload", identity.body())
        self.room = alice.create_room(preset="public_chat", name="Room", room_alias_name="room",
                                      initial_state=[ENCRYPTION])
        bob.join(self.room)
        self.event = [alice.send(self.room, f"said {i}") for i in range(5)][-1]
        bob.read(self.room, self.event)
        alice.put(f"/user/{q(alice.user_id)}/account_data/de.test", {"x": [1, "☎"]})
        alice.put(f"/user/{q(alice.user_id)}/rooms/{q(self.room)}/tags/u.work", {"order": 0.5})
        self.version = alice.post("/room_keys/version", {
            "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
            "auth_data": {"public_key": "abc", "signatures": {}}})["version"]
        alice.put("/room_keys/keys", {"rooms": {self.room: {"sessions": {"s": {
            "first_message_index": 1, "forwarded_count": 0, "is_verified": True,
            "session_data": {"ciphertext": "x"}}}}}}, params={"version": self.version})
        self.media = alice.call("POST", "/_matrix/media/v3/upload", content=b"\x00content\xff" * 999,
                                headers={"Content-Type": "image/x"})["content_uri"]
        self.before = bob.sync()["next_batch"]
        send(alice, {bob.user_id: {bob.device_id: {"waits": True}}})
        self.said = alice.send(self.room, "after the token")

    def on(self, server):
        """The same users at another server, or at the same after a restart."""
        for name in "alice", "bob":
            c = getattr(self, name)
            setattr(self, name, Client(server, c.user_id, c.token, c.device_id, c.password))
        return self

    def snapshot(self):
        alice, bob = self.alice, self.bob
        waiting = bob.sync(since=self.before)
        return {
            "who": [c.get("/account/whoami") for c in (alice, bob)],
            "profiles": [c.get(f"/profile/{q(c.user_id)}") for c in (alice, bob)],
            "state": sorted(alice.state(self.room), key=str),
            "messages": alice.messages(self.room, limit=100)["chunk"],
            "alias": alice.get(f"/directory/room/{q('#room:' + alice.server.name)}"),
            "data": alice.get(f"/user/{q(alice.user_id)}/account_data/de.test"),
            "tags": alice.get(f"/user/{q(alice.user_id)}/rooms/{q(self.room)}/tags"),
            "keys": query(alice, alice.user_id, bob.user_id),
            "backup": alice.get("/room_keys/keys", params={"version": self.version}),
            "media": alice.request("GET", "/_matrix/client/v1/media/download/" + self.media[6:]).content,
            "signing": alice.get("/_matrix/key/v2/server")["verify_keys"],
            "waiting": [waiting["to_device"], timeline(waiting, self.room)],
            "counts": bob.sync()["device_one_time_keys_count"],
        }


def without_age(snapshot):
    return re.sub(r"'age': \d+|'membership': 'join', ", "", str(snapshot))


def tables(uri):
    """A hash of the rows of each table."""
    names = psql(uri, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
                      "AND relkind = 'r'").split()
    return {n: psql(uri, f"SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {n} t")
            for n in names if n not in NOT_COMPARED}


def check_tokens(story, lost):
    """A token from before the backup continues; with one from after it a client gets everything."""
    reply = story.bob.sync(since=story.before)
    room = reply["rooms"]["join"][story.room]
    assert [e["event_id"] for e in timeline(reply, story.room)] == [story.said]
    assert not room["timeline"]["limited"] and not room["state"]["events"]
    for i in range(20):
        story.alice.send(story.room, f"new {i}")
    reply = story.bob.sync(since=lost)
    room = reply["rooms"]["join"][story.room]
    assert room["timeline"]["limited"]
    assert "m.room.encryption" in {e["type"] for e in room["state"]["events"]}
    assert story.alice.user_id in reply["device_lists"]["changed"]
    sent = story.alice.send(story.room, "and on")
    assert [e["event_id"] for e in timeline(story.bob.sync(since=reply["next_batch"]), story.room)] == [sent]


def lose_something(story):
    """Changes after the backup; a token from after them."""
    room = story.bob.create_room(initial_state=[ENCRYPTION])
    for i in range(4):
        story.bob.send(room, "lost")
    return story.bob.sync()["next_batch"]


def test_dump_and_restore(fresh_server, tmp_path):
    s = fresh_server()
    story = Story(s)
    snapshot = without_age(story.snapshot())
    uri, dump = uri_of(s), tmp_path / "concorde.dump"
    other_uri = re.sub(r"dbname='?concorde'?", "dbname=restored", uri)
    run("pg_dump", "-Fc", "-f", str(dump), uri)
    was = tables(uri)
    lost = lose_something(story)
    make_database(uri, "restored")
    run("pg_restore", "-1", "-O", "-d", other_uri, str(dump))
    assert tables(other_uri) == was and len(was) > 40
    data = tmp_path / "data"
    data.mkdir()
    copy_tree(s.data / "media", data / "media")
    shutil.copy(s.data / "signing.key", data)
    other = Server({"database": other_uri}, data=data).start()
    try:
        assert without_age(story.on(other).snapshot()) == snapshot
        check_tokens(story, lost)
        assert "new key" not in other.log_text()
    finally:
        other.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="the files of the database are another user's")
def test_base_backup(fresh_server, tmp_path):
    s = fresh_server()
    story = Story(s)
    snapshot = without_age(story.snapshot())
    (program,) = pathlib.Path("/usr/lib/postgresql").glob("*/bin/pg_basebackup")
    backup, cluster = tmp_path / "backup", (s.data / "postgres" / "data").resolve()
    run(str(program), "-D", str(backup), "-X", "stream", "-c", "fast", "-d", as_superuser(uri_of(s)))
    lost = lose_something(story)
    s.stop()
    owner = cluster.stat()
    shutil.rmtree(cluster)
    copy_tree(backup, cluster)
    run("chown", "-R", f"{owner.st_uid}:{owner.st_gid}", str(cluster))
    s.start()
    assert without_age(story.on(s).snapshot()) == snapshot
    check_tokens(story, lost)

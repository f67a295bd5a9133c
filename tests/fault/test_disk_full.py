"""The disk is full: reads work, writes get errors, and all works again when there is space."""

import os
import subprocess
import tempfile

import pytest

from client import Client
from server import Server
from waiting import eventually

SIZE = 420 << 20  # PostgreSQL's first files, its WAL, and some space


@pytest.fixture
def small_disk():
    path = tempfile.mkdtemp(prefix="concorde-small-")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)
    os.rmdir(path)


def fill(path, leave):
    """Fills the disk but for so many bytes; the file that does."""
    name = f"{path}/filler"
    s = os.statvfs(path)
    with open(name, "wb") as f:
        os.posix_fallocate(f.fileno(), 0, s.f_bavail * s.f_frsize - leave)
    return name


def test_full_disk(small_disk):
    s = Server({"log_level": "info"}, data=small_disk)
    s.start()
    try:
        user = Client(s).register("alice")
        room = user.create_room()
        upload = {"headers": {"Content-Type": "text/plain"}, "content": bytes(4 << 20)}
        filler = fill(small_disk, 1 << 20)
        r = user.request("POST", "/_matrix/media/v3/upload", **upload)
        assert (r.status_code, r.json()["errcode"]) == (507, "M_UNKNOWN"), r.text
        assert user.request("GET", "/ready").status_code == 200, "writes still succeed"

        def fails():
            body = {"msgtype": "m.text", "body": os.urandom(20000).hex()}
            return user.request("PUT", f"/rooms/{room}/send/m.room.message/{os.urandom(8).hex()}",
                                body).status_code == 503
        eventually(fails, seconds=60)
        assert user.request("GET", "/ready").status_code == 503
        assert user.request("GET", "/health").status_code == 200
        os.unlink(filler)
        eventually(lambda: not fails(), seconds=60)
        eventually(lambda: user.request("GET", "/ready").status_code == 200, seconds=90)
        user.request("POST", "/_matrix/media/v3/upload", **upload).raise_for_status()
    finally:
        s.close()

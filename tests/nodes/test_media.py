"""The media store on a mount of its own for each node: two mounts of one directory (symbolic links without root)."""

import os
import subprocess

import pytest

import images
from client import Client
from remote import Remote
from test_fed_media import fails, fetch, upload
from test_federation import FederatedCluster
from test_read_own_writes import on


class Mounted(FederatedCluster):
    def _make(self):
        super()._make()
        self.store = self.data / "store"
        self.store.mkdir()
        self.mounts = []
        for i, node in enumerate(self.nodes):
            path = self.data / f"mount{i}"
            self.mount(path)
            node.own["media_store_path"] = str(path)

    def mount(self, path):
        path.mkdir()
        if os.geteuid() == 0 and not subprocess.run(["mount", "--bind", self.store, path], capture_output=True).returncode:
            self.mounts.append(path)
        else:
            path.rmdir()
            path.symlink_to(self.store)

    def close(self):
        nodes = self.made
        for node in nodes:
            node.stop()
        for path in self.mounts:
            subprocess.run(["umount", path], check=True)
        super().close()

    def files(self):
        return {f.name for f in self.store.rglob("*") if f.is_file() and f.stat().st_size}


@pytest.fixture
def mounted():
    cluster = Mounted()
    cluster.settings["media_retention.remote_media_lifetime"] = "1d"
    cluster.start()
    yield cluster
    cluster.close()


@pytest.fixture
def remote():
    made = Remote()
    yield made
    made.close()


def test_two_mounts_of_one_store(mounted, remote):
    here = Client(mounted.nodes[0]).register("alice")
    there = on(mounted.nodes[1], here)
    for one, other in (here, there), (there, here):
        picture = images.png(300 if one is here else 310, 200)
        mxc = upload(one, picture, "image/png")
        assert fetch(other, mxc).content == picture
        small = fetch(other, mxc, "thumbnail", width=32, height=32, method="crop")
        assert images.size_of(small.content)[1:3] == (32, 32)
        assert fetch(one, mxc, "thumbnail", width=32, height=32, method="crop").content == small.content
        before = mounted.files()
        assert fetch(one, upload(other, picture, "image/png")).content == picture
        assert mounted.files() == before  # a file for each content
    remote.media.update({"old": ("image/png", images.png(200, 200)), "new": ("text/plain", b"new")})
    before = mounted.files()
    fetch(here, f"{remote.name}/old")
    fetch(there, f"{remote.name}/old", "thumbnail", width=32, height=32, method="crop")
    assert len(mounted.files() - before) == 2
    mounted.sql("UPDATE media SET accessed_ts = 0 WHERE uploader IS NULL")
    remote.media.pop("old")
    fetch(there, f"{remote.name}/new")  # the other node removes what the first one has fetched
    assert len(mounted.files() - before) == 1
    fails(here, f"{remote.name}/old", 404, "M_NOT_FOUND")
    assert fetch(here, mxc).content == picture

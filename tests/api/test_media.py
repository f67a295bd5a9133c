"""Client-server API, "Content repository": uploads and downloads."""

import concurrent.futures
import hashlib
import os
import pathlib
import subprocess
import threading
import time

import pytest

from client import Client, q

CREATE = "/_matrix/media/v1/create"
UPLOAD = "/_matrix/media/v3/upload"
MEDIA = "/_matrix/client/v1/media"
OLD = "/_matrix/media/v3"


def upload(c, content, type="text/plain", status=200, **params):
    headers = {"Content-Type": type} if type else {}
    return c.call("POST", UPLOAD, content=content, headers=headers, params=params, status=status)


def mxc(c, content, type="text/plain", **params):
    """Uploads; the mxc URI without its scheme."""
    return upload(c, content, type, **params)["content_uri"].removeprefix("mxc://")


def fetch(c, path, **options):
    r = c.request("GET", path, **options)
    assert r.status_code == 200, r.text
    return r


def stored(server, content):
    """The file in the media store that holds this content."""
    name = hashlib.sha256(content).hexdigest()
    return pathlib.Path(server.data) / "media" / name[:2] / name[2:4] / name


def files(server):
    return {p for p in (pathlib.Path(server.data) / "media").rglob("*") if p.is_file()}


# ---- upload and download ----


def test_uploads_can_be_downloaded(alice, bob):
    content = os.urandom(300_000)
    name = mxc(alice, content, "application/x-test; a=b", filename="a file.bin")
    server, media_id = name.split("/")
    assert server == "test.example"
    assert media_id.replace("-", "").replace("_", "").isalnum()
    r = fetch(bob, f"{MEDIA}/download/{name}")
    assert r.content == content
    assert r.headers["content-type"] == "application/x-test; a=b"
    assert r.headers["content-disposition"] == 'attachment; filename="a file.bin"'
    assert r.headers["content-length"] == "300000"


def test_headers_of_content(alice):
    r = fetch(alice, f"{MEDIA}/download/{mxc(alice, b'x')}")
    h = r.headers
    assert h["content-security-policy"].startswith("sandbox; default-src 'none'; script-src 'none';")
    assert h["x-content-type-options"] == "nosniff"
    assert h["cross-origin-resource-policy"] == "cross-origin"
    assert h["cache-control"] == "private, max-age=86400, immutable"
    assert h["referrer-policy"] == "no-referrer"
    assert h["accept-ranges"] == "bytes"
    assert h["access-control-allow-origin"] == "*"
    assert h["etag"] == '"' + hashlib.sha256(b"x").hexdigest() + '"'


def test_without_a_type_it_is_bytes(alice):
    r = fetch(alice, f"{MEDIA}/download/{mxc(alice, b'x', type=None)}")
    assert r.headers["content-type"] == "application/octet-stream"
    assert r.headers["content-disposition"] == "attachment"


def test_an_empty_file(alice):
    r = fetch(alice, f"{MEDIA}/download/{mxc(alice, b'')}")
    assert r.content == b"" and r.headers["content-length"] == "0"


@pytest.mark.parametrize("type, disposition", [
    ("image/png", "inline"), ("Image/PNG", "inline"), ("text/plain; charset=utf-8", "inline"),
    ("video/mp4", "inline"), ("text/html", "attachment"), ("image/svg+xml", "attachment"),
    ("application/javascript", "attachment"), ("application/pdf", "attachment"),
    ("image/pngx", "attachment"), ("x image/png", "attachment"),
])
def test_only_safe_types_are_shown_inline(alice, type, disposition):
    r = fetch(alice, f"{MEDIA}/download/{mxc(alice, b'<b>x</b>', type)}")
    assert r.headers["content-disposition"] == disposition


@pytest.mark.parametrize("name, wanted", [
    ("plain.txt", 'filename="plain.txt"'),
    ('a"b\\c', 'filename="a\\"b\\\\c"'),
    ("grün.txt", "filename*=utf-8''gr%C3%BCn.txt"),
    ("a%20b", "filename*=utf-8''a%2520b"),
    ("a\r\nSet-Cookie: x", "filename*=utf-8''a%0D%0ASet-Cookie%3A%20x"),
    ("文" * 255, "filename*=utf-8''" + "%E6%96%87" * 255),
], ids=["plain", "quotes", "umlaut", "percent", "line break", "longest"])
def test_names_of_files(alice, name, wanted):
    r = fetch(alice, f"{MEDIA}/download/{mxc(alice, b'x', filename=name)}")
    assert r.headers["content-disposition"] == "inline; " + wanted
    assert "set-cookie" not in r.headers


def test_the_path_names_the_file_otherwise(alice):
    name = mxc(alice, b"x", filename="a.txt")
    r = fetch(alice, f"{MEDIA}/download/{name}/{q('ü b.txt')}")
    assert r.headers["content-disposition"] == "inline; filename*=utf-8''%C3%BC%20b.txt"


def test_ranges(alice):
    path = f"{MEDIA}/download/{mxc(alice, b'0123456789')}"
    for range, status, body in [("bytes=2-4", 206, b"234"), ("bytes=7-", 206, b"789"),
                                ("bytes=-3", 206, b"789"), ("bytes=0-99", 200, b"0123456789"),
                                ("bytes=20-", 416, b"")]:
        r = alice.request("GET", path, headers={"Range": range})
        assert (r.status_code, r.content) == (status, body), range
    r = alice.request("GET", path, headers={"Range": "bytes=2-4"})
    assert r.headers["content-range"] == "bytes 2-4/10"


def test_not_modified(alice):
    path = f"{MEDIA}/download/{mxc(alice, b'abc')}"
    tag = fetch(alice, path).headers["etag"]
    r = alice.request("GET", path, headers={"If-None-Match": f'"x", {tag}'})
    assert r.status_code == 304 and r.content == b""
    assert alice.request("GET", path, headers={"If-None-Match": '"x"'}).status_code == 200


def test_head(alice):
    r = alice.request("HEAD", f"{MEDIA}/download/{mxc(alice, b'abc')}")
    assert r.status_code == 200 and r.headers["content-length"] == "3"


def test_content_is_stored_once(fresh_server):
    server = fresh_server()
    ann, ben = (Client(server).register(n) for n in ("ann", "ben"))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda i: mxc(ann if i % 2 else ben, b"same" * 5000), range(16)))
    assert len(set(names)) == 16
    assert files(server) == {stored(server, b"same" * 5000)}
    assert fetch(ann, f"{MEDIA}/download/{names[3]}").content == b"same" * 5000


def test_it_survives_kill_9(fresh_server):
    server = fresh_server()
    ann = Client(server).register("ann")
    name = mxc(ann, b"keep me")
    server.kill()
    server.start()
    again = Client(server, token=ann.token)
    assert fetch(again, f"{MEDIA}/download/{name}").content == b"keep me"


# ---- what is refused ----


def test_uploads_need_a_user(anonymous):
    anonymous.fails(401, "M_MISSING_TOKEN", "POST", UPLOAD)
    anonymous.fails(401, "M_MISSING_TOKEN", "POST", CREATE)
    anonymous.fails(401, "M_MISSING_TOKEN", "PUT", UPLOAD + "/test.example/abc")
    anonymous.fails(401, "M_MISSING_TOKEN", "GET", f"{MEDIA}/download/test.example/abc")
    anonymous.fails(401, "M_MISSING_TOKEN", "GET", f"{MEDIA}/config")
    anonymous.fails(401, "M_MISSING_TOKEN", "GET", f"{OLD}/config")


@pytest.mark.parametrize("name", [
    "test.example/nothing", "test.example/..%2F..%2Fetc%2Fpasswd", "test.example/a.b",
    "..%2F../abc", "test.example/" + "a" * 300,
], ids=range(5))
def test_missing_media(alice, name):
    alice.fails(404, "M_NOT_FOUND", "GET", f"{MEDIA}/download/{name}")
    alice.fails(404, "M_NOT_FOUND", "GET", f"{OLD}/download/{name}")


@pytest.mark.parametrize("params", [
    {"timeout_ms": "soon"}, {"timeout_ms": "-1"}, {"allow_remote": "maybe"},
    {"allow_redirect": "1"},
])
def test_bad_parameters(alice, params):
    alice.fails(400, "M_INVALID_PARAM", "GET", f"{MEDIA}/download/test.example/abc", params=params)


def test_bad_descriptions(alice):
    for options in [{"params": {"filename": "a" * 766}}, {"headers": {"Content-Type": "a" * 256}},
                    {"headers": {"Content-Type": "é".encode()}}]:
        assert alice.fails(400, "M_INVALID_PARAM", "POST", UPLOAD, content=b"x", **options)


def test_the_largest_upload(fresh_server):
    server = fresh_server(max_upload_size="100K")
    ann = Client(server).register("ann")
    assert ann.get(f"{MEDIA}/config") == {"m.upload.size": 102400}
    assert ann.get(f"{OLD}/config") == {"m.upload.size": 102400}
    mxc(ann, b"x" * 102400)
    before = files(server)
    ann.fails(413, "M_TOO_LARGE", "POST", UPLOAD, content=b"x" * 102401)
    ann.fails(413, "M_TOO_LARGE", "POST", UPLOAD, content=(b"x" * 1024 for _ in range(101)))
    assert files(server) == before


def test_quota(fresh_server):
    server = fresh_server(media_quota_per_user="2000")
    ann, ben = (Client(server).register(n) for n in ("ann", "ben"))
    mxc(ann, b"a" * 1500)
    before = files(server)
    assert ann.fails(403, "M_FORBIDDEN", "POST", UPLOAD, content=b"b" * 501)
    uri = ann.post(CREATE)["content_uri"].removeprefix("mxc://")
    ann.fails(403, "M_FORBIDDEN", "PUT", f"{UPLOAD}/{uri}", content=b"b" * 501)
    assert files(server) == before
    mxc(ben, b"b" * 501)
    mxc(ann, b"c" * 500)
    ann.fails(403, "M_FORBIDDEN", "POST", UPLOAD, content=b"d")


def test_a_quota_is_kept_under_concurrency(fresh_server):
    server = fresh_server(media_quota_per_user="5000")
    ann = Client(server).register("ann")

    def one(i):
        return ann.request("POST", UPLOAD, content=bytes([i]) * 1000).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(one, range(16))) == [200] * 5 + [403] * 11
    assert len(files(server)) == 5


def test_nothing_is_left_of_an_upload_that_broke_off(fresh_server):
    server = fresh_server()
    ann = Client(server).register("ann")

    def body():
        yield b"x" * 100_000
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError):
        ann.request("POST", UPLOAD, content=body())
    assert files(server) == set()


@pytest.fixture
def disk(tmp_path):
    """disk(options) mounts a file system; a function that remounts it with other options."""
    made = []

    def mount(options, path=None):
        where = path or tmp_path / f"disk-{len(made)}"
        where.mkdir(exist_ok=True)
        more = ["remount," + options] if path else [options]
        r = subprocess.run(["mount", "-t", "tmpfs", "-o", *more, "tmpfs", str(where)],
                           capture_output=True, text=True)
        if r.returncode:
            pytest.skip(f"may not mount: {r.stderr}")
        if not path:
            made.append(where)
        return where

    yield mount
    for where in made:
        subprocess.run(["umount", "-l", str(where)], check=True)


def test_a_full_disk(fresh_server, disk):
    store = disk("size=2m,mode=700")
    server = fresh_server(media_store_path=str(store))
    ann = Client(server).register("ann")
    free = os.statvfs(store).f_bfree
    for _ in range(3):
        ann.fails(507, "M_UNKNOWN", "POST", UPLOAD, content=b"x" * 3_000_000)
    assert [p for p in store.rglob("*") if p.is_file()] == []
    assert os.statvfs(store).f_bfree == free
    name = mxc(ann, b"x" * 1_000_000)
    assert len(fetch(ann, f"{MEDIA}/download/{name}").content) == 1_000_000


def test_no_room_for_the_name(fresh_server, disk):
    """There is space for the content but not for its folders."""
    store = disk("nr_inodes=3,mode=700")
    server = fresh_server(media_store_path=str(store), media_quota_per_user="5")
    ann = Client(server).register("ann")
    ann.fails(507, "M_UNKNOWN", "POST", UPLOAD, content=b"abc")
    assert [p for p in store.rglob("*") if p.is_file()] == []
    disk("nr_inodes=100", store)
    name = mxc(ann, b"abc")  # the failed upload was not counted
    assert fetch(ann, f"{MEDIA}/download/{name}").content == b"abc"


# ---- the old endpoints ----


def test_the_old_endpoints_are_frozen(alice, anonymous):
    name = mxc(alice, b"new")
    for v in ("v3", "r0", "v1"):
        for c in (anonymous, alice):
            c.fails(404, "M_NOT_FOUND", "GET", f"/_matrix/media/{v}/download/{name}")
            c.fails(404, "M_NOT_FOUND", "GET", f"/_matrix/media/{v}/download/{name}/x")


def test_media_of_before_the_freeze(fresh_server):
    server = fresh_server(enable_authenticated_media="false")
    ann = Client(server).register("ann")
    old = mxc(ann, b"old", filename="a.txt")
    for v in ("v3", "r0", "v1"):
        r = fetch(Client(server), f"/_matrix/media/{v}/download/{old}")
        assert r.content == b"old"
        assert r.headers["cache-control"].startswith("public")
    server.settings["enable_authenticated_media"] = "true"
    server.restart()
    ann, anonymous = Client(server, token=ann.token), Client(server)
    new = mxc(ann, b"old")
    assert fetch(anonymous, f"{OLD}/download/{old}/b.txt").headers["content-disposition"] == (
        'inline; filename="b.txt"')
    anonymous.fails(404, "M_NOT_FOUND", "GET", f"{OLD}/download/{new}")
    assert fetch(ann, f"{MEDIA}/download/{old}").content == b"old"


@pytest.mark.parametrize("path", ["/_matrix/media/r0/upload", "/_matrix/media/v1/upload"])
def test_old_uploads(alice, path):
    assert alice.call("POST", path, content=b"x")["content_uri"].startswith("mxc://test.example/")


def test_previews_are_off(alice):
    for path in (f"{MEDIA}/preview_url", f"{OLD}/preview_url"):
        alice.fails(404, "M_UNRECOGNIZED", "GET", path, params={"url": "http://x.example"})


# ---- asynchronous uploads ----


def announce(c):
    return c.post(CREATE)["content_uri"].removeprefix("mxc://")


def put(c, name, content=b"late", **options):
    return c.call("PUT", f"{UPLOAD}/{name}", content=content, **options)


def test_upload_after_create(alice, bob):
    before = time.time() * 1000
    r = alice.post(CREATE)
    assert before + 86_390_000 < r["unused_expires_at"] < time.time() * 1000 + 86_410_000
    name = r["content_uri"].removeprefix("mxc://")
    assert put(alice, name, headers={"Content-Type": "text/css"}, params={"filename": "a"}) == {}
    r = fetch(bob, f"{MEDIA}/download/{name}")
    assert r.content == b"late" and r.headers["content-type"] == "text/css"
    assert r.headers["content-disposition"] == 'inline; filename="a"'


def test_not_yet_uploaded(alice, bob):
    name = announce(alice)
    began = time.monotonic()
    bob.fails(504, "M_NOT_YET_UPLOADED", "GET", f"{MEDIA}/download/{name}", params={"timeout_ms": 0})
    assert time.monotonic() - began < 2
    bob.fails(504, "M_NOT_YET_UPLOADED", "GET", f"{MEDIA}/download/{name}",
              params={"timeout_ms": 1500})
    assert time.monotonic() - began > 1.5


def test_a_download_waits_for_the_upload(alice, bob):
    """The upload wakes it: polling would be late."""
    delays = []
    for _ in range(5):
        name = announce(alice)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            waiting = pool.submit(fetch, bob, f"{MEDIA}/download/{name}")
            alice.server.wait_until_parked()
            put(alice, name)
            done = time.monotonic()
            assert waiting.result().content == b"late"
            delays.append(time.monotonic() - done)
    assert min(delays) < 0.1


def test_media_cannot_be_overwritten(alice):
    name = announce(alice)
    put(alice, name)
    alice.fails(409, "M_CANNOT_OVERWRITE_MEDIA", "PUT", f"{UPLOAD}/{name}", content=b"other")
    name = mxc(alice, b"not announced")
    alice.fails(409, "M_CANNOT_OVERWRITE_MEDIA", "PUT", f"{UPLOAD}/{name}", content=b"other")


def test_one_of_many_uploads_to_a_uri_wins(alice):
    name = announce(alice)
    start = threading.Barrier(6)

    def one(i):
        start.wait()
        return alice.request("PUT", f"{UPLOAD}/{name}", content=bytes([i])).status_code, i

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        results = sorted(pool.map(one, range(6)))
    assert [status for status, _ in results] == [200] + [409] * 5
    assert fetch(alice, f"{MEDIA}/download/{name}").content == bytes([results[0][1]])


def test_only_the_creator_may_upload(alice, bob):
    name = announce(alice)
    bob.fails(403, "M_FORBIDDEN", "PUT", f"{UPLOAD}/{name}", content=b"x")
    alice.fails(404, "M_NOT_FOUND", "PUT", f"{UPLOAD}/test.example/unknown", content=b"x")
    alice.fails(404, "M_NOT_FOUND", "PUT", f"{UPLOAD}/other.example/{name[13:]}", content=b"x")
    put(alice, name)


def test_announced_uris_expire_and_are_limited(fresh_server):
    server = fresh_server(unused_expiration_time="2s", max_pending_media_uploads="2")
    ann, ben = (Client(server).register(n) for n in ("ann", "ben"))
    first, second = announce(ann), announce(ann)
    assert 0 < ann.fails(429, "M_LIMIT_EXCEEDED", "POST", CREATE)["retry_after_ms"] <= 2000
    announce(ben)
    put(ann, second)
    announce(ann)
    server.advance(2.1)
    ann.fails(404, "M_NOT_FOUND", "PUT", f"{UPLOAD}/{first}", content=b"x")
    ann.fails(404, "M_NOT_FOUND", "GET", f"{MEDIA}/download/{first}")
    announce(ann)
    announce(ann)
    ann.fails(404, "M_NOT_FOUND", "PUT", f"{UPLOAD}/{first}", content=b"x")
    assert fetch(ben, f"{MEDIA}/download/{second}").content == b"late"


def test_metrics(fresh_server):
    server = fresh_server()
    ann = Client(server).register("ann")
    fetch(ann, f"{MEDIA}/download/{mxc(ann, b'12345')}")
    lines = Client(server).request("GET", "/metrics").text.splitlines()
    assert "concorde_media_uploads_total 1" in lines
    assert "concorde_media_uploaded_bytes_total 5" in lines
    assert "concorde_media_downloads_total 1" in lines

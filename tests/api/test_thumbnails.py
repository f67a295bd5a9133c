"""Client-server API, "Content repository": thumbnails."""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess

import pytest

import images
import server as servers
from client import Client
from restoring import psql, uri_of
from test_media import MEDIA, OLD, announce, files, fetch, mxc, put, stored
from server import metric
from waiting import eventually


def thumbnail(c, name, width, height, status=200, **params):
    """The reply, and what image_size says of it."""
    r = c.request("GET", f"{MEDIA}/thumbnail/{name}",
                  params={"width": width, "height": height, **params})
    assert r.status_code == status, r.text
    return (r, images.size_of(r.content)) if status == 200 else r


def kept(server):
    """The stored thumbnails of this server's images."""
    return {p for p in files(server) if "thumbnails" in p.parts}


PICTURE = images.png(1000, 500)


@pytest.fixture(scope="module")
def picture(server):
    """An uploaded image of 1000x500."""
    c = Client(server).register(f"painter-{os.getpid()}")
    yield mxc(c, PICTURE, "image/png", filename="picture.png")
    c.close()


# ---- sizes ----


@pytest.mark.parametrize("width, height, method, wanted", [
    (32, 32, "crop", (32, 32)), (96, 96, "crop", (96, 96)), (40, 40, "crop", (96, 96)),
    (256, 256, "crop", (320, 320)), (90, 200, "crop", (96, 240)),
    (320, 240, "scale", (320, 160)), (640, 480, "scale", (640, 320)),
    (800, 600, "scale", (800, 400)), (1, 1, "scale", (320, 160)), (1, 241, "scale", (640, 320)),
    (801, 1, "scale", (1000, 500)), (5000, 5000, "scale", (1000, 500)),
    (5000, 5000, "crop", (1000, 500)), (5000, 32, "crop", (1000, 32)),
    (640, 640, "crop", (640, 500)),  # it is never enlarged
])
def test_sizes(alice, picture, width, height, method, wanted):
    r, (kind, *size, moves) = thumbnail(alice, picture, width, height, method=method)
    assert (kind, tuple(size), moves) == ("png", wanted, False)
    assert r.headers["content-type"] == "image/png"
    assert r.headers["content-disposition"] == 'inline; filename="thumbnail.png"'
    assert r.headers["x-content-type-options"] == "nosniff"
    assert r.headers["content-security-policy"].startswith("sandbox;")
    assert r.headers["cross-origin-resource-policy"] == "cross-origin"


def test_scale_is_the_method_when_none_is_given(alice, picture):
    assert thumbnail(alice, picture, 96, 96)[1][1:3] == (320, 160)


def test_a_crop_is_the_middle(alice, picture):
    """500 in the middle of 1000 across, all of 500 down."""
    image = thumbnail(alice, picture, 96, 96, method="crop")[0].content
    for x, y, red, green in [(0, 0, 64, 1), (95, 0, 190, 1), (0, 95, 64, 253), (48, 48, 128, 128)]:
        got = images.png_pixel(image, x, y)
        assert abs(got[0] - red) < 8 and abs(got[1] - green) < 8, (x, y, got)


def test_a_small_image_is_sent_as_it_is(alice):
    small = images.png(30, 20)
    name = mxc(alice, small, "text/html")
    r, _ = thumbnail(alice, name, 32, 32, method="crop")
    assert r.content == small
    assert r.headers["content-type"] == "image/png"  # the real type, not the one of the upload
    assert r.headers["content-disposition"] == 'inline; filename="thumbnail.png"'


# ---- formats ----


@pytest.mark.parametrize("content, kind", [
    (images.jpeg(400, 300), "jpeg"), (images.gif(400, 300), "png"), (images.WEBP, "jpeg"),
    (images.AVIF, "jpeg"), (images.png(400, 300), "png"),
], ids=["jpeg", "gif", "webp", "avif", "png"])
def test_formats(alice, content, kind):
    r, size = thumbnail(alice, mxc(alice, content), 96, 96, method="crop")
    assert size == (kind, 96, 96, False)
    assert r.headers["content-type"] == "image/" + kind


def test_transparency_stays(alice):
    r, _ = thumbnail(alice, mxc(alice, images.png(100, 100, alpha=True)), 32, 32, method="crop")
    assert abs(images.png_pixel(r.content, 16, 16)[3] - 128) < 3


def test_a_turned_photograph_is_set_upright(alice):
    name = mxc(alice, images.jpeg(800, 400, orientation=6))
    r, size = thumbnail(alice, name, 320, 240)
    assert size == ("jpeg", 120, 240, False)
    assert b"Exif" not in r.content  # the place of the photo is removed


def test_avif_is_never_sent_as_a_thumbnail(alice):
    assert thumbnail(alice, mxc(alice, images.AVIF), 800, 600)[1] == ("jpeg", 400, 300, False)


# ---- animation ----


def test_animated_when_asked_for(alice):
    name = mxc(alice, images.gif(200, 100, frames=3), "image/gif")
    r, size = thumbnail(alice, name, 96, 96, method="crop", animated="true")
    assert size == ("webp", 96, 96, True)
    assert r.headers["content-type"] == "image/webp"
    assert r.content.count(b"ANMF") == 3
    for params in ({}, {"animated": "false"}):
        assert thumbnail(alice, name, 96, 96, method="crop", **params)[1] == ("png", 96, 96, False)


def test_animated_and_scaled(alice):
    name = mxc(alice, images.gif(400, 100, frames=2), "image/gif")
    assert thumbnail(alice, name, 320, 240, animated="true")[1] == ("webp", 320, 80, True)


@pytest.mark.parametrize("content, kind", [
    (images.gif(20, 10, frames=2), "gif"), (images.png(20, 10, animated=True), "png"),
], ids=["gif", "apng"])
def test_small_animations(alice, content, kind):
    name = mxc(alice, content)
    r, size = thumbnail(alice, name, 32, 32, animated="false")
    assert size == ("png", 20, 10, False)
    r, _ = thumbnail(alice, name, 32, 32, animated="true")
    if kind == "gif":
        assert r.content == content and r.headers["content-type"] == "image/gif"


def test_animated_is_only_a_wish(alice):
    name = mxc(alice, images.jpeg(400, 300))
    assert thumbnail(alice, name, 96, 96, method="crop", animated="true")[1] == (
        "jpeg", 96, 96, False)


# ---- what is refused ----


@pytest.mark.parametrize("params, errcode", [
    ({"width": 32}, "M_MISSING_PARAM"), ({"height": 32}, "M_MISSING_PARAM"),
    ({"width": "x", "height": 32}, "M_INVALID_PARAM"),
    ({"width": 32, "height": "1.5"}, "M_INVALID_PARAM"),
    ({"width": -1, "height": 32}, "M_INVALID_PARAM"),
    ({"width": 0, "height": 32}, "M_INVALID_PARAM"),
    ({"width": 32, "height": 2**31}, "M_INVALID_PARAM"),
    ({"width": 32, "height": 32, "method": "stretch"}, "M_INVALID_PARAM"),
    ({"width": 32, "height": 32, "animated": "1"}, "M_INVALID_PARAM"),
])
def test_bad_parameters(alice, picture, params, errcode):
    alice.fails(400, errcode, "GET", f"{MEDIA}/thumbnail/{picture}", params=params)


@pytest.mark.parametrize("content", [
    b"", b"no image at all", b"<svg xmlns='http://www.w3.org/2000/svg' width='10' height='10'/>",
    b"%PDF-1.4\n", images.png_header(100, 100), PICTURE[:40], b"GIF89a", b"\xff\xd8\xff\xe0 no",
    b"RIFF\x10\0\0\0WEBPVP8 ", images.AVIF[:100], b"II*\0\x08\0\0\0" + bytes(100),
    b"\0\0\0\x1d" + images.AVIF[4:],  # the decoder itself does not see it as AVIF
], ids=range(12))
def test_not_an_image(alice, content):
    name = mxc(alice, content, "image/png")
    assert thumbnail(alice, name, 32, 32, status=400).json()["errcode"] == "M_UNKNOWN"


def test_an_image_that_breaks_off(alice, server):
    """Either a partial thumbnail or an error; never a hang, never an incomplete file."""
    name = mxc(alice, PICTURE[:len(PICTURE) // 2], "image/png")
    r = alice.request("GET", f"{MEDIA}/thumbnail/{name}", params={"width": 32, "height": 32})
    assert r.status_code in (200, 400)
    if r.status_code == 200:
        assert images.size_of(r.content) == ("png", 320, 160, False)


def test_a_header_that_announces_too_much(alice):
    content = images.png_header(60000, 60000) + images.chunk(b"IDAT", b"")
    name = mxc(alice, content, "image/png")
    assert thumbnail(alice, name, 32, 32, status=413).json()["errcode"] == "M_TOO_LARGE"
    tiny = images.gif(1, 1)
    huge = tiny.replace(b"\0\0\0\0\1\0\1\0\0\2", b"\0\0\0\0\xff\xff\xff\xff\0\2")
    assert huge != tiny
    thumbnail(alice, mxc(alice, huge, "image/gif"), 32, 32, status=413)


def test_bombs(fresh_server):
    server = fresh_server(max_image_pixels="1M")
    ann = Client(server).register("ann")
    bomb = images.png_bomb(2000, 2000)
    assert len(bomb) < 20_000
    name = mxc(ann, bomb, "image/png")
    assert thumbnail(ann, name, 32, 32, status=413).json()["errcode"] == "M_TOO_LARGE"
    frames = mxc(ann, images.gif(400, 300, frames=10), "image/gif")
    r = thumbnail(ann, frames, 32, 32, status=413, animated="true")
    assert r.json()["errcode"] == "M_TOO_LARGE"
    assert thumbnail(ann, frames, 32, 32, method="crop")[1] == ("png", 32, 32, False)
    assert len(kept(server)) == 1
    assert fetch(ann, f"{MEDIA}/download/{name}").content == bomb


def test_a_large_real_image(alice):
    """30 million pixels are under the limit: the time and memory allowed suffice."""
    name = mxc(alice, images.png_bomb(6000, 5000), "image/png")
    assert thumbnail(alice, name, 96, 96, method="crop")[1] == ("png", 96, 96, False)


# ---- its program ----


PROGRAM = pathlib.Path(servers.BINARY).with_name("concorde-thumbnail")


def test_its_program_is_confined(tmp_path):
    """It is inspected while it writes into a pipe that is full."""
    (tmp_path / "image").write_bytes(PICTURE)
    with (tmp_path / "image").open("rb") as image, subprocess.Popen(
            [PROGRAM, "640", "480", "scale", "still", "1000000"], stdin=image,
            stdout=subprocess.PIPE, pipesize=4096) as p:
        def status():
            lines = pathlib.Path(f"/proc/{p.pid}/status").read_text().splitlines()
            return dict(line.split(":\t", 1) for line in lines)

        eventually(lambda: status()["Seccomp"] == "2")
        now = status()
        assert now["NoNewPrivs"] == "1"
        assert set(now["Uid"].split()) == {str(os.getuid() or 65533)}
        assert set(now["Gid"].split()) == {str(os.getgid() if os.getuid() else 65533)}
        if os.getuid() == 0:
            assert now["CapEff"] == now["CapPrm"] == "0" * 16 and not now["Groups"].strip()
        assert images.size_of(p.stdout.read())[:3] == ("png", 640, 320)
    assert p.returncode == 0


def test_a_forbidden_call_is_logged(fresh_server, tmp_path, monkeypatch):
    monkeypatch.setattr(servers, "BINARY", str(shutil.copy(servers.BINARY, tmp_path / "concorde")))
    program = tmp_path / PROGRAM.name
    program.write_text("#!/bin/sh\nkill -SYS $$\n")
    program.chmod(0o755)
    server = fresh_server()
    ann = Client(server).register("ann")
    ann.fails(500, "M_UNKNOWN", "GET", f"{MEDIA}/thumbnail/{mxc(ann, PICTURE)}",
              params={"width": 32, "height": 32})
    assert "killed for a system call that it may not make" in server.log_text()


# ---- keeping them ----


def test_made_once(fresh_server):
    server = fresh_server()
    ann = Client(server).register("ann")
    names = [mxc(ann, PICTURE), mxc(ann, PICTURE)]  # the same content: the same thumbnails

    def one(i):
        return thumbnail(ann, names[i % 2], 96, 96, method="crop")[0].content

    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        got = list(pool.map(one, range(48)))
    assert len(set(got)) == 1
    path, = kept(server)
    name = stored(server, PICTURE).name
    assert path.relative_to(pathlib.Path(server.data) / "media") == pathlib.Path(
        "thumbnails", name[:2], name[2:4], f"{name}-96x96-crop")
    made = metric(server, "concorde_media_thumbnails_made_total")
    assert 1 <= made <= 4 * len(server.nodes)  # at most as many as run at once
    assert metric(server, "concorde_media_thumbnails_served_total") == 48
    assert metric(server, "concorde_media_thumbnailers") == 0
    path.unlink()  # a cache: it is made again
    assert one(0) == got[0] and path.exists()


def used(server):
    """The recorded and the real use: names and bytes, in blocks."""
    counted = psql(uri_of(server), "SELECT bytes FROM media_usage WHERE \"user\" = -1")
    rows = psql(uri_of(server), "SELECT encode(sha256, 'hex') || '-' || variant FROM thumbnails")
    assert set(rows.split()) == {p.name for p in kept(server)}
    assert int(counted) == sum((p.stat().st_size // 4096 + 1) * 4096 for p in kept(server))
    return {p.name.partition("-")[2] for p in kept(server)}


def test_the_oldest_over_the_budget_are_removed(fresh_server):
    server = fresh_server(thumbnail_budget="16K")
    ann = Client(server).register("ann")
    name = mxc(ann, images.gif(200, 200))
    for side in 32, 96, 320:  # the last is as large as the image: it is not stored
        thumbnail(ann, name, side, side, method="crop")
    assert used(server) == {"32x32-crop", "96x96-crop", "320x320-crop"}
    psql(uri_of(server), "UPDATE thumbnails SET accessed_ts = accessed_ts - 7200000")
    for path in kept(server):
        os.utime(path, (0, 0))
    thumbnail(ann, name, 32, 32, method="crop")  # the most recently sent one
    before = thumbnail(ann, name, 96, 96, method="crop")[0].content
    for side in 240, 480:
        thumbnail(ann, name, side, side, method="crop")
    assert used(server) == {"32x32-crop", "96x96-crop", "240x240-crop", "480x480-crop"}
    thumbnail(ann, name, 600, 600, method="crop")
    assert "32x32-crop" not in used(server)
    thumbnail(ann, name, 640, 640, method="crop")
    assert "96x96-crop" not in used(server)
    assert thumbnail(ann, name, 96, 96, method="crop")[0].content == before


def test_many_different_ones_take_turns(fresh_server):
    server = fresh_server()
    ann = Client(server).register("ann")
    names = [mxc(ann, images.gif(100 + i, 50)) for i in range(40)]
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        got = list(pool.map(lambda n: thumbnail(ann, n, 32, 32, method="crop")[1], names))
    assert got == [("png", 32, 32, False)] * 40


def test_one_user_has_two_made_at_once(fresh_server):
    server = fresh_server()
    ann = Client(server).register("ann")
    names = [mxc(ann, images.gif(2000 + i, 1000)) for i in range(12)]
    running = set()
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(thumbnail, ann, n, 32, 32, method="crop") for n in names]
        while not all(a.done() for a in asked):
            running.update(metric(node, "concorde_media_thumbnailers") for node in server.nodes)
        assert all(a.result()[1] == ("png", 32, 32, False) for a in asked)
    assert max(running) in (1, 2)


def test_a_thumbnail_waits_for_the_upload(alice, bob):
    name = announce(alice)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(thumbnail, bob, name, 32, 32, method="crop")
        alice.server.wait_until_parked()
        put(alice, name, PICTURE)
        assert waiting.result()[1] == ("png", 32, 32, False)
    bob.fails(504, "M_NOT_YET_UPLOADED", "GET", f"{MEDIA}/thumbnail/{announce(alice)}",
              params={"width": 32, "height": 32, "timeout_ms": 0})


def test_not_modified(alice, picture):
    r, _ = thumbnail(alice, picture, 96, 96)
    path = f"{MEDIA}/thumbnail/{picture}"
    again = alice.request("GET", path, params={"width": 96, "height": 96},
                          headers={"If-None-Match": r.headers["etag"]})
    assert again.status_code == 304
    other, _ = thumbnail(alice, picture, 32, 32, method="crop")
    assert other.headers["etag"] != r.headers["etag"]


# ---- access ----


def test_they_need_a_token(anonymous, alice, picture):
    size = {"width": 32, "height": 32}
    anonymous.fails(401, "M_MISSING_TOKEN", "GET", f"{MEDIA}/thumbnail/{picture}", params=size)
    for v in ("v3", "r0", "v1"):
        anonymous.fails(404, "M_NOT_FOUND", "GET", f"/_matrix/media/{v}/thumbnail/{picture}",
                        params=size)


def test_before_the_freeze(fresh_server):
    server = fresh_server(enable_authenticated_media="false")
    name = mxc(Client(server).register("ann"), PICTURE)
    r = fetch(Client(server), f"{OLD}/thumbnail/{name}", params={"width": 320, "height": 240})
    assert images.size_of(r.content) == ("png", 320, 160, False)
    assert r.headers["cache-control"].startswith("public")

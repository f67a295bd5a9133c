"""Server-server API, "Content Repository": media of other servers, and ours for them."""

import concurrent.futures

import pytest

from client import Client, q
from images import png
from remote import FED, q as segment
from remote_answers import multipart
from restoring import psql, uri_of

MEDIA = "/_matrix/client/v1/media"
OLD = "/_matrix/media/v3"
DOWNLOAD = FED + "/v1/media/download/"


@pytest.fixture
def one(two):
    return two[0]


@pytest.fixture
def alice(one):
    return one.user("alice")


def upload(client, data, type="application/octet-stream", **params):
    r = client.request("POST", f"{OLD}/upload", content=data, params=params,
                       headers={"Content-Type": type})
    assert r.status_code == 200, r.text
    return r.json()["content_uri"].removeprefix("mxc://")


def fetch(client, mxc, kind="download", status=200, **params):
    r = client.request("GET", f"{MEDIA}/{kind}/{mxc}", params=params)
    assert r.status_code == status, f"{r.status_code} {r.text[:500]}"
    return r


def fails(client, mxc, status, errcode, **params):
    assert fetch(client, mxc, status=status, **params).json()["errcode"] == errcode


def parts(response):
    """The two parts of a multipart/mixed reply, each (head, body)."""
    kind, boundary = response.headers["content-type"].split("; boundary=")
    assert kind == "multipart/mixed"
    mark = b"--" + boundary.encode()
    assert response.content.startswith(mark + b"\r\n")
    assert response.content.endswith(b"\r\n" + mark + b"--\r\n")
    inner = response.content[len(mark) + 2:-len(mark) - 6]
    return [tuple(p.split(b"\r\n\r\n", 1)) for p in inner.split(b"\r\n" + mark + b"\r\n")]


# ---- between two Concordes ----


@pytest.mark.parametrize("size", [0, 1, 300_000, 5_000_000])
def test_a_file_of_another_concorde(two, size):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    mxc = upload(alice, data, "text/plain", filename="grün \"x\".txt")
    r = fetch(bob, mxc)
    assert r.content == data and r.headers["content-type"] == "text/plain"
    assert r.headers["content-disposition"] == "inline; filename*=utf-8''gr%C3%BCn%20%22x%22.txt"
    a.link.cut()  # it is cached here now
    assert fetch(bob, mxc).content == data
    assert bob.request("GET", f"{MEDIA}/download/{mxc}", headers={"Range": "bytes=0-9"}).content \
        == data[:10]


def test_a_thumbnail_of_another_servers_image(two):
    a, b = two
    mxc = upload(a.user("alice"), png(400, 300), "image/png")
    bob = b.user("bob")
    r = fetch(bob, mxc, "thumbnail", width=64, height=64, method="crop")
    assert r.headers["content-type"] == "image/png" and len(r.content) < len(png(400, 300))


def test_a_later_upload(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    mxc = alice.post("/_matrix/media/v1/create")["content_uri"].removeprefix("mxc://")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(fetch, bob, mxc)
        a.wait_until_parked()
        r = alice.request("PUT", f"{OLD}/upload/{mxc}", content=b"at last")
        assert r.status_code == 200
        assert waiting.result().content == b"at last"


def test_fetched_media_is_not_served_by_the_old_endpoints(two):
    a, b = two
    mxc = upload(a.user("alice"), b"secret")
    anonymous, bob = Client(b), b.user("bob")
    anonymous.fails(404, "M_NOT_FOUND", "GET", f"{OLD}/download/{mxc}")  # and is not fetched for them
    fetch(bob, mxc)
    anonymous.fails(404, "M_NOT_FOUND", "GET", f"{OLD}/download/{mxc}")


def test_allow_remote(two):
    a, b = two
    mxc, bob = upload(a.user("alice"), b"here"), b.user("bob")
    fails(bob, mxc, 404, "M_NOT_FOUND", allow_remote="false")
    assert fetch(bob, mxc).content == b"here"
    assert fetch(bob, mxc, allow_remote="false").content == b"here"


# ---- answering ----


def test_answering(remote, alice, one):
    mxc = upload(alice, b"a\r\n--b\r\nc", "text/html", filename="page.html")
    r = remote.request(one.name, "GET", DOWNLOAD + mxc.split("/")[1])
    assert r.status_code == 200
    (head, meta), (more, body) = parts(r)
    assert head == b"Content-Type: application/json" and meta == b"{}"
    assert body == b"a\r\n--b\r\nc"
    assert more.split(b"\r\n") == [
        b"Content-Type: text/html", b'Content-Disposition: attachment; filename="page.html"']


def test_answering_with_a_thumbnail(remote, alice, one):
    mxc = upload(alice, png(400, 300), "image/png")
    uri = f"{FED}/v1/media/thumbnail/{mxc.split('/')[1]}"
    r = remote.request(one.name, "GET", uri + "?width=64&height=64&method=crop&animated=false")
    (_, _), (head, body) = parts(r)
    assert b"Content-Type: image/png" in head and body.startswith(b"\x89PNG")
    remote.fails(one.name, 400, "M_MISSING_PARAM", "GET", uri)
    text = upload(alice, b"no image", "text/plain")
    remote.fails(one.name, 400, "M_UNKNOWN", "GET",
                 f"{FED}/v1/media/thumbnail/{text.split('/')[1]}?width=64&height=64")


def test_refusals(remote, alice, one):
    remote.fails(one.name, 404, "M_NOT_FOUND", "GET", DOWNLOAD + "nothing")
    remote.fails(one.name, 404, "M_NOT_FOUND", "GET", DOWNLOAD + "..%2F..%2Fetc")
    media = upload(alice, b"x").split("/")[1]
    remote.fails(one.name, 401, "M_UNAUTHORIZED", "GET", DOWNLOAD + media, sign=False)
    later = alice.post("/_matrix/media/v1/create")["content_uri"].rsplit("/", 1)[1]
    remote.fails(one.name, 504, "M_NOT_YET_UPLOADED", "GET", DOWNLOAD + later + "?timeout_ms=100")


def test_only_our_own_media_is_given_to_others(remote, alice, one):
    """Media of third servers are not served."""
    remote.media["theirs"] = "text/plain", b"x"
    fetch(alice, f"{remote.name}/theirs")
    remote.fails(one.name, 404, "M_NOT_FOUND", "GET", DOWNLOAD + "theirs")


# ---- asking ----


def test_fetched_once_for_all(remote, one, alice):
    remote.media["popular"] = "text/plain", b"x" * 100_000
    remote.link.delay(0.2)
    bob = one.user("bob")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        gets = [pool.submit(fetch, c, f"{remote.name}/popular") for c in (alice, bob) * 6]
        assert all(g.result().content == b"x" * 100_000 for g in gets)
    assert len(remote.seen(path=DOWNLOAD)) == 1
    assert remote.seen(path=DOWNLOAD)[0].is_authentic


def test_missing_media_is_not_requested_again(remote, alice):
    for _ in range(3):
        fails(alice, f"{remote.name}/nothing", 404, "M_NOT_FOUND")
    assert len(remote.seen(path=DOWNLOAD)) == 1


def test_the_old_endpoint_of_old_servers(remote, alice):
    remote.on("GET", DOWNLOAD, (404, {"errcode": "M_UNRECOGNIZED", "error": "what?"}))

    @remote.on("GET", f"{OLD}/download/")
    def answer(request):
        assert request.path == f"{OLD}/download/{segment(remote.name)}/old"
        assert request.query["allow_remote"] == ["false"] and request.origin is None
        return 200, (b"old times", {"Content-Type": "text/plain",
                                    "Content-Disposition": 'inline; filename="old.txt"'})

    r = fetch(alice, f"{remote.name}/old")
    assert r.content == b"old times" and r.headers["content-type"] == "text/plain"
    assert r.headers["content-disposition"] == 'inline; filename="old.txt"'


def test_other_refusals_do_not_lead_to_the_old_endpoint(remote, alice):
    for n, (status, errcode, wanted, answered) in enumerate([
            (404, "M_NOT_FOUND", 404, "M_NOT_FOUND"), (403, "M_FORBIDDEN", 502, "M_BAD_STATUS"),
            (504, "M_NOT_YET_UPLOADED", 504, "M_NOT_YET_UPLOADED"),
            (502, "M_TOO_LARGE", 502, "M_TOO_LARGE"), (500, "M_UNKNOWN", 502, "M_BAD_STATUS")]):
        remote.on("GET", DOWNLOAD, (status, {"errcode": errcode, "error": "no"}))
        fails(alice, f"{remote.name}/refused{n}", wanted, answered)
    assert not remote.seen(path=OLD)


def mixed(*parts, boundary="b", end=True):
    body = b"".join(b"\r\n--" + boundary.encode() + b"\r\n" + p for p in parts)
    body += b"\r\n--" + boundary.encode() + b"--\r\n" if end else b""
    return 200, (body, {"Content-Type": f"multipart/mixed; boundary={boundary}"})


JSON = b"Content-Type: application/json\r\n\r\n{}"


@pytest.mark.parametrize("answer", [
    mixed(JSON), mixed(JSON, b"\r\nx", b"\r\ny"), mixed(JSON, b"\r\nx", end=False),
    mixed(JSON, b"no head"), (200, (b"plain", {"Content-Type": "text/plain"})), (200, {}),
    (200, (b"", {"Content-Type": "multipart/mixed; boundary=b"})),
    (200, (b"--b--", {"Content-Type": "multipart/mixed"})),
], ids=["one part", "three parts", "no end", "no head", "not multipart", "json", "empty",
        "no boundary"])
def test_malformed_answers(remote, alice, answer):
    remote.on("GET", DOWNLOAD, answer)
    fails(alice, f"{remote.name}/malformed", 502, "M_BAD_STATUS")


def test_hostile_headers(remote, alice):
    remote.on("GET", DOWNLOAD, mixed(
        JSON, b"Content-Type: text/html\r\nContent-Disposition: inline; filename=\"a\r\n\r\n<b>"))
    r = fetch(alice, f"{remote.name}/hostile1")
    assert r.headers["content-disposition"].startswith("attachment") and r.content == b"<b>"
    remote.on("GET", DOWNLOAD, mixed(JSON, b"Content-Type: " + b"x" * 1000 + b"\r\n\r\nx"))
    assert fetch(alice, f"{remote.name}/hostile2").headers["content-type"] == \
        "application/octet-stream"
    remote.on("GET", DOWNLOAD, mixed(JSON, b"Content-Type: a\x01b\r\n\r\nx"))
    assert fetch(alice, f"{remote.name}/hostile3").headers["content-type"] == \
        "application/octet-stream"


def test_too_large(remote, ministries):
    m = ministries(max_remote_media_size="100000")
    alice = m.user("alice")
    remote.media.update({"just": ("text/plain", b"x" * 100_000), "more": ("text/plain", b"x" * 100_001),
                         "much": ("text/plain", b"x" * 10_000_000)})
    assert len(fetch(alice, f"{remote.name}/just").content) == 100_000
    fails(alice, f"{remote.name}/more", 502, "M_TOO_LARGE")
    fails(alice, f"{remote.name}/much", 502, "M_TOO_LARGE")


THUMBNAIL = FED + "/v1/media/thumbnail/"


def test_thumbnails_of_media_over_the_limit_are_made_remotely(remote, ministries):
    m = ministries(max_remote_media_size="100000")
    alice, picture = m.user("alice"), png(64, 64)
    remote.media["large"] = "image/png", b"x" * 200_000
    remote.on("GET", THUMBNAIL, lambda r: (200, multipart("image/png", picture)))
    r = fetch(alice, f"{remote.name}/large", "thumbnail", width=60, height=60, method="crop")
    assert r.content == picture and r.headers["content-type"] == "image/png"
    asked, = remote.seen(path=THUMBNAIL)
    assert asked.query == {"width": ["96"], "height": ["96"], "method": ["crop"],
                           "animated": ["false"]} and asked.is_authentic
    remote.on("GET", THUMBNAIL, (404, {"errcode": "M_UNRECOGNIZED", "error": "what?"}))
    remote.on("GET", f"{OLD}/thumbnail/", (200, (picture, {"Content-Type": "image/png"})))
    assert fetch(alice, f"{remote.name}/large", "thumbnail", width=60, height=60).content == picture
    assert remote.seen(path=f"{OLD}/thumbnail/")[0].query["allow_remote"] == ["false"]
    for wrong in b"<html>", b"", png(64, 64)[:5] + b"x" * 200_000:
        remote.on("GET", THUMBNAIL, lambda r: (200, multipart("image/png", wrong)))
        fetch(alice, f"{remote.name}/large", "thumbnail", 502, width=60, height=60)


def test_such_a_thumbnail_between_concordes(two, ministries):
    m = ministries(max_remote_media_size="20000")
    mxc = upload(two[0].user("alice"), png(400, 300) + b"x" * 20_000, "image/png")
    r = fetch(m.user("bob"), mxc, "thumbnail", width=32, height=32, method="crop")
    assert r.headers["content-type"] == "image/png" and len(r.content) <= 20_000


def test_a_server_that_is_not_there(remote, alice):
    remote.link.cut()
    r = fetch(alice, f"{remote.name}/x", status=502)
    assert r.json()["errcode"] == "M_CONNECTION_FAILED"


def test_closed_federation(remote, ministries):
    m = ministries(federation_domain_whitelist="elsewhere.example")
    alice = m.user("alice")
    fails(alice, f"{remote.name}/x", 403, "M_FORBIDDEN")
    remote.fails(m.name, 403, "M_FORBIDDEN", "GET", DOWNLOAD + "x")
    assert m.name not in {r.origin for r in remote.requests}


def test_some_servers_media_is_not_wanted(remote, remotes, ministries):
    m, other = ministries(prevent_media_downloads_from=remote.name), remotes()
    alice = m.user("alice")
    remote.media["x"] = other.media["x"] = "text/plain", b"x"
    fails(alice, f"{remote.name}/x", 404, "M_NOT_FOUND")
    assert remote.link.connections == 0
    fetch(alice, f"{other.name}/x")


def test_the_old_endpoints_fetch_before_the_freeze(remote, ministries):
    m = ministries(enable_authenticated_media="false")
    anonymous, mxc = Client(m), f"{remote.name}/x"
    remote.media["x"] = "text/plain", b"x"
    assert anonymous.request("GET", f"{OLD}/download/{mxc}").content == b"x"
    assert anonymous.request("GET", f"/_matrix/media/r0/download/{mxc}/name").content == b"x"


# ---- redirects ----


def redirect(url):
    return mixed(JSON, b"Location: " + url.encode() + b"\r\n\r\n")


def test_a_redirect_is_followed(remote, remotes, alice):
    store = remotes()
    remote.on("GET", DOWNLOAD, redirect(f"https://{store.name}/bucket/file?signed=1"))
    store.on("GET", "/bucket/file", (200, (b"far away", {"Content-Type": "image/png"})))
    r = fetch(alice, f"{remote.name}/far")
    assert r.content == b"far away" and r.headers["content-type"] == "image/png"
    seen, = store.seen(path="/bucket/file")
    assert seen.origin is None and "Authorization" not in seen.headers


def test_redirects_that_are_not_followed(remote, remotes, alice):
    store = remotes()
    store.on("GET", "/404", 404)
    for n, url in enumerate([f"http://{store.name}/x", "file:///etc/passwd", "ftp://x/y", "//x", "x",
                             "https://", f"https://{store.name}/404"]):
        remote.on("GET", DOWNLOAD, redirect(url))
        fails(alice, f"{remote.name}/bad{n}", 502, "M_BAD_STATUS")
    assert [r.path for r in store.seen()] == ["/404"]


def test_no_redirect_to_private_addresses(remote, remotes, alice):
    """The tests' servers may contact 127.0.0.1, where all run, but no other private address."""
    for n, host in enumerate(["169.254.169.254", "10.0.0.1", "[::1]", "192.168.1.1"]):
        remote.on("GET", DOWNLOAD, redirect(f"https://{host}/latest/meta-data"))
        fails(alice, f"{remote.name}/private{n}", 502, "M_BAD_STATUS")


def test_no_redirect_out_of_closed_federation(remote, remotes, ministries):
    store = remotes()
    m = ministries(federation_domain_whitelist=remote.name)
    alice = m.user("alice")
    store.on("GET", "/file", (200, (b"x", {"Content-Type": "image/png"})))
    remote.on("GET", DOWNLOAD, redirect(f"https://{store.name}/file"))
    fails(alice, f"{remote.name}/far", 502, "M_BAD_STATUS")
    assert store.link.connections == 0


# ---- the cache of other servers' media ----


def kept(m):
    """Cached media ids of other servers, and the files that are not empty."""
    ids = psql(uri_of(m), "SELECT media_id FROM media WHERE uploader IS NULL ORDER BY 1").split()
    folders = (m.data / "media").rglob("*")
    return ids, [f for f in folders if f.is_file() and f.stat().st_size]


def test_the_oldest_over_the_budget_are_removed_and_made_again(remote, ministries):
    m = ministries(remote_media_budget="1M")
    alice = m.user("alice")
    content = {f"f{i}": bytes([65 + i]) * 300_000 for i in range(5)}
    remote.media.update({name: ("text/plain", c) for name, c in content.items()})
    remote.media["same"] = "text/plain", content["f3"]
    for name in "f0", "f1", "f2":
        fetch(alice, f"{remote.name}/{name}")
    psql(uri_of(m), "UPDATE media SET accessed_ts = accessed_ts - 7200000 WHERE uploader IS NULL")
    fetch(alice, f"{remote.name}/f0")  # of the three it is now the most recently sent one
    fetch(alice, f"{remote.name}/f3")
    ids, files = kept(m)
    assert len(ids) == 3 and {"f0", "f3"} <= set(ids) and len(files) == 3
    fetch(alice, f"{remote.name}/same")  # another id for cached content
    fetch(alice, f"{remote.name}/f4")
    ids, files = kept(m)
    assert len(ids) == 3 and "f4" in ids
    for name in sorted(content):
        assert fetch(alice, f"{remote.name}/{name}").content == content[name]
    used = psql(uri_of(m), "SELECT bytes FROM media_usage WHERE \"user\" = 0")
    assert int(used) == 300_000 * len(kept(m)[0])


def test_old_media_is_removed_with_its_thumbnails(remote, ministries):
    m = ministries(media_retention__remote_media_lifetime="1d")
    alice = m.user("alice")
    remote.media.update({"old": ("image/png", png(200, 200)), "new": ("text/plain", b"new")})
    fetch(alice, f"{remote.name}/old")
    fetch(alice, f"{remote.name}/old", "thumbnail", width=32, height=32, method="crop")
    mine = upload(alice, b"alice's own")
    psql(uri_of(m), "UPDATE media SET accessed_ts = 0")
    assert len(kept(m)[1]) == 3
    fetch(alice, f"{remote.name}/new")
    ids, files = kept(m)
    assert ids == ["new"] and len(files) == 2
    assert psql(uri_of(m), "SELECT bytes FROM media_usage WHERE \"user\" = -1") == "0"
    assert fetch(alice, mine).content == b"alice's own"


def test_a_lost_file_of_another_server_is_fetched_anew(remote, ministries):
    m = ministries()
    alice = m.user("alice")
    remote.media["x"] = "text/plain", b"x"
    fetch(alice, f"{remote.name}/x")
    for f in kept(m)[1]:
        f.unlink()
    fails(alice, f"{remote.name}/x", 503, "M_UNKNOWN")
    assert fetch(alice, f"{remote.name}/x").content == b"x"


def test_fetched_media_is_charged_by_its_size(remote, ministries):
    m = ministries(rate_limits="true", rc_remote__per_second="0.001", rc_remote__burst_count="5")
    alice = m.user("alice")
    remote.media.update({f"f{i}": ("text/plain", bytes([65 + i]) * 3_000_000) for i in range(2)})
    fetch(alice, f"{remote.name}/f0")
    fails(alice, f"{remote.name}/f1", 429, "M_LIMIT_EXCEEDED")
    fetch(alice, f"{remote.name}/f0")  # it is cached

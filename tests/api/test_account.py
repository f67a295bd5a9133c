"""Client-server API, "Account management", "Account moderation", "OpenID", "Voice over IP"."""

import base64
import concurrent.futures
import hashlib
import hmac
import time

import pytest

from client import Client, q
from restoring import locked, psql, uri_of
from test_uia import password
from waiting import eventually

NEW = "an entirely new password"


def relogin(c, secret, status=200):
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": c.user_id},
            "password": secret}
    return Client(c.server).call("POST", "/login", body, status=status)


# ---- passwords ----


def test_change_password(alice):
    other = alice.another_device()
    r = alice.call("POST", "/account/password", {"new_password": NEW}, status=401)
    assert r["flows"] == [{"stages": ["m.login.password"]}]
    assert alice.post("/account/password", {"new_password": NEW, "auth": password(alice, r["session"])}) == {}
    relogin(alice, alice.password, status=403)
    relogin(alice, NEW)
    alice.get("/account/whoami")  # this device stays
    other.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")


def test_change_password_and_keep_the_devices(alice):
    other = alice.another_device()
    alice.post("/account/password", {"new_password": NEW, "logout_devices": False, "auth": password(alice)})
    relogin(alice, NEW)
    other.get("/account/whoami")


def test_change_password_errors(anonymous, alice):
    change = lambda status, errcode, body: alice.fails(status, errcode, "POST", "/account/password", body)
    change(400, "M_WEAK_PASSWORD", {"new_password": "short", "auth": password(alice)})
    change(400, "M_INVALID_PARAM", {"new_password": "x" * 513, "auth": password(alice)})
    change(400, "M_BAD_JSON", {"new_password": 5, "auth": password(alice)})
    change(400, "M_BAD_JSON", {"new_password": NEW, "logout_devices": "yes"})
    change(400, "M_MISSING_PARAM", {"auth": password(alice)})
    change(401, "M_FORBIDDEN", {"new_password": NEW, "auth": password(alice, password="wrong")})
    anonymous.fails(401, "M_MISSING_TOKEN", "POST", "/account/password", {"new_password": NEW})
    relogin(alice, alice.password)


# ---- deactivation ----


def test_deactivate(register, alice):
    eve = register("eve")
    open_room, invited = alice.create_room(preset="public_chat"), alice.create_room()
    eve.join(open_room)
    alice.invite(invited, eve)
    own = eve.create_room()
    other = eve.another_device()
    eve.put(f"/profile/{q(eve.user_id)}/displayname", {"displayname": "Eve"})
    r = eve.call("POST", "/account/deactivate", {}, status=401)
    done = eve.post("/account/deactivate", {"auth": password(eve, r["session"])})
    assert done == {"id_server_unbind_result": "success"}
    for c in eve, other:
        c.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")
    assert relogin(eve, eve.password, status=403)["errcode"] == "M_USER_DEACTIVATED"
    assert relogin(eve, "guessed", status=403)["errcode"] == "M_FORBIDDEN"
    for room in open_room, invited:
        assert alice.state(room, "m.room.member", eve.user_id)["membership"] == "leave"
    local = eve.user_id[1:].split(":")[0]
    Client(eve.server).fails(400, "M_USER_IN_USE", "POST", "/register", {"username": local})
    assert alice.get(f"/profile/{q(eve.user_id)}")["displayname"] == "Eve"
    assert own


def test_deactivation_leaves_all_rooms(register, alice):
    """Joins, knocks and new rooms were on their way when the account ended."""
    eve = register("eve")
    open_room = alice.create_room(preset="public_chat")
    closed = alice.create_room(initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}])
    r = eve.call("POST", "/account/deactivate", {}, status=401)
    asked = [("POST", f"/join/{q(open_room)}", {}), ("POST", f"/knock/{q(closed)}", {}),
             ("POST", "/createRoom", {"preset": "public_chat"})]
    with concurrent.futures.ThreadPoolExecutor(len(asked)) as pool:
        with locked(eve.server, "profiles"):
            replies = [pool.submit(eve.call, *a) for a in asked]
            eventually(lambda: psql(uri_of(eve.server), "SELECT count(*) FROM pg_stat_activity "
                                    "WHERE wait_event_type = 'Lock'") == str(len(asked)))
            eve.post("/account/deactivate", {"auth": password(eve, r["session"])})
        replies = [r.result() for r in replies]
    rooms = psql(uri_of(eve.server), "SELECT string_agg(m.membership::text, ' ') FROM room_members m "
                 f"JOIN users u ON u.id = m.\"user\" WHERE u.user_id = '{eve.user_id}'")
    assert len(rooms.split()) == len(asked)
    for room in open_room, closed:
        eventually(lambda: alice.state(room, "m.room.member", eve.user_id)["membership"] == "leave", seconds=60)
    eventually(lambda: psql(uri_of(eve.server), "SELECT count(*) FROM room_members m JOIN users u ON u.id = "
                            f"m.\"user\" WHERE u.user_id = '{eve.user_id}' AND m.membership <> 3") == "0", seconds=60)


def test_deactivate_and_erase(register, anonymous):
    eve = register("eve")
    eve.post("/account/deactivate", {"erase": True, "auth": password(eve)})
    assert anonymous.get(f"/profile/{q(eve.user_id)}") == {}
    assert relogin(eve, eve.password, status=403)["errcode"] == "M_FORBIDDEN"  # it is forgotten


def test_deactivate_needs_the_password(alice):
    alice.fails(401, "M_FORBIDDEN", "POST", "/account/deactivate",
                {"auth": password(alice, password="wrong")})
    alice.fails(400, "M_BAD_JSON", "POST", "/account/deactivate", {"erase": "yes"})
    alice.get("/account/whoami")


# ---- third-party identifiers ----


def test_third_party_identifiers(anonymous, alice):
    assert alice.get("/account/3pid") == {"threepids": []}
    for path in "/account/3pid", "/account/3pid/add", "/account/3pid/bind":
        alice.fails(403, "M_FORBIDDEN", "POST", path, {"sid": "x", "client_secret": "y"})
    for path in "/account/3pid/delete", "/account/3pid/unbind":
        assert alice.post(path, {"medium": "email", "address": "a@b.example"}) == {
            "id_server_unbind_result": "no-support"}
    for what in "account/3pid", "account/password", "register":
        for medium in "email", "msisdn":
            anonymous.fails(400, "M_THREEPID_MEDIUM_NOT_SUPPORTED", "POST",
                            f"/{what}/{medium}/requestToken", {})


# ---- locking and suspending ----


@pytest.fixture(scope="module")
def moderated():
    from server import Server
    from test_register import secret_body

    s = Server({"registration_shared_secret": "s3cret"}).start()
    c = Client(s)
    done = c.post("/_synapse/admin/v1/register", secret_body(c, "root", admin=True))
    admin = Client(s, done["user_id"], done["access_token"], password="correct horse")
    yield s, admin
    s.close()


def admin_path(what, user):
    return f"/_matrix/client/v1/admin/{what}/{q(user)}"


def test_lock(moderated):
    s, admin = moderated
    ann = Client(s).register("ann")
    path = admin_path("lock", ann.user_id)
    assert admin.get(path) == {"locked": False}
    assert admin.put(path, {"locked": True}) == {"locked": True}
    assert admin.get(path) == {"locked": True}
    assert ann.fails(401, "M_USER_LOCKED", "GET", "/devices")["soft_logout"] is True
    assert ann.fails(401, "M_USER_LOCKED", "GET", "/account/whoami")["soft_logout"] is True
    assert relogin(ann, ann.password, status=401)["errcode"] == "M_USER_LOCKED"
    admin.put(path, {"locked": False})
    assert ann.get("/account/whoami")["user_id"] == ann.user_id
    admin.put(path, {"locked": True})
    ann.post("/logout")  # the one thing that a locked user may do
    admin.put(path, {"locked": False})
    ann.fails(401, "M_UNKNOWN_TOKEN", "GET", "/devices")


def test_suspend(moderated):
    s, admin = moderated
    ben = Client(s).register("ben")
    path = admin_path("suspend", ben.user_id)
    assert admin.put(path, {"suspended": True}) == {"suspended": True}
    assert admin.get(path) == {"suspended": True}
    me = f"/profile/{q(ben.user_id)}/displayname"
    ben.fails(403, "M_USER_SUSPENDED", "PUT", me, {"displayname": "x"})
    ben.fails(403, "M_USER_SUSPENDED", "DELETE", me)
    assert ben.get("/account/whoami")["user_id"] == ben.user_id
    relogin(ben, ben.password)
    admin.put(path, {"suspended": False})
    ben.put(me, {"displayname": "x"})


@pytest.mark.parametrize("what, key", [("lock", "locked"), ("suspend", "suspended")])
def test_moderation_errors(moderated, what, key):
    s, admin = moderated
    cat = Client(s).register(f"cat-{what}")
    dan = Client(s).register(f"dan-{what}")
    for user in dan.user_id, "@no-such:test.example", admin.user_id:  # existing or not
        cat.fails(403, "M_FORBIDDEN", "GET", admin_path(what, user))
        cat.fails(403, "M_FORBIDDEN", "PUT", admin_path(what, user), {key: True})
    admin.fails(403, "M_FORBIDDEN", "PUT", admin_path(what, admin.user_id), {key: True})
    admin.fails(404, "M_NOT_FOUND", "PUT", admin_path(what, "@no-such:test.example"), {key: True})
    admin.fails(400, "M_INVALID_PARAM", "GET", admin_path(what, "@a:elsewhere.example"))
    admin.fails(400, "M_INVALID_PARAM", "GET", admin_path(what, "nonsense"))
    admin.fails(400, "M_MISSING_PARAM", "PUT", admin_path(what, cat.user_id), {})
    admin.fails(400, "M_BAD_JSON", "PUT", admin_path(what, cat.user_id), {key: "yes"})
    dan.post("/account/deactivate", {"auth": password(dan)})
    admin.fails(404, "M_NOT_FOUND", "GET", admin_path(what, dan.user_id))


def test_whois(moderated, alice, bob):
    s, admin = moderated
    fay = Client(s).register("fay")
    for c in fay, admin:
        r = c.get(f"/admin/whois/{q(fay.user_id)}")
        assert r["user_id"] == fay.user_id
        assert list(r["devices"]) == [fay.device_id]
    bob.fails(403, "M_FORBIDDEN", "GET", f"/admin/whois/{q(alice.user_id)}")


PROGRAMS = [(b"Element/1.2 (\xc3\xa9)", "Element/1.2 (\u00e9)"), (b"odd \xff bytes", "odd "),
            (b"x" * 126 + "\u00e9".encode(), "x" * 126)]


def test_whois_names_the_program(moderated):
    """A thread stores where devices were last seen, within seconds: all of them at once."""
    s, _ = moderated
    fays = [Client(s).register(f"fay{n}") for n in range(len(PROGRAMS))]
    for fay, (sent, _) in zip(fays, PROGRAMS):
        fay.get("/joined_rooms", headers={"User-Agent": sent})

    def connections(fay):
        device = fay.get(f"/admin/whois/{q(fay.user_id)}")["devices"][fay.device_id]
        return device["sessions"][0]["connections"]

    for fay, (_, listed) in zip(fays, PROGRAMS):
        (connection,) = eventually(lambda: connections(fay), seconds=60)
        assert connection["user_agent"] == listed and connection["ip"] == "127.0.0.1"


# ---- OpenID, TURN ----


def test_openid(alice, bob):
    path = f"/user/{q(alice.user_id)}/openid/request_token"
    r = alice.post(path)
    assert r["token_type"] == "Bearer" and r["matrix_server_name"] == "test.example"
    assert r["expires_in"] == 3600 and r["access_token"] != alice.post(path)["access_token"]
    bob.fails(403, "M_FORBIDDEN", "POST", path)
    bob.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami",
              headers={"Authorization": "Bearer " + r["access_token"]})
    userinfo = "/_matrix/federation/v1/openid/userinfo"
    for _ in range(2):
        assert Client(alice.server).get(userinfo, params={"access_token": r["access_token"]}) == {
            "sub": alice.user_id}
    for bad in "nonsense", alice.token:
        Client(alice.server).fails(401, "M_UNKNOWN_TOKEN", "GET", userinfo, params={"access_token": bad})
    Client(alice.server).fails(401, "M_MISSING_TOKEN", "GET", userinfo)


def test_no_turn_servers(alice):
    assert alice.get("/voip/turnServer") == {}


def test_turn_servers(fresh_server):
    s = fresh_server(turn_uris="turn:a.example?transport=udp,turns:b.example", turn_shared_secret="hush",
                     turn_user_lifetime="2h")
    c = Client(s).register("ann")
    r = c.get("/voip/turnServer")
    assert r["uris"] == ["turn:a.example?transport=udp", "turns:b.example"] and r["ttl"] == 7200
    until, user = r["username"].split(":", 1)
    assert user == c.user_id and abs(int(until) - time.time() - 7200) < 60
    mac = hmac.new(b"hush", r["username"].encode(), hashlib.sha1).digest()
    assert r["password"] == base64.b64encode(mac).decode()
    Client(s).fails(401, "M_MISSING_TOKEN", "GET", "/voip/turnServer")

"""Client-server API, "Account registration", and registration with the shared secret."""

import hashlib
import hmac
import itertools
import time

import pytest

from client import Client

names = itertools.count(1)
DUMMY = {"auth": {"type": "m.login.dummy"}}


def name(stem="reg"):
    return f"{stem}-{next(names)}"


def test_registration_asks_for_a_flow_first(anonymous):
    body = {"username": name(), "password": "correct horse"}
    r = anonymous.call("POST", "/register", body, status=401)
    assert r["flows"] == [{"stages": ["m.login.dummy"]}]
    assert r["params"] == {} and r["session"]
    body["auth"] = {"type": "m.login.dummy", "session": r["session"]}
    done = anonymous.post("/register", body)
    assert done["user_id"] == f"@{body['username']}:{anonymous.server.name}"
    assert done["home_server"] == anonymous.server.name
    assert done["access_token"] and done["device_id"]
    assert "refresh_token" not in done and "expires_in_ms" not in done


def test_parameters_of_the_first_request_count(anonymous):
    n = name()
    session = anonymous.call("POST", "/register", {
        "username": n, "password": "correct horse", "device_id": "FIRST",
        "initial_device_display_name": "the first"}, status=401)["session"]
    done = anonymous.post("/register", {"auth": {"type": "m.login.dummy", "session": session}})
    assert done["user_id"] == f"@{n}:{anonymous.server.name}" and done["device_id"] == "FIRST"
    c = Client(anonymous.server).login(n, "correct horse")
    assert "the first" in [d.get("display_name") for d in c.get("/devices")["devices"]]


@pytest.mark.parametrize("named", [True, False])
def test_a_finished_session_answers_the_same(anonymous, named):
    body = {"password": "correct horse", **({"username": name()} if named else {})}
    session = anonymous.call("POST", "/register", {}, status=401)["session"]
    body["auth"] = {"type": "m.login.dummy", "session": session}
    done = anonymous.post("/register", body)
    assert anonymous.post("/register", body) == done
    assert Client(anonymous.server, token=done["access_token"]).get("/account/whoami")
    anonymous.fails(403, "M_FORBIDDEN", "POST", "/register", {**body, "username": name()})
    del body["auth"]["session"]  # without it, this is another client
    if named:
        anonymous.fails(400, "M_USER_IN_USE", "POST", "/register", body)
    else:
        assert anonymous.post("/register", body)["user_id"] != done["user_id"]


def test_the_flow_can_be_completed_at_once(anonymous):
    body = {"username": name(), "password": "correct horse", "device_id": "MYDEVICE", **DUMMY}
    done = anonymous.post("/register", body)
    assert done["device_id"] == "MYDEVICE"
    c = Client(anonymous.server, token=done["access_token"])
    assert c.get("/account/whoami") == {
        "user_id": done["user_id"], "device_id": "MYDEVICE", "is_guest": False}


def test_names_that_are_taken(anonymous, alice):
    taken = alice.user_id[1:].split(":")[0]
    for body in {"username": taken}, {"username": taken, "password": "correct horse", **DUMMY}:
        anonymous.fails(400, "M_USER_IN_USE", "POST", "/register", body)
    anonymous.fails(400, "M_USER_IN_USE", "GET", f"/register/available?username={taken}")
    assert anonymous.get(f"/register/available?username={name()}") == {"available": True}
    anonymous.fails(400, "M_MISSING_PARAM", "GET", "/register/available")


@pytest.mark.parametrize("bad", ["", "with space", "ümlaut", "colon:", "@at", "12345", "x" * 250])
def test_names_that_are_no_names(anonymous, bad):
    anonymous.fails(400, "M_INVALID_USERNAME", "POST", "/register",
                    {"username": bad, "password": "correct horse", **DUMMY})
    anonymous.fails(400, "M_INVALID_USERNAME", "GET", "/register/available", params={"username": bad})


def test_capitals_become_small(anonymous):
    n = name("Capital")
    done = anonymous.post("/register", {"username": n, "password": "correct horse", **DUMMY})
    assert done["user_id"] == f"@{n.lower()}:{anonymous.server.name}"


def test_a_name_is_made_when_none_is_given(anonymous):
    done = anonymous.post("/register", {"password": "correct horse", **DUMMY})
    assert done["user_id"].startswith("@") and done["user_id"].endswith(":" + anonymous.server.name)


def test_passwords(anonymous):
    register = lambda password, errcode: anonymous.fails(
        400, errcode, "POST", "/register", {"username": name(), "password": password, **DUMMY})
    register("short", "M_WEAK_PASSWORD")
    register("ééééééé", "M_WEAK_PASSWORD")  # 14 bytes, but 7 characters
    register("x" * 513, "M_INVALID_PARAM")
    register(12345678, "M_BAD_JSON")
    anonymous.fails(400, "M_MISSING_PARAM", "POST", "/register", {"username": name(), **DUMMY})
    anonymous.post("/register", {"username": name(), "password": "x" * 512, **DUMMY})


def test_bad_bodies(anonymous):
    bad = [
        ("username", 5, "M_BAD_JSON"), ("device_id", 5, "M_BAD_JSON"),
        ("device_id", "x" * 256, "M_INVALID_PARAM"), ("device_id", "", "M_INVALID_PARAM"),
        ("inhibit_login", "yes", "M_BAD_JSON"), ("auth", "dummy", "M_BAD_JSON"),
        ("initial_device_display_name", "x" * 256, "M_INVALID_PARAM"),
    ]
    for key, value, errcode in bad:
        body = {"username": name(), "password": "correct horse", **DUMMY, key: value}
        anonymous.fails(400, errcode, "POST", "/register", body)
    anonymous.fails(400, "M_INVALID_PARAM", "POST", "/register?kind=robot", DUMMY)


def test_inhibit_login(anonymous):
    n = name()
    done = anonymous.post("/register", {"username": n, "password": "correct horse",
                                        "inhibit_login": True, **DUMMY})
    assert set(done) == {"user_id", "home_server"}
    Client(anonymous.server).login(n, "correct horse")


def test_refresh_tokens_at_registration(anonymous):
    done = anonymous.post("/register", {"username": name(), "password": "correct horse",
                                        "refresh_token": True, **DUMMY})
    assert done["refresh_token"] and done["expires_in_ms"] == 300000


def test_new_users_are_called_by_their_name(alice):
    local = alice.user_id[1:].split(":")[0]
    assert alice.get(f"/profile/{alice.user_id}") == {"displayname": local}


def test_no_mail_and_no_text_messages(anonymous):
    for path in ("/register/email/requestToken", "/register/msisdn/requestToken"):
        anonymous.fails(400, "M_THREEPID_MEDIUM_NOT_SUPPORTED", "POST", path, {})


def test_guests_are_refused_by_default(anonymous):
    anonymous.fails(403, "M_GUEST_ACCESS_FORBIDDEN", "POST", "/register?kind=guest", {})


# ---- other settings ----


@pytest.fixture(scope="module")
def closed():
    from server import Server

    s = Server({"enable_registration": "false", "registration_shared_secret": "s3cret",
                "allow_guest_access": "true"}).start()
    yield s
    s.close()


def test_closed_registration(closed):
    c = Client(closed)
    for body in {}, {"username": "x", "password": "correct horse", **DUMMY}:
        c.fails(403, "M_FORBIDDEN", "POST", "/register", body)
    c.fails(403, "M_FORBIDDEN", "GET", "/register/available?username=x")
    c.fails(403, "M_FORBIDDEN", "GET",
            "/_matrix/client/v1/register/m.login.registration_token/validity?token=x")


def mac(secret, *parts):
    return hmac.new(secret.encode(), b"\0".join(p.encode() for p in parts), hashlib.sha1).hexdigest()


def secret_body(c, user, admin=False, secret="s3cret", **more):
    nonce = c.get("/_synapse/admin/v1/register")["nonce"]
    return {"nonce": nonce, "username": user, "password": "correct horse", "admin": admin,
            "mac": mac(secret, nonce, user, "correct horse", "admin" if admin else "notadmin"),
            **more}


def test_shared_secret(closed):
    c = Client(closed)
    done = c.post("/_synapse/admin/v1/register", secret_body(c, "ann", displayname="Ann Ä."))
    user = Client(closed, done["user_id"], done["access_token"])
    assert user.get("/account/whoami")["user_id"] == "@ann:test.example"
    assert user.get(f"/profile/{user.user_id}/displayname") == {"displayname": "Ann Ä."}
    user.fails(403, "M_FORBIDDEN", "GET", f"/_matrix/client/v1/admin/lock/{user.user_id}")
    done = c.post("/_synapse/admin/v1/register", secret_body(c, "root", admin=True))
    admin = Client(closed, done["user_id"], done["access_token"])
    assert admin.get(f"/_matrix/client/v1/admin/lock/{user.user_id}") == {"locked": False}


def test_shared_secret_is_checked(closed):
    c = Client(closed)
    path = "/_synapse/admin/v1/register"
    c.fails(403, "M_FORBIDDEN", "POST", path, secret_body(c, "eve", secret="wrong"))
    body = secret_body(c, "eve")
    c.fails(403, "M_FORBIDDEN", "POST", path, {**body, "admin": True})
    c.fails(400, "M_UNKNOWN", "POST", path, body)  # the nonce has been used
    body = secret_body(c, "eve")
    del body["mac"]
    c.fails(400, "M_MISSING_PARAM", "POST", path, body)
    c.post(path, secret_body(c, "twice"))
    c.fails(400, "M_USER_IN_USE", "POST", path, secret_body(c, "twice"))


def test_shared_secret_must_be_set(anonymous):
    anonymous.fails(400, "M_UNKNOWN", "GET", "/_synapse/admin/v1/register")
    anonymous.fails(400, "M_UNKNOWN", "POST", "/_synapse/admin/v1/register",
                    {"nonce": "x", "username": "x", "password": "x", "mac": "x"})


def test_guests(closed):
    c = Client(closed)
    done = c.post("/register?kind=guest", {"username": "ignored", "device_id": "IGNORED"})
    assert done["device_id"] != "IGNORED" and "ignored" not in done["user_id"]
    guest = Client(closed, done["user_id"], done["access_token"])
    assert guest.get("/account/whoami")["is_guest"] is True
    guest.fails(403, "M_GUEST_ACCESS_FORBIDDEN", "GET", "/capabilities")
    guest.fails(403, "M_GUEST_ACCESS_FORBIDDEN", "GET",
                f"/_matrix/client/v1/admin/lock/{guest.user_id}")
    me = f"/profile/{guest.user_id}"
    guest.put(me + "/displayname", {"displayname": "A visitor"})
    guest.fails(403, "M_GUEST_ACCESS_FORBIDDEN", "PUT", me + "/avatar_url", {"avatar_url": "mxc://a/b"})
    guest.delete(me + "/displayname")
    assert len(guest.get("/devices")["devices"]) == 1
    guest.post("/logout")
    guest.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")


def guest_of(server):
    done = Client(server).post("/register?kind=guest", {})
    return Client(server, done["user_id"], done["access_token"])


def test_a_guest_becomes_a_user(fresh_server):
    s = fresh_server(allow_guest_access="true")
    c, guest = Client(s), guest_of(s)
    local = guest.user_id[1:].split(":")[0]
    body = {"username": local, "password": "correct horse", "guest_access_token": guest.token, **DUMMY}
    c.fails(403, "M_FORBIDDEN", "POST", "/register", {**body, "guest_access_token": "nonsense"})
    c.fails(403, "M_FORBIDDEN", "POST", "/register", {**body, "guest_access_token": guest_of(s).token})
    c.fails(400, "M_MISSING_PARAM", "POST", "/register",
            {k: v for k, v in body.items() if k != "username"})
    done = c.post("/register", body)
    assert done["user_id"] == guest.user_id
    assert guest.get("/account/whoami")["is_guest"] is False
    Client(s).login(local, "correct horse").get("/capabilities")
    c.fails(403, "M_FORBIDDEN", "POST", "/register", body)  # no guest any more


# ---- registration tokens ----

TOKENS = "/_synapse/admin/v1/registration_tokens"
VALIDITY = "/_matrix/client/v1/register/m.login.registration_token/validity"


@pytest.fixture(scope="module")
def guarded():
    from server import Server

    s = Server({"registration_requires_token": "true", "registration_shared_secret": "s3cret"}).start()
    c = Client(s)
    done = c.post("/_synapse/admin/v1/register", secret_body(c, "root", admin=True))
    yield s, Client(s, done["user_id"], done["access_token"])
    s.close()


def with_token(token, session=None):
    auth = {"type": "m.login.registration_token", "token": token}
    body = {"username": name("tok"), "password": "correct horse"}
    return {**body, "auth": {**auth, "session": session} if session else auth}


def test_registering_with_a_token(guarded):
    s, admin = guarded
    c = Client(s)
    token = admin.post(TOKENS + "/new", {"uses_allowed": 1})["token"]
    assert c.get(VALIDITY, params={"token": token}) == {"valid": True}
    r = c.call("POST", "/register", {"username": name(), "password": "correct horse"}, status=401)
    assert r["flows"] == [{"stages": ["m.login.registration_token"]}]
    body = with_token("nope", r["session"])
    again = c.fails(401, "M_UNAUTHORIZED", "POST", "/register", body)
    assert again["session"] == r["session"] and again["completed"] == []
    body["auth"]["token"] = token
    assert c.post("/register", body)["access_token"]
    assert admin.get(f"{TOKENS}/{token}") == {
        "token": token, "uses_allowed": 1, "pending": 0, "completed": 1, "expiry_time": None}
    assert c.get(VALIDITY, params={"token": token}) == {"valid": False}
    c.fails(401, "M_UNAUTHORIZED", "POST", "/register", with_token(token))


def test_other_stages_do_not_replace_the_token(guarded):
    c = Client(guarded[0])
    c.fails(401, "M_UNRECOGNIZED", "POST", "/register",
            {"username": name(), "password": "correct horse", **DUMMY})
    c.fails(400, "M_MISSING_PARAM", "POST", "/register",
            {"username": name(), "auth": {"type": "m.login.registration_token"}})
    for token in "nope", "not well formed!", "x" * 65:
        assert c.get(VALIDITY, params={"token": token}) == {"valid": False}
    c.fails(400, "M_MISSING_PARAM", "GET", VALIDITY)


def test_a_name_that_is_taken_does_not_cost_a_token(guarded):
    s, admin = guarded
    token = admin.post(TOKENS + "/new", {"uses_allowed": 1})["token"]
    Client(s).fails(400, "M_USER_IN_USE", "POST", "/register", {**with_token(token), "username": "root"})
    assert admin.get(f"{TOKENS}/{token}")["completed"] == 0


def test_tokens_are_managed(guarded):
    s, admin = guarded
    soon = int(time.time() * 1000) + 1000
    t = admin.post(TOKENS + "/new", {"token": "my.token_~-1", "uses_allowed": 3, "expiry_time": soon})
    assert t == {"token": "my.token_~-1", "uses_allowed": 3, "pending": 0, "completed": 0,
                 "expiry_time": soon}
    assert len(admin.post(TOKENS + "/new", {"length": 32})["token"]) == 32
    path = TOKENS + "/my.token_~-1"
    assert admin.put(path, {"uses_allowed": 0})["expiry_time"] == soon
    listed = lambda q="": {x["token"] for x in admin.get(TOKENS + q)["registration_tokens"]}
    assert "my.token_~-1" in listed() & listed("?valid=false") and "my.token_~-1" not in listed("?valid=true")
    assert admin.put(path, {"uses_allowed": None, "expiry_time": None})["uses_allowed"] is None
    assert "my.token_~-1" in listed("?valid=true")
    admin.put(path, {"expiry_time": int(time.time() * 1000) + 60000})
    s.advance(61)
    assert Client(s).get(VALIDITY, params={"token": "my.token_~-1"}) == {"valid": False}
    assert admin.delete(path) == {}
    for method in "GET", "PUT", "DELETE":
        admin.fails(404, "M_NOT_FOUND", method, path)


@pytest.mark.parametrize("body", [
    {"token": "root space"}, {"token": "x" * 65}, {"token": ""}, {"length": 0}, {"length": 65},
    {"uses_allowed": -1}, {"uses_allowed": "3"}, {"uses_allowed": 1.5}, {"expiry_time": 1000},
    {"expiry_time": "soon"},
])
def test_bad_tokens(guarded, body):
    guarded[1].fails(400, "M_INVALID_PARAM", "POST", TOKENS + "/new", body)


def test_tokens_twice_and_by_others(guarded, anonymous, alice):
    admin = guarded[1]
    admin.post(TOKENS + "/new", {"token": "twice"})
    admin.fails(400, "M_INVALID_PARAM", "POST", TOKENS + "/new", {"token": "twice"})
    anonymous.fails(401, "M_MISSING_TOKEN", "GET", TOKENS)
    alice.fails(403, "M_FORBIDDEN", "GET", TOKENS)


def test_registrations_are_limited_and_questions_are_not(fresh_server):
    s = fresh_server(rate_limits="on", rc_registration__per_second="0.01", rc_registration__burst_count="2")
    c = Client(s)
    for _ in range(8):
        c.call("POST", "/register", {}, status=401)
        c.get("/register/available?username=free")
    c.register("one")
    c.token = None
    c.register("two")
    c.token = None
    body = {"username": "three", "password": "correct horse", **DUMMY}
    assert c.fails(429, "M_LIMIT_EXCEEDED", "POST", "/register", body)

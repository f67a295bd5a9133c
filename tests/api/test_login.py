"""Client-server API, "Login", "Using access tokens", "Refreshing access tokens"."""

import json
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

import plain
from client import Client
from server import metric
from waiting import eventually


def password_login(user, password, **more):
    return {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user},
            "password": password, **more}


def local(c):
    return c.user_id[1:].split(":")[0]


def test_flows(anonymous):
    flows = anonymous.get("/login")["flows"]
    assert {"type": "m.login.password"} in flows
    assert {"type": "m.login.token", "get_login_token": True} in flows


def test_password(anonymous, alice):
    for user in alice.user_id, local(alice), local(alice).upper():
        r = anonymous.post("/login", password_login(user, alice.password))
        assert r["user_id"] == alice.user_id and r["home_server"] == anonymous.server.name
        assert r["access_token"] and r["device_id"]
        assert "refresh_token" not in r and "well_known" not in r
    old = {"type": "m.login.password", "user": local(alice), "password": alice.password}
    assert anonymous.post("/login", old)["user_id"] == alice.user_id


def test_a_password_is_the_same_in_every_unicode_form(anonymous, register):
    """One system composes an accent, another combines it: passwords are normalised by NFKC before
    hashing, wherever one is set or checked."""
    composed, combining = "\u00dcbergr\u00f6\u00dfe 1234", "U\u0308bergro\u0308\u00dfe 1234"
    user = register("umlaut", password=composed)
    for typed in composed, combining:
        assert anonymous.post("/login", password_login(user.user_id, typed))["user_id"] == user.user_id
    anonymous.fails(403, "M_FORBIDDEN", "POST", "/login", password_login(user.user_id, "Ubergro\u00dfe 1234"))
    new = {"new_password": "Cafe\u0301 au lait",
           "auth": {**password_login(user.user_id, combining), "type": "m.login.password"}}
    user.post("/account/password", new)
    anonymous.post("/login", password_login(user.user_id, "Caf\u00e9 au lait"))
    r = anonymous.server.cli("user", "password", user.user_id, input=combining + "\n")
    assert r.returncode == 0, r.stderr
    anonymous.post("/login", password_login(user.user_id, composed))


def test_wrong_passwords_and_unknown_users_look_the_same(anonymous, alice):
    attempts = [(alice.user_id, "wrong"), ("unknown-user", "wrong"), (alice.user_id, ""),
                ("@someone:elsewhere.example", "wrong"), (alice.user_id, "x" * 600)]
    errors = [anonymous.fails(403, "M_FORBIDDEN", "POST", "/login", password_login(*a)) for a in attempts]
    assert all(e == errors[0] for e in errors)


def test_third_party_identifiers_are_nobodys(anonymous):
    for identifier in ({"type": "m.id.thirdparty", "medium": "email", "address": "a@b.example"},
                       {"type": "m.id.phone", "country": "GB", "phone": "1234"}):
        body = {"type": "m.login.password", "identifier": identifier, "password": "wrong"}
        anonymous.fails(403, "M_FORBIDDEN", "POST", "/login", body)
    old = {"type": "m.login.password", "medium": "email", "address": "a@b.example", "password": "x"}
    anonymous.fails(403, "M_FORBIDDEN", "POST", "/login", old)


@pytest.mark.parametrize("body, errcode", [
    ({}, "M_MISSING_PARAM"),
    ({"type": "m.login.nonsense"}, "M_UNKNOWN"),
    ({"type": 5}, "M_BAD_JSON"),
    ({"type": "m.login.password", "password": "x"}, "M_MISSING_PARAM"),
    ({"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "x"}}, "M_MISSING_PARAM"),
    ({"type": "m.login.password", "identifier": {"type": "m.id.user"}, "password": "x"}, "M_MISSING_PARAM"),
    ({"type": "m.login.password", "identifier": {"type": "m.id.dog"}, "password": "x"}, "M_UNKNOWN"),
    ({"type": "m.login.password", "identifier": "x", "password": "x"}, "M_BAD_JSON"),
    ({"type": "m.login.token"}, "M_MISSING_PARAM"),
])
def test_bad_bodies(anonymous, body, errcode):
    anonymous.fails(400, errcode, "POST", "/login", body)


def test_device_ids(anonymous, alice):
    r = anonymous.post("/login", password_login(alice.user_id, alice.password, device_id="PHONE",
                                                initial_device_display_name="My phone"))
    assert r["device_id"] == "PHONE"
    first = Client(anonymous.server, token=r["access_token"])
    assert first.get("/devices/PHONE")["display_name"] == "My phone"
    # the same device again: its name is kept, its tokens end
    r = anonymous.post("/login", password_login(alice.user_id, alice.password, device_id="PHONE",
                                                initial_device_display_name="Another name"))
    second = Client(anonymous.server, token=r["access_token"])
    first.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")
    assert second.get("/devices/PHONE")["display_name"] == "My phone"
    assert alice.get("/account/whoami")["device_id"] == alice.device_id
    anonymous.fails(400, "M_INVALID_PARAM", "POST", "/login",
                    password_login(alice.user_id, alice.password, device_id="x" * 256))


def test_token_in_header_or_query(anonymous, alice):
    assert anonymous.get("/account/whoami", params={"access_token": alice.token}) == (
        alice.get("/account/whoami"))
    anonymous.fails(401, "M_MISSING_TOKEN", "GET", "/account/whoami")
    for bad in "nonsense", alice.token + "x", alice.token[:-1]:
        e = anonymous.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami",
                            headers={"Authorization": f"Bearer {bad}"})
        assert "soft_logout" not in e


def test_logout(alice):
    other = alice.another_device()
    other.post("/logout")
    other.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")
    other.fails(401, "M_UNKNOWN_TOKEN", "POST", "/logout")
    assert [d["device_id"] for d in alice.get("/devices")["devices"]] == [alice.device_id]


def test_logout_all(alice):
    other = alice.another_device()
    alice.post("/logout/all")
    for c in alice, other:
        c.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")
    again = alice.another_device()
    assert [d["device_id"] for d in again.get("/devices")["devices"]] == [again.device_id]


def test_a_waiting_sync_ends_with_its_token(alice):
    other = alice.another_device()
    quiet = {"set_presence": "offline", "filter": '{"presence": {"types": []}}'}
    other.next_sync(**quiet)
    with ThreadPoolExecutor() as pool:
        began = time.monotonic()
        waiting = pool.submit(other.request, "GET", "/sync",
                              params={"since": other.next_batch, "timeout": 30000, **quiet})
        alice.server.wait_until_parked()
        alice.post("/logout/all")
        r = waiting.result()
    assert r.status_code == 401 and r.json()["errcode"] == "M_UNKNOWN_TOKEN"
    assert time.monotonic() - began < 10


def test_tokens_end_for_good_among_many_sessions(alice):
    """A token that was logged out stays invalid, whatever other sessions do at the same time."""

    def session(n):
        for _ in range(5):
            c = alice.another_device()
            with ThreadPoolExecutor(3) as readers:
                asked = [readers.submit(c.request, "GET", "/account/whoami") for _ in range(6)]
                c.post("/logout")
                assert {r.result().status_code for r in asked} <= {200, 401}
            c.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")
            c.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(session, range(6)))
    assert [d["device_id"] for d in alice.get("/devices")["devices"]] == [alice.device_id]


# ---- login tokens ----


def login_token(c):
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": c.user_id},
            "password": c.password}
    path = "/_matrix/client/v1/login/get_token"
    r = c.call("POST", path, {}, status=401)
    assert r["flows"] == [{"stages": ["m.login.password"]}]
    r = c.post(path, {"auth": {**auth, "session": r["session"]}})
    assert r["expires_in_ms"] == 120000
    return r["login_token"]


def test_login_tokens(anonymous, alice):
    token = login_token(alice)
    r = anonymous.post("/login", {"type": "m.login.token", "token": token, "device_id": "TV"})
    assert r["user_id"] == alice.user_id and r["device_id"] == "TV"
    for bad in token, "nonsense":  # it can be used once
        anonymous.fails(403, "M_FORBIDDEN", "POST", "/login", {"type": "m.login.token", "token": bad})


def test_login_tokens_are_no_access_tokens(anonymous, alice):
    token = login_token(alice)
    anonymous.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami",
                    headers={"Authorization": f"Bearer {token}"})
    anonymous.fails(401, "M_MISSING_TOKEN", "POST", "/_matrix/client/v1/login/get_token", {})


# ---- refresh ----


@pytest.fixture(scope="module")
def brief():
    """Access tokens that can be refreshed last two seconds."""
    from server import Server

    s = Server({"refreshable_access_token_lifetime": "2s"}).start()
    yield s
    s.close()


def session(server, name):
    c = Client(server)
    done = c.post("/register", {"username": name, "password": "correct horse", "refresh_token": True,
                                "auth": {"type": "m.login.dummy"}})
    return done


def whoami(server, token, **fails):
    c = Client(server, token=token)
    if fails:
        return c.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")
    return c.get("/account/whoami")


def refresh(server, token):
    return Client(server).post("/refresh", {"refresh_token": token})


def test_refresh(brief):
    one = session(brief, "refresher")
    assert one["expires_in_ms"] == 2000
    two = refresh(brief, one["refresh_token"])
    assert set(two) == {"access_token", "refresh_token", "expires_in_ms"}
    assert whoami(brief, two["access_token"])["device_id"] == one["device_id"]
    three = refresh(brief, two["refresh_token"])
    assert whoami(brief, three["access_token"])["user_id"] == one["user_id"]


def test_a_lost_reply_can_be_asked_for_again(brief):
    one = session(brief, "loser")
    lost = refresh(brief, one["refresh_token"])
    two = refresh(brief, one["refresh_token"])
    assert two == lost
    assert whoami(brief, one["access_token"])  # until the new one is used
    three = refresh(brief, two["refresh_token"])
    assert whoami(brief, three["access_token"])["user_id"] == one["user_id"]


def test_ten_refreshes_at_once_get_the_same(brief):
    one = session(brief, "hasty")
    with ThreadPoolExecutor(10) as pool:
        got = list(pool.map(lambda _: refresh(brief, one["refresh_token"]), range(10)))
    assert len({(r["access_token"], r["refresh_token"]) for r in got}) == 1
    assert whoami(brief, got[0]["access_token"])["user_id"] == one["user_id"]


def ends_all(server, used, *tokens):
    Client(server).fails(401, "M_UNKNOWN_TOKEN", "POST", "/refresh", {"refresh_token": used})
    for t in tokens:
        whoami(server, t["access_token"], fails=True)
        Client(server).fails(401, "M_UNKNOWN_TOKEN", "POST", "/refresh",
                             {"refresh_token": t["refresh_token"]})


def test_a_used_refresh_token_ends_its_successors(brief):
    """Its successor, or the successor's access token, was used: then two clients have the token, and
    either may be the thief."""
    one = session(brief, "robbed")
    two = refresh(brief, one["refresh_token"])
    whoami(brief, two["access_token"])
    ends_all(brief, one["refresh_token"], one, two)

    one = session(brief, "robbed-later")
    two = refresh(brief, one["refresh_token"])
    three = refresh(brief, two["refresh_token"])
    four = refresh(brief, three["refresh_token"])
    ends_all(brief, one["refresh_token"], two, three, four)
    # the user's other device stays signed in
    other = Client(brief).login("robbed-later", "correct horse")
    assert whoami(brief, other.token)


def test_an_expired_token_is_a_soft_logout(brief):
    one = session(brief, "sleeper")
    assert whoami(brief, one["access_token"])
    brief.advance(2.1)
    assert whoami(brief, one["access_token"], fails=True)["soft_logout"] is True
    two = refresh(brief, one["refresh_token"])
    assert whoami(brief, two["access_token"])["device_id"] == one["device_id"]
    Client(brief, token=two["access_token"]).post("/logout")
    Client(brief).fails(401, "M_UNKNOWN_TOKEN", "POST", "/refresh", {"refresh_token": two["refresh_token"]})
    assert "soft_logout" not in whoami(brief, two["access_token"], fails=True)


def test_bad_refresh_tokens(anonymous):
    e = anonymous.fails(401, "M_UNKNOWN_TOKEN", "POST", "/refresh", {"refresh_token": "nonsense"})
    assert "soft_logout" not in e
    anonymous.fails(400, "M_MISSING_PARAM", "POST", "/refresh", {})
    anonymous.fails(400, "M_BAD_JSON", "POST", "/refresh", {"refresh_token": 7})


def test_tokens_survive_a_restart(fresh_server):
    s = fresh_server()
    done = session(s, "survivor")
    plain = Client(s).login("survivor", "correct horse")
    plain.close()
    s.restart()
    assert whoami(s, done["access_token"])["device_id"] == done["device_id"]
    assert whoami(s, plain.token)["device_id"] == plain.device_id
    refresh(s, done["refresh_token"])


@pytest.fixture
def attacked(fresh_server):
    """A server whose users come from many addresses and have three attempts."""
    s = fresh_server(rate_limits="on", rc_login__per_second="0.001", rc_login__burst_count="3",
                     rc_registration__burst_count="100", trusted_proxies="127.0.0.1")
    s.tries = lambda address, password="wrong", name="ann": plain.post(
        s.url + "/_matrix/client/v3/login", json=password_login(name, password),
        headers={"X-Forwarded-For": address}, timeout=60)
    r = plain.post(s.url + "/_matrix/client/v3/register", headers={"X-Forwarded-For": "2001:db8:1:2::1"}, json={
        "username": "ann", "password": "a password for tests", "auth": {"type": "m.login.dummy"}})
    assert r.status_code == 200
    s.token = r.json()["access_token"]
    return s


def test_attempts_are_limited_for_each_account_and_network(attacked):
    for _ in range(3):
        assert attacked.tries("10.0.0.1").status_code == 403
    r = attacked.tries("10.0.0.1", "a password for tests")
    assert r.status_code == 429 and r.json()["errcode"] == "M_LIMIT_EXCEEDED"
    assert int(r.headers["Retry-After"]) > 0
    assert attacked.tries("10.0.0.2", "a password for tests").status_code == 200


def test_wrong_passwords_from_elsewhere_keep_none_out_where_they_are_known(attacked):
    answers = [attacked.tries(f"10.0.{i}.1").status_code for i in range(20) for _ in range(3)]
    assert answers.count(403) == 15  # all unknown networks together
    assert answers[15:] == [429] * 45
    assert attacked.tries("10.1.0.1", "a password for tests").status_code == 429
    # The same /64 that she registered at; attempts there count there alone.
    assert attacked.tries("2001:db8:1:2:ffff::7", "a password for tests").status_code == 200
    assert attacked.tries("2001:db8:1:3::1", "a password for tests").status_code == 429
    # Users who are signed in are asked for the password nevertheless.
    c = Client(attacked)
    c.token = attacked.token
    c.post("/account/password", {"new_password": "another password", "logout_devices": False, "auth": {
        "type": "m.login.password", "identifier": {"type": "m.id.user", "user": "ann"},
        "password": "a password for tests"}}, headers={"X-Forwarded-For": "10.0.0.1"})
    for status in 200, 200, 429:
        assert attacked.tries("2001:db8:1:2::1", "another password").status_code == status


def test_a_network_is_known_after_a_login(attacked):
    assert attacked.tries("192.0.2.1", "a password for tests").status_code == 200
    answers = [attacked.tries(f"10.0.{i}.1").status_code for i in range(20)]
    assert answers == [403] * 14 + [429] * 6
    assert attacked.tries("192.0.2.1", "a password for tests").status_code == 200
    attacked.stop()
    attacked.start()
    for i in range(15):
        assert attacked.tries(f"10.0.{i}.1").status_code == 403
    assert attacked.tries("192.0.2.1", "a password for tests").status_code == 200


def test_names_without_an_account_are_limited_alike(attacked):
    answers = [attacked.tries(f"10.0.{i}.1", name="unknown").status_code for i in range(16)]
    assert answers == [403] * 15 + [429]


def test_login_names_the_server(fresh_server):
    s = fresh_server(public_baseurl="https://hs.example/")
    Client(s).register("ann")
    r = Client(s).post("/login", password_login("ann", "a password for tests"))
    assert r["well_known"] == {"m.homeserver": {"base_url": "https://hs.example"}}


# ---- the order in which passwords are hashed ----


@pytest.fixture
def crowded(fresh_server):
    """A server with users of many addresses and slow password hashing."""
    s = fresh_server(rate_limits="on", rc_login__burst_count=str(50 * os.cpu_count()),
                     rc_registration__burst_count="100", password_hash_cost="5", trusted_proxies="127.0.0.1")
    for name in "ann", "bob", "carol":
        r = plain.post(s.url + "/_matrix/client/v3/register", headers={"X-Forwarded-For": "10.9.9.9"}, json={
            "username": name, "password": "a password for tests", "auth": {"type": "m.login.dummy"}},
            timeout=60)
        assert r.status_code == 200, r.text
    return s


def post_from(server, address, path, body):
    """A connection on which a request was sent; its reply is not read."""
    data = json.dumps(body).encode()
    s = socket.create_connection(("127.0.0.1", httpx.URL(server.url).port))
    s.sendall(f"POST /_matrix/client/v3/{path} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {address}\r\n"
              f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
    return s


@pytest.mark.parametrize("what", ["login", "register"])
def test_one_login_does_not_wait_for_many(crowded, what):
    """Neither on a known network nor on a new one."""
    crowd, body = [], lambda n: password_login("ann", "wrong")
    if what == "register":
        body = lambda n: {"username": f"new{n}", "password": "a password for tests",
                          "auth": {"type": "m.login.dummy"}}
    many = 50 * os.cpu_count()  # as many are hashed at once as there are processors
    for n in range(many):
        crowd.append(post_from(crowded, f"10.0.{n // 250}.{n % 250}", what, body(n)))
    waiting = lambda: metric(crowded, 'concorde_http_queue_depth{pool="password"}')
    eventually(lambda: metric(crowded, 'concorde_http_moved_total{pool="password"}') == many + 3)
    for name, address in ("bob", "10.9.9.9"), ("carol", "10.7.7.7"):
        r = plain.post(crowded.url + "/_matrix/client/v3/login", timeout=60, headers={"X-Forwarded-For": address},
                       json=password_login(name, "a password for tests"))
        assert r.status_code == 200, r.text
        assert waiting() > many / 5
    for s in crowd:
        s.close()


def test_refused_requests_hash_no_password(attacked):
    moved = lambda: metric(attacked, 'concorde_http_moved_total{pool="password"}')
    before = moved()
    answers = [attacked.tries("10.0.0.1").status_code for _ in range(5)]
    answers += [attacked.tries(f"10.0.{n}.1").status_code for n in range(1, 30)]
    assert answers.count(403) == 15 and answers.count(429) == 19
    assert moved() == before + 15

"""Client-server API, "User-Interactive Authentication API"."""

import concurrent.futures

import pytest

from client import Client, q
from restoring import locked, psql, uri_of
from waiting import eventually

TOKEN_PATH = "/_matrix/client/v1/login/get_token"


def password(c, session=None, **more):
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": c.user_id},
            "password": c.password, **more}
    return {**auth, "session": session} if session else auth


def ask(c, auth=None, status=401, path=TOKEN_PATH):
    return c.call("POST", path, {"auth": auth} if auth else {}, status=status)


def test_without_auth_nothing_succeeds(alice):
    r = ask(alice)
    assert set(r) == {"flows", "params", "session"}
    assert r["flows"] == [{"stages": ["m.login.password"]}] and r["params"] == {}
    assert ask(alice)["session"] != r["session"]


def test_an_empty_body_counts_as_none(alice):
    r = alice.request("POST", TOKEN_PATH)
    assert r.status_code == 401 and r.json()["session"]


def test_a_wrong_password_may_be_tried_again(alice):
    session = ask(alice)["session"]
    r = ask(alice, password(alice, session, password="wrong"))
    assert r["errcode"] == "M_FORBIDDEN" and r["error"]
    assert r["session"] == session and r["completed"] == []
    assert ask(alice, password(alice, session), status=200)["login_token"]


def test_a_completed_session_is_used_up(alice):
    session = ask(alice)["session"]
    ask(alice, password(alice, session), status=200)
    r = ask(alice, {"session": session})
    assert r["session"] != session and r["completed"] == []


def test_the_session_alone_completes_nothing(alice):
    session = ask(alice)["session"]
    r = ask(alice, {"session": session})
    assert r["session"] == session and "errcode" not in r and r["completed"] == []


def test_a_stage_without_a_session(alice):
    assert ask(alice, password(alice), status=200)["login_token"]


def test_stages_that_are_not_offered(alice):
    session = ask(alice)["session"]
    for stage in "m.login.dummy", "m.login.registration_token", "m.login.sso", "nonsense":
        r = ask(alice, {"type": stage, "session": session, "token": "x"})
        assert r["errcode"] == "M_UNRECOGNIZED" and r["session"] == session
        assert r["completed"] == []


def test_another_users_password(alice, bob):
    r = alice.call("POST", TOKEN_PATH, {"auth": password(bob)}, status=403)
    assert r["errcode"] == "M_FORBIDDEN"


def test_a_localpart_is_enough(alice):
    local = alice.user_id[1:].split(":")[0]
    for auth in ({"identifier": {"type": "m.id.user", "user": local}}, {"user": local},
                 {"user": alice.user_id}, {}):
        auth.update(type="m.login.password", password=alice.password)
        assert ask(alice, auth, status=200)["login_token"]


@pytest.mark.parametrize("auth, errcode", [
    ({"type": "m.login.password"}, "M_MISSING_PARAM"),
    ({"type": "m.login.password", "password": 5}, "M_BAD_JSON"),
    ({"type": 5}, "M_BAD_JSON"),
    ({"session": 5}, "M_BAD_JSON"),
    ("password", "M_BAD_JSON"),
])
def test_bad_auth(alice, auth, errcode):
    alice.fails(400, errcode, "POST", TOKEN_PATH, {"auth": auth})


def test_sessions_are_bound_to_caller_and_operation(alice, bob):
    session = ask(alice)["session"]
    auth = {"auth": {"session": session}}
    bob.fails(403, "M_FORBIDDEN", "POST", TOKEN_PATH, auth)
    alice.fails(403, "M_FORBIDDEN", "POST", "/account/deactivate", auth)
    alice.fails(403, "M_FORBIDDEN", "DELETE", f"/devices/{alice.device_id}", auth)
    alice.fails(403, "M_FORBIDDEN", "POST", "/account/password",
                {"auth": password(alice, session), "new_password": "another password"})
    assert ask(alice, password(alice, session), status=200)["login_token"]


def test_parameters_of_earlier_requests_count(alice, bob):
    """On every route the client may send `auth` alone afterwards."""
    session = alice.call("POST", "/account/password", {"new_password": "a much better password"},
                         status=401)["session"]
    alice.post("/account/password", {"auth": password(alice, session)})
    Client(alice.server).login(alice.user_id, "a much better password")
    gone = bob.another_device()
    session = bob.call("POST", "/delete_devices", {"devices": [gone.device_id]}, status=401)["session"]
    bob.post("/delete_devices", {"auth": password(bob, session)})
    assert [d["device_id"] for d in bob.get("/devices")["devices"]] == [bob.device_id]


def test_sessions_survive_a_restart(fresh_server):
    s = fresh_server()
    c = Client(s).register("ann")
    session = ask(c)["session"]
    s.restart()
    again = Client(s, c.user_id, c.token, c.device_id, c.password)
    assert ask(again, {"session": session})["session"] == session
    ask(again, password(again, session), status=200)


def test_unknown_sessions_begin_anew(alice):
    r = ask(alice, {"session": "made up"})
    assert r["session"] != "made up"
    assert ask(alice, password(alice, "made up"), status=200)["login_token"]


def test_registration_sessions_do_not_fit_elsewhere(anonymous, alice):
    r = anonymous.call("POST", "/register", {}, status=401)
    alice.fails(403, "M_FORBIDDEN", "POST", TOKEN_PATH,
                {"auth": {"type": "m.login.dummy", "session": r["session"]}})


def test_the_first_request_needs_a_token(anonymous):
    anonymous.fails(401, "M_MISSING_TOKEN", "POST", "/account/deactivate", {})
    anonymous.fails(401, "M_MISSING_TOKEN", "DELETE", f"/devices/{q('X')}", {})


def test_a_completed_session_counts_for_one_of_two_requests(anonymous, alice):
    """Both have read that its stages are completed: perhaps at two nodes."""
    from test_fallback import page

    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%uia_sessions%'"
    session = ask(alice)["session"]
    assert page(anonymous, "m.login.password", session, {"password": alice.password}).status_code == 200
    body = {"auth": {"session": session}}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        with locked(alice.server, "uia_sessions IN SHARE MODE"):
            asked = [pool.submit(alice.request, "POST", TOKEN_PATH, json=body) for _ in range(2)]
            eventually(lambda: psql(uri_of(alice.server), waiting) == "2")
        replies = sorted((a.result() for a in asked), key=lambda r: r.status_code)
    assert [r.status_code for r in replies] == [200, 401]
    assert replies[1].json()["session"] != session

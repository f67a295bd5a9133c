"""Client-server API, "Fallback" and "Login Fallback": pages for clients that do not support a stage."""

import re

from client import Client
from test_uia import TOKEN_PATH, ask


def page(c, stage, session, form=None):
    url = f"/_matrix/client/v3/auth/{stage}/fallback/web"
    r = c.http.request("POST" if form is not None else "GET", url, params={"session": session}, data=form)
    assert r.headers["content-type"] == "text/html; charset=utf-8"
    assert "frame-ancestors 'none'" in r.headers["content-security-policy"]
    return r


def test_a_password_on_the_page(anonymous, alice):
    session = ask(alice)["session"]
    r = page(anonymous, "m.login.password", session)
    assert r.status_code == 200 and alice.user_id in r.text and 'type="password"' in r.text
    r = page(anonymous, "m.login.password", session, {"password": "wrong"})
    assert r.status_code == 401 and "Wrong password" in r.text and "onAuthDone" not in r.text
    assert ask(alice, {"session": session})["completed"] == []
    r = page(anonymous, "m.login.password", session, {"password": alice.password})
    assert r.status_code == 200 and "onAuthDone" in r.text
    assert ask(alice, {"session": session}, status=200)["login_token"]


def test_anothers_password_does_not_help(anonymous, alice, register):
    eve = register("eve", password="the password of eve")
    session = ask(alice)["session"]
    form = {"password": eve.password, "user": eve.user_id, "identifier": eve.user_id}
    assert page(anonymous, "m.login.password", session, form).status_code == 401


def test_a_stage_that_the_flow_does_not_have(anonymous, alice):
    """It would make the session useless, since no flow begins with it."""
    session = ask(alice)["session"]
    url = "/_matrix/client/v3/auth/m.login.dummy/fallback/web"
    for method in "GET", "POST":
        anonymous.fails(404, "M_NOT_FOUND", method, url, params={"session": session})
    assert ask(alice, {"session": session})["completed"] == []
    assert page(anonymous, "m.login.password", session, {"password": alice.password}).status_code == 200
    # once more: the stage is complete, and stays so
    assert page(anonymous, "m.login.password", session, {"password": alice.password}).status_code == 200
    assert ask(alice, {"session": session}, status=200)["login_token"]


def test_registration_on_the_page(fresh_server):
    s = fresh_server(registration_requires_token="true", registration_shared_secret="s3cret")
    from test_register import TOKENS, secret_body

    c = Client(s)
    admin = Client(s, token=c.post("/_synapse/admin/v1/register", secret_body(c, "root", admin=True))["access_token"])
    token = admin.post(TOKENS + "/new", {"uses_allowed": 1})["token"]
    body = {"username": "joe", "password": "correct horse"}
    session = c.call("POST", "/register", body, status=401)["session"]
    assert page(c, "m.login.registration_token", session, {"token": "nope"}).status_code == 401
    assert page(c, "m.login.registration_token", session, {"token": token}).status_code == 200
    assert c.post("/register", {**body, "auth": {"session": session}})["user_id"] == "@joe:test.example"
    assert admin.get(f"{TOKENS}/{token}")["completed"] == 1


def test_pages_that_are_not_there(anonymous, alice):
    session = ask(alice)["session"]
    url = "/_matrix/client/v3/auth/{}/fallback/web"
    anonymous.fails(404, "M_NOT_FOUND", "GET", url.format("m.login.sso"), params={"session": session})
    anonymous.fails(404, "M_NOT_FOUND", "GET", url.format("m.login.password"), params={"session": "made up"})
    anonymous.fails(400, "M_MISSING_PARAM", "GET", url.format("m.login.password"))
    anonymous.fails(400, "M_MISSING_PARAM", "POST", url.format("m.login.password"),
                    params={"session": session})


def test_forms_are_decoded(anonymous, register):
    c = register("odd", password="pass word+ä&=%")
    session = ask(c)["session"]
    assert page(anonymous, "m.login.password", session, {"password": c.password}).status_code == 200


def test_login_page(anonymous):
    r = anonymous.http.get("/_matrix/static/client/login/?device_id=PHONE")
    assert r.status_code == 200 and r.headers["content-type"] == "text/html; charset=utf-8"
    assert "window.matrixLogin.onLogin" in r.text and re.search(r"<form>.*password", r.text)
    assert not re.search(r"(src|href)=", r.text)  # nothing is loaded from elsewhere

"""The log that operators read, and that requests cannot fill it."""

import json

import plain
from client import Client, q
from waiting import eventually


def records(server):
    return [json.loads(line) for line in server.log_text().splitlines() if line.startswith("{")]


def logged(server, **wanted):
    """Waits for the first record with these members."""
    return eventually(lambda: next(
        (r for r in records(server) if all(r.get(k) == v for k, v in wanted.items())), None))


def login(client, user, password):
    return client.request("POST", "/login", {
        "type": "m.login.password", "password": password,
        "identifier": {"type": "m.id.user", "user": user}})


def test_requests_have_fields(fresh_server):
    s = fresh_server(log_format="json", log_level="info", log_requests="true")
    user = Client(s).register("alice")
    room = user.create_room()
    user.get(f"/rooms/{q(room)}/state")
    r = logged(s, route="/_matrix/client/v3/rooms/{room}/state")
    assert r["level"] == "info" and r["method"] == "GET" and r["status"] == 200
    assert r["user"] == user.user_id and r["remote_address"] == "127.0.0.1"
    assert isinstance(r["ms"], (int, float)) and r["ms"] > 0
    assert r["request"] and r["time"].endswith("Z")
    assert room not in r["message"] and user.token not in json.dumps(records(s))


def test_requests_are_not_at_info_unless_asked_for(fresh_server):
    s = fresh_server(log_format="json", log_level="info")
    Client(s).register("alice").get("/account/whoami")
    login(Client(s), "alice", "wrong")
    logged(s, event="login_failed")  # whatever came before has been written
    assert [r for r in records(s) if r.get("route", "").endswith("whoami")] == []


def test_failed_logins_name_account_and_address(fresh_server):
    s = fresh_server(log_format="json", log_level="info")
    user = Client(s).register("alice")
    for name, who in ("alice", user.user_id), ("ghost", f"@ghost:{s.name}"):
        assert login(Client(s), name, "secret-guess").status_code == 403
        r = logged(s, event="login_failed", user=who)
        assert r["remote_address"] == "127.0.0.1" and r["level"] == "info"
        assert who in r["message"] and "127.0.0.1" in r["message"]
    r = user.request("POST", "/delete_devices", {"devices": ["X"]})
    auth = {"type": "m.login.password", "session": r.json()["session"], "password": "secret-guess",
            "identifier": {"type": "m.id.user", "user": user.user_id}}
    user.request("POST", "/delete_devices", {"devices": ["X"], "auth": auth})
    eventually(lambda: len([r for r in records(s) if r.get("event") == "login_failed"]) == 3)
    assert "secret-guess" not in json.dumps(records(s))


def test_unknown_paths_are_seen_at_debug(fresh_server):
    s = fresh_server(log_format="json", log_level="debug")
    for method, path, status in (("GET", "/_matrix/client/v3/thirdparty/nothing", 404),
                                 ("DELETE", "/_matrix/client/versions", 405)):
        plain.request(method, f"{s.url}{path}?access_token=secret")
        r = logged(s, path=path, status=status)
        assert r["level"] == "debug" and r["method"] == method
        assert r["remote_address"] == "127.0.0.1"
    plain.get(f"{s.url}/{'a' * 3000}")
    r = eventually(lambda: next((r for r in records(s) if r.get("path", "").startswith("/aaa")), None))
    assert len(r["path"]) < 300
    assert "secret" not in json.dumps(records(s))


def test_records_that_users_cause_are_summarised(fresh_server):
    """Profiles of a server that does not answer: 40 failures are at most 10 records."""
    s = fresh_server(log_format="json", log_level="info", ip_range_denylist="10.0.0.0/8")
    user = Client(s).register("alice")
    for n in range(40):
        r = user.request("GET", f"/profile/{q(f'@u{n}:127.0.0.1:{n + 1}')}")
        assert r.status_code >= 500, r.text
    login(Client(s), "alice", "wrong")
    logged(s, event="login_failed")  # whatever came before has been written
    found = [r for r in records(s) if r.get("route", "").startswith("/_matrix/client/v3/profile")]
    assert 1 <= len(found) <= 10 * len(s.nodes) and found[0]["level"] == "warn"

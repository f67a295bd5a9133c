"""Bounds of the data that one user can store: the table in docs/operations.md, "Limits". One
test for each row that has none elsewhere; earlier data are written into the database directly.

Elsewhere: messages to devices in test_to_device.py; devices in test_abuse.py; ignored
users in test_account_data.py; media of a user in test_media.py, of other servers in test_fed_media.py;
key backups in test_key_backup.py; one-time keys in test_keys.py; transaction ids and push actions in
tests/unit/test_retention.c."""

import concurrent.futures

import pytest

from client import Client, q
from restoring import psql, uri_of


@pytest.fixture
def count(server, alice):
    """count(rows): how many; $user is alice's number."""

    def run(rows):
        user = psql(uri_of(server), f"SELECT id FROM users WHERE user_id = '{alice.user_id}'")
        return int(psql(uri_of(server), f"SELECT count(*) FROM {rows}".replace("$user", user)))

    return run


@pytest.fixture
def fill(server, alice):
    """fill(statement): $user is alice's number."""

    def run(sql):
        user = psql(uri_of(server), f"SELECT id FROM users WHERE user_id = '{alice.user_id}'")
        psql(uri_of(server), sql.replace("$user", user))

    return run


def mine(alice, path):
    return f"/user/{q(alice.user_id)}/{path}"


def test_filters(alice, fill):
    fill("INSERT INTO filters (\"user\", hash, json) SELECT $user, n::text::bytea, '{}' "
         "FROM generate_series(1, 999) n")
    alice.post(mine(alice, "filter"), {"room": {}})
    alice.fails(413, "M_TOO_LARGE", "POST", mine(alice, "filter"), {"room": {"rooms": []}})


def test_account_data(alice, fill):
    for kind in "account_data", f"rooms/{q(alice.create_room())}/account_data":
        alice.put(mine(alice, f"{kind}/a"), {"x": 1})
    fill("INSERT INTO account_data (\"user\", room, type, content, position) SELECT $user, 0, 't' || n, "
         "decode(repeat('20', 1000000), 'hex'), 1 FROM generate_series(1, 34) n")
    for kind in "account_data", f"rooms/{q(alice.create_room())}/account_data":
        alice.fails(413, "M_TOO_LARGE", "PUT", mine(alice, f"{kind}/b"), {"x": 1})


def test_pushers(alice, fill):
    pusher = {"kind": "http", "app_id": "a", "app_display_name": "A", "device_display_name": "D",
              "lang": "en", "data": {"url": "https://push.example/_matrix/push/v1/notify"}}
    fill("INSERT INTO pushers (\"user\", device, app_id, pushkey, json, sent_position) "
         "SELECT $user, 0, 'a', 'k' || n, '{}', 0 FROM generate_series(1, 99) n")
    alice.post("/pushers/set", {**pusher, "pushkey": "last"})
    alice.fails(413, "M_TOO_LARGE", "POST", "/pushers/set", {**pusher, "pushkey": "more"})


def test_rooms(fresh_server):
    ann, eve = (Client(s).register(n) for s in [fresh_server(max_rooms_per_user=3)]
                for n in ("ann", "eve"))
    rooms = [ann.create_room() for _ in range(3)]
    public, knocked = eve.create_room(preset="public_chat"), eve.create_room(
        room_version="11", initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}])
    code = 403, "M_RESOURCE_LIMIT_EXCEEDED"
    ann.fails(*code, "POST", "/createRoom", {})
    ann.fails(*code, "POST", f"/join/{q(public)}", {})
    ann.fails(*code, "POST", f"/knock/{q(knocked)}", {})
    ann.put(f"/profile/{q(ann.user_id)}/displayname", {"displayname": "Ann"})  # reaches all rooms
    eve.invite(public, ann)  # the invite may stay pending
    ann.leave(rooms[0])
    ann.join(public)


def test_new_rooms(alice, bob, fill):
    fill("INSERT INTO rooms (room_id, room_version, version, depth, extremities, notify_total, "
         "highlight_total, source) SELECT '!filled-$user-' || n || ':test.example', '11', 0, 0, '{}', 0, 0, "
         "$user FROM generate_series(1, 49999) n")
    alice.create_room()
    alice.fails(403, "M_RESOURCE_LIMIT_EXCEEDED", "POST", "/createRoom", {})
    alice.join(bob.create_room(preset="public_chat"))


def test_invites_that_wait(alice, bob, fill):
    room = bob.create_room()
    fill("INSERT INTO room_members (room, \"user\", membership, event, is_local) "
         "SELECT -n, $user, 2, (SELECT max(position) FROM events), true FROM generate_series(1, 1999) n")
    bob.invite(room, alice)
    code = 403, "M_RESOURCE_LIMIT_EXCEEDED"
    bob.fails(*code, "POST", f"/rooms/{q(bob.create_room())}/invite", {"user_id": alice.user_id})
    bob.fails(*code, "POST", "/createRoom", {"invite": [alice.user_id]})


def test_state_of_a_room(alice, bob):
    """As many bytes as one sender may have there; replacements do not count."""
    room = alice.create_room(preset="public_chat", power_level_content_override={"state_default": 0})
    bob.join(room)
    content = {"x": "x" * 64000}
    path = f"/rooms/{q(room)}/state/example.filler"
    for n in range(525):
        r = alice.request("PUT", f"/_matrix/client/v3{path}/{n}", json=content)
        if r.status_code == 413:
            break
    assert r.json()["errcode"] == "M_TOO_LARGE" and 32e6 / 64e3 < n < 33.6e6 / 64e3
    alice.put(f"{path}/0", {"x": 1})
    bob.put(f"{path}/bob", content)


def test_aliases_of_a_room(alice, bob, fill):
    room = alice.create_room(preset="public_chat")
    fill("INSERT INTO room_aliases (alias, room, creator, created_ts) SELECT '#full-$user-' || n || "
         f"':test.example', (SELECT id FROM rooms WHERE room_id = '{room}'), 0, 0 "
         "FROM generate_series(1, 999) n")
    bob.join(room)
    bob.put(f"/directory/room/{q(f'#{room[1:9]}:test.example')}", {"room_id": room})
    bob.fails(413, "M_TOO_LARGE", "PUT", f"/directory/room/{q(f'#more-{room[1:9]}:test.example')}",
              {"room_id": room})


def test_signatures(alice, bob, fill):
    fill("INSERT INTO user_signature_changes (signer, target, position) "
         "SELECT $user, -n, 1 FROM generate_series(1, 20000) n")
    alice.fails(413, "M_TOO_LARGE", "POST", "/keys/signatures/upload", {bob.user_id: {"k": {}}})
    alice.post("/keys/signatures/upload", {alice.user_id: {"k": {}}})  # of the user's own keys


def test_reports(alice, bob, fill, count):
    fill("INSERT INTO reports (reporter, user_id, created_ts) "
         "SELECT $user, 'n' || n, 0 FROM generate_series(1, 1003) n")
    alice.post(f"/users/{q(bob.user_id)}/report", {"reason": "spam"})
    mine = "reports WHERE reporter = $user"
    assert count(mine) == 1000 and count(f"{mine} AND reason = 'spam'") == 1
    assert count(f"{mine} AND user_id IN ('n4', 'n5')") == 1


def test_sessions_of_user_interactive_authentication(alice, fill, count):
    mine = "uia_sessions WHERE \"user\" = $user"
    first = alice.call("POST", "/account/deactivate", {}, status=401)["session"]
    assert count(mine) == 1
    fill("INSERT INTO uia_sessions (session, operation, \"user\", completed, expires_ts) SELECT "
         "decode('0' || lpad(n::text, 5, '0'), 'hex'), '', $user, '{}', 9999999999999 FROM generate_series(1, 60) n")
    second = alice.call("POST", "/account/deactivate", {}, status=401)["session"]
    assert first != second and count(mine) == 50


def test_receipts_in_threads(alice, fill, count):
    room = alice.create_room()
    first, last = alice.send(room, "1"), alice.send(room, "2")
    number = f"(SELECT id FROM rooms WHERE room_id = '{room}')"
    mine = f"receipts WHERE \"user\" = $user AND room = {number}"
    alice.read(room, first)
    alice.read(room, first, thread_id="main")
    fill("INSERT INTO receipts (room, \"user\", type, thread, event_id, event, ts, position) "
         f"SELECT {number}, $user, 1, 't' || n, '$x', n, 0, 1 FROM generate_series(1, 998) n")
    alice.read(room, last, thread_id=last)
    assert count(f"{mine} AND thread IN ('', 'main')") == 2
    assert count(f"{mine} AND event = 999 - 874") == 1 and count(f"{mine} AND event = 999 - 875") == 0
    assert count(mine) == 2 + 875


def test_aliases(alice, fill):
    room = alice.create_room()
    fill("INSERT INTO room_aliases (alias, room, creator, created_ts) "
         "SELECT '#filled-$user-' || n || ':test.example', 1, $user, 0 FROM generate_series(1, 999) n")
    name = alice.user_id[1:].split(":")[0]
    alice.put(f"/directory/room/{q(f'#{name}-1:test.example')}", {"room_id": room})
    alice.fails(413, "M_TOO_LARGE", "PUT", f"/directory/room/{q(f'#{name}-2:test.example')}",
                {"room_id": room})
    alice.fails(413, "M_TOO_LARGE", "POST", "/createRoom", {"room_alias_name": f"{name}-3"})
    alice.delete(f"/directory/room/{q(f'#{name}-1:test.example')}")
    alice.create_room(room_alias_name=f"{name}-3")


def test_one_time_keys_of_a_device(alice, fill):
    fill("INSERT INTO one_time_keys (device, algorithm, key_id, json) SELECT d.id, 'a', 'filled' || n, '\"k\"' "
         "FROM devices d, generate_series(1, 9999) n WHERE d.\"user\" = $user")
    counts = alice.post("/keys/upload", {"one_time_keys": {"a:last": "k"}})["one_time_key_counts"]
    assert counts["a"] == 10000
    alice.fails(400, "M_INVALID_PARAM", "POST", "/keys/upload", {"one_time_keys": {"a:more": "k"}})


def test_devices_in_one_request(alice, bob, fill):
    """At most 10,000 devices that are named, and 20,000 with those of "*"."""
    path = "/sendToDevice/m.test/"
    named = {bob.user_id: {f"D{n}": {} for n in range(10001)}}
    alice.fails(400, "M_INVALID_PARAM", "PUT", path + "named", {"messages": named})
    elsewhere = {"@far:away.example": {f"D{n}": {} for n in range(10001)}}
    alice.fails(400, "M_INVALID_PARAM", "PUT", path + "elsewhere", {"messages": elsewhere})
    fill("INSERT INTO devices (\"user\", device_id, created_ts) SELECT $user, 'D' || n, 0 "
         "FROM generate_series(1, 20000) n")
    all_of_them = {"messages": {alice.user_id: {"*": {}}}}
    bob.fails(413, "M_TOO_LARGE", "PUT", path + "all", all_of_them)
    fill("DELETE FROM devices WHERE \"user\" = $user AND device_id = 'D1'")
    bob.put(path + "all", all_of_them)


def test_tokens_of_a_few_minutes(alice, anonymous, fill, count):
    """Openid and login tokens, and sessions of user-interactive authentication, end."""
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": alice.user_id},
            "password": alice.password}
    path = "/_matrix/client/v1/login/get_token"
    session = alice.call("POST", path, {}, status=401)["session"]
    hour = "expires_ts BETWEEN extract(epoch from now()) * 1000 + {0} - 60000 AND " \
           "extract(epoch from now()) * 1000 + {0}"
    assert count("uia_sessions WHERE \"user\" = $user AND " + hour.format(3600000)) == 1
    fill("UPDATE uia_sessions SET expires_ts = 1 WHERE \"user\" = $user")
    anew = alice.call("POST", path, {"auth": {"session": session}}, status=401)
    assert anew["session"] != session
    login = alice.post(path, {"auth": {**auth, "session": anew["session"]}})["login_token"]
    openid = alice.post(mine(alice, "openid/request_token"))["access_token"]
    for ms in 120000, 3600000:
        assert count("passes WHERE \"user\" = $user AND " + hour.format(ms)) == 1
    fill("UPDATE passes SET expires_ts = 1 WHERE \"user\" = $user")
    anonymous.fails(403, "M_FORBIDDEN", "POST", "/login", {"type": "m.login.token", "token": login})
    anonymous.fails(401, "M_UNKNOWN_TOKEN", "GET", "/_matrix/federation/v1/openid/userinfo",
                    params={"access_token": openid})


def test_presence_of_devices(alice):
    """The device whose presence ends first is replaced by the thirty-third."""
    path = f"/presence/{q(alice.user_id)}/status"
    alice.stay().put(path, {"presence": "online"})
    for n in range(32):
        assert alice.get(path)["presence"] == "online", n
        phone = alice.another_device().stay()
        phone.put(path, {"presence": "unavailable"})
        phone.close()
    assert alice.get(path)["presence"] == "unavailable"


def test_number_of_state_events_of_a_room(alice):
    """Ten thousand of one sender's."""
    room = alice.create_room()
    path = f"/_matrix/client/v3/rooms/{q(room)}/state/example.filler/"
    headers = {"Authorization": f"Bearer {alice.token}"}

    def put(n):
        return alice.http.put(f"{path}{n}", json={}, headers=headers)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert {r.status_code for r in pool.map(put, range(9950))} == {200}
    for n in range(9950, 10001):
        if (r := put(n)).status_code != 200:
            break
    assert r.status_code == 413 and r.json()["errcode"] == "M_TOO_LARGE"
    assert put(0).status_code == 200  # replacements do not count

"""What one user can make the server store is bounded: the table in docs/operations.md, "Limits". One
test for each row that has none elsewhere; what is there beforehand is put into the database.

Elsewhere: messages to devices in test_to_device.py; devices and signatures in test_abuse.py; ignored
users in test_account_data.py; media of a user in test_media.py, of other servers in test_fed_media.py;
key backups in test_key_backup.py; one-time keys in test_keys.py; transaction ids and push actions in
tests/unit/test_retention.c."""

import pytest

from client import q
from restoring import psql, uri_of


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

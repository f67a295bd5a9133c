"""Server ACLs (server-server API, "Server Access Control Lists (ACLs)") and each server's share of the
workers."""

import threading

import pytest

import pdus
from remote import FED, q
from waiting import eventually, patience_ends

EVENT = "$" + "A" * 43

# "The following endpoint prefixes MUST be protected"; and other requests about a room.
PROTECTED = [
    ("GET", "v1/make_join/{room}/{user}", None),
    ("GET", "v1/make_leave/{room}/{user}", None),
    ("GET", "v1/make_knock/{room}/{user}", None),
    ("PUT", "v1/send_join/{room}/{event}", {}),
    ("PUT", "v2/send_join/{room}/{event}", {}),
    ("PUT", "v1/send_leave/{room}/{event}", {}),
    ("PUT", "v2/send_leave/{room}/{event}", {}),
    ("PUT", "v1/send_knock/{room}/{event}", {}),
    ("PUT", "v1/invite/{room}/{event}", {}),
    ("PUT", "v2/invite/{room}/{event}", {}),
    ("GET", "v1/state/{room}", None),
    ("GET", "v1/state_ids/{room}", None),
    ("GET", "v1/backfill/{room}", None),
    ("GET", "v1/event_auth/{room}/{event}", None),
    ("POST", "v1/get_missing_events/{room}", {"limit": "nonsense"}),
    ("GET", "v1/timestamp_to_event/{room}", None),
    ("PUT", "v1/exchange_third_party_invite/{room}", {}),
]


@pytest.fixture
def a(shared_ministries):
    return shared_ministries(1)[0]


def test_servers_that_the_acl_denies_get_nothing_of_a_room(a, remote):
    """The ACL is checked before all other errors of the request."""
    alice, carol = a.user("alice"), remote.user("carol")
    room = alice.create_room(preset="public_chat", room_version="11")
    asked = [(method, f"{FED}/" + path.format(room=q(room), user=q(carol), event=q(EVENT)), body)
             for method, path, body in PROTECTED]
    denial = lambda r: r.status_code == 403 and r.json()["errcode"] == "M_FORBIDDEN" and (
        "access control list" in r.json()["error"])
    assert not [r.url for one in asked if denial(r := remote.request(a.name, *one))]
    alice.send_state(room, "m.room.server_acl", {"allow": ["*"], "deny": ["localhost"]})
    assert not [(r.url, r.text) for one in asked if not denial(r := remote.request(a.name, *one))]


def test_a_denied_server_cannot_invite(a, remote):
    alice, carol, dave = a.user("alice"), remote.user("carol"), remote.user("dave")
    bob = a.user("bob")
    room = alice.create_room(preset="public_chat", room_version="11")
    there = remote.join(a.name, room, carol)
    alice.send_state(room, "m.room.server_acl", {"allow": ["*"], "deny": ["localhost"]})
    assert remote.invite(there, carol, bob.user_id, status=403)["errcode"] == "M_FORBIDDEN"
    assert room not in bob.sync().get("rooms", {}).get("invite", {})
    assert dave


def test_a_server_has_no_more_than_its_share_of_the_workers(ministries, remotes):
    """Twenty joins that wait for the keys of a silent server leave workers for all others."""
    a = ministries(workers=16)  # eight of them for other servers
    alice, evil, good, silent = a.user("alice"), remotes(), remotes(), remotes()
    room = alice.create_room(preset="public_chat", room_version="11")
    silent.link.mute()
    done, requests = [], []
    for n in range(20):
        user = evil.user(f"evil-{n}")
        made = evil.make(a.name, "join", room, user)
        made["event"]["content"]["join_authorised_via_users_server"] = silent.user("authoriser")
        i, event = evil.fill_template(made["event"], "11", user)
        pdus.add_signature(event, "11", silent.name, silent.key, silent.key_id)
        requests.append((f"{FED}/v2/send_join/{q(room)}/{q(i)}", event))
    threads = [threading.Thread(target=lambda one=one: done.append(
        evil.request(a.name, "PUT", *one).status_code)) for one in requests]
    for t in threads:
        t.start()
    for _ in range(30):
        assert good.make(a.name, "join", room, good.user("carol"))["room_version"] == "11"
    assert not done
    patience_ends(a, threads)
    assert all(status >= 400 for status in done)
    assert eventually(lambda: good.make(a.name, "join", room, good.user("carol")))

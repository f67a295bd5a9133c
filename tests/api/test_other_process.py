"""What one request begins another continues, though the process that answers it has nothing of the first in its
memory: another node, or this server after a restart (docs/architecture.md, "Nodes: what lives in memory").

Elsewhere: sessions of user-interactive authentication in test_uia.py, access tokens in test_login.py."""

import pytest

from client import Client
from remote import FED
from test_login import login_token, refresh
from test_media import CREATE, MEDIA, fetch
from test_register import secret_body
from test_to_device import received, send


@pytest.fixture(scope="module")
def begun():
    """Requests to one process; then another runs on the same data. Yields a client of it, and the answers."""
    from server import Server

    s = Server({"registration_shared_secret": "s3cret"}).start()
    ann = Client(s).register("ann", refresh_token=True)
    answers = before(ann)
    s.restart()
    again = Client(s, ann.user_id, ann.token, ann.device_id, ann.password)
    yield again, answers
    s.close()


def before(ann):
    user = f"/user/{ann.user_id}"
    room = ann.create_room()
    since = ann.sync()["next_batch"]
    send(ann, {ann.user_id: {ann.device_id: {"n": 1}}}, txn="once")
    session = Client(ann.server).post("/login", {
        "type": "m.login.password", "identifier": {"type": "m.id.user", "user": ann.user_id},
        "password": ann.password, "refresh_token": True})
    return {
        "room": room, "since": since, "event": ann.send(room, "hello", txn="once"),
        "media": ann.post(CREATE)["content_uri"].removeprefix("mxc://"),
        "filter": ann.post(f"{user}/filter", {"room": {"timeline": {"limit": 1}}})["filter_id"],
        "openid": ann.post(f"{user}/openid/request_token")["access_token"],
        "login": login_token(ann),
        "nonce": secret_body(Client(ann.server), "bea"),
        "old": session["refresh_token"], "refreshed": refresh(ann.server, session["refresh_token"]),
    }


def test_an_announced_upload(begun):
    ann, b = begun
    ann.call("PUT", f"/_matrix/media/v3/upload/{b['media']}", content=b"here")
    assert fetch(ann, f"{MEDIA}/download/{b['media']}").content == b"here"


def test_a_transaction_id(begun):
    ann, b = begun
    assert ann.send(b["room"], "hello", txn="once") == b["event"]


def test_a_transaction_id_of_a_message_to_devices(begun):
    ann, b = begun
    send(ann, {ann.user_id: {ann.device_id: {"n": 1}}}, txn="once")
    send(ann, {ann.user_id: {ann.device_id: {"n": 2}}})
    assert [e["content"]["n"] for e in received(ann.sync(since=b["since"]))] == [1, 2]


def test_a_filter(begun):
    ann, b = begun
    ann.send(b["room"], "one")
    ann.send(b["room"], "two")
    timeline = ann.sync(filter=b["filter"])["rooms"]["join"][b["room"]]["timeline"]
    assert len(timeline["events"]) == 1


def test_an_openid_token(begun):
    ann, b = begun
    userinfo = Client(ann.server).get(FED + "/v1/openid/userinfo", params={"access_token": b["openid"]})
    assert userinfo == {"sub": ann.user_id}


def test_a_login_token(begun):
    ann, b = begun
    asked = {"type": "m.login.token", "token": b["login"]}
    assert Client(ann.server).post("/login", asked)["user_id"] == ann.user_id
    Client(ann.server).fails(403, "M_FORBIDDEN", "POST", "/login", asked)


def test_a_registration_nonce(begun):
    ann, b = begun
    assert Client(ann.server).post("/_synapse/admin/v1/register", b["nonce"])["user_id"].startswith("@bea:")
    Client(ann.server).fails(400, "M_UNKNOWN", "POST", "/_synapse/admin/v1/register", b["nonce"])


def test_a_refresh_that_is_repeated(begun):
    ann, b = begun
    again = refresh(ann.server, b["old"])
    assert again["access_token"] == b["refreshed"]["access_token"]
    assert again["refresh_token"] == b["refreshed"]["refresh_token"]


def test_a_transaction_of_another_server(ministries, remote):
    here = ministries()
    alice, carol = here.user("alice"), remote.user("carol")
    room = alice.create_room(preset="public_chat")
    joined = remote.join(here.name, room, carol)
    since = alice.sync()["next_batch"]
    _, event = remote.event(joined, carol, "m.room.message", {"body": "once", "msgtype": "m.text"})
    edu = {"edu_type": "m.direct_to_device", "content": {
        "sender": carol, "type": "m.test", "message_id": "once",
        "messages": {alice.user_id: {alice.device_id: {"n": 1}}}}}
    first = remote.put_transaction(here.name, [event], [edu], txn="once")
    here.restart()
    assert remote.put_transaction(here.name, [event], [edu], txn="once") == first
    assert list(first["pdus"].values()) == [{}]
    reply = alice.sync(since=since)
    assert [e["content"] for e in received(reply)] == [{"n": 1}]
    events = reply["rooms"]["join"][room]["timeline"]["events"]
    assert [e["content"]["body"] for e in events if e["type"] == "m.room.message"] == ["once"]

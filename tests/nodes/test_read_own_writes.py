"""What one node has answered, another one knows at the next request."""

import json
import threading

import pytest

from client import Client, q
from waiting import eventually


@pytest.fixture(scope="module")
def nodes():
    from cluster import Cluster

    c = Cluster(n=2)
    yield c.start().nodes
    c.close()


def on(node, client):
    return Client(node, client.user_id, client.token, client.device_id, client.password)


def pair(nodes, name):
    first = Client(nodes[0]).register(name)
    return first, on(nodes[1], first)


def login(client):
    r = client.request("POST", "/login", {"type": "m.login.password", "password": client.password,
                                          "identifier": {"type": "m.id.user", "user": client.user_id}})
    assert r.status_code == 200, r.text
    return r.json()["access_token"]


def test_a_token_that_was_logged_out_is_dead(nodes):
    here, there = pair(nodes, "leaver")
    for i in range(30):
        here.token = there.token = login((here, there)[i % 2])
        assert there.request("GET", "/account/whoami").status_code == 200  # in its cache
        assert here.request("GET", "/account/whoami").status_code == 200
        assert (here, there)[i % 2].request("POST", "/logout", {}).status_code == 200
        for client in (there, here):
            r = client.request("GET", "/account/whoami")
            assert (r.status_code, r.json()["errcode"]) == (401, "M_UNKNOWN_TOKEN"), i


def test_a_parked_sync_of_another_node_ends_at_logout(nodes):
    here, there = pair(nodes, "parker")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(
        there.request("GET", "/sync", params={"since": there.next_batch, "timeout": 60000})))
    there.next_batch = there.sync()["next_batch"]
    thread.start()
    eventually(lambda: "requests_parked 1" in Client(nodes[1]).request("GET", "/metrics").text)
    assert here.request("POST", "/logout", {}).status_code == 200
    thread.join(20)
    assert answers and answers[0].status_code == 401, answers


def test_a_new_password_ends_the_other_sessions(nodes):
    here, there = pair(nodes, "changer")
    other = on(nodes[1], here)
    other.token = login(there)
    assert other.request("GET", "/account/whoami").status_code == 200
    body = {"new_password": "another long one", "auth": {
        "type": "m.login.password", "password": here.password,
        "identifier": {"type": "m.id.user", "user": here.user_id}}}
    assert here.request("POST", "/account/password", body).status_code == 200
    assert other.request("GET", "/account/whoami").status_code == 401
    assert there.request("GET", "/account/whoami").status_code == 200


def test_memberships_and_state(nodes):
    """Each step is at the other node than the one before."""
    alice, bob = pair(nodes, "alice"), pair(nodes, "bob")
    for i in range(10):
        here, there = i % 2, 1 - i % 2
        room = alice[here].create_room(preset="private_chat", invite=[bob[0].user_id])
        bob[there].join(room)
        bob[here].send(room, "as soon as it is joined")
        alice[there].put(f"/rooms/{q(room)}/state/m.room.topic/", {"topic": str(i)})
        assert bob[here].get(f"/rooms/{q(room)}/state/m.room.topic/")["topic"] == str(i)
        assert alice[here].request("POST", f"/rooms/{q(room)}/kick", {"user_id": bob[0].user_id}).status_code == 200
        r = bob[there].request("PUT", f"/rooms/{q(room)}/send/m.room.message/kicked{i}",
                               {"msgtype": "m.text", "body": "no"})
        assert (r.status_code, r.json()["errcode"]) == (403, "M_FORBIDDEN"), i


def test_account_data_filters_profiles_and_aliases(nodes):
    here, there = pair(nodes, "writer")
    room = here.create_room(preset="public_chat")
    for i in range(10):
        here.put(f"/user/{q(here.user_id)}/account_data/de.test", {"n": i})
        assert there.get(f"/user/{q(here.user_id)}/account_data/de.test") == {"n": i}
        here.put(f"/profile/{q(here.user_id)}/displayname", {"displayname": f"Name {i}"})
        assert there.get(f"/profile/{q(here.user_id)}")["displayname"] == f"Name {i}"
        filter_id = there.post(f"/user/{q(here.user_id)}/filter", {"room": {"timeline": {"limit": i + 1}}})["filter_id"]
        assert here.get(f"/user/{q(here.user_id)}/filter/{q(filter_id)}")["room"]["timeline"]["limit"] == i + 1
        alias = f"#alias{i}:{here.user_id.split(':', 1)[1]}"
        there.put(f"/directory/room/{q(alias)}", {"room_id": room})
        assert here.get(f"/directory/room/{q(alias)}")["room_id"] == room
        event = here.send(room, f"message {i}")
        assert there.get(f"/rooms/{q(room)}/event/{q(event)}")["content"]["body"] == f"message {i}"


def test_a_transaction_id_is_repeated_at_another_node(nodes):
    here, there = pair(nodes, "repeater")
    room = here.create_room(preset="public_chat")
    body = {"msgtype": "m.text", "body": "once"}
    ids = {c.put(f"/rooms/{q(room)}/send/m.room.message/same{i}", body)["event_id"]
           for i in range(20) for c in (here, there)}
    assert len(ids) == 20


def test_a_room_that_was_forgotten(nodes):
    """An initial sync that wants left rooms has it until then."""
    here, there = pair(nodes, "forgetter")
    filter = json.dumps({"room": {"include_leave": True}})
    for first, second in (here, there), (there, here):
        room = first.create_room(preset="public_chat")
        first.leave(room)
        for client in (first, second):
            assert room in client.sync(filter=filter)["rooms"]["leave"]
        first.post(f"/rooms/{q(room)}/forget")
        for client in (second, first):
            assert room not in client.sync(filter=filter).get("rooms", {}).get("leave", {})

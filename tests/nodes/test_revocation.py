"""Whatever ends a session or limits a user at one node holds at every node with the next request."""

import threading

import pytest

from client import Client, q
from cluster import Cluster
from test_register import secret_body
from waiting import eventually

ROUNDS = 6


@pytest.fixture(scope="module")
def nodes():
    c = Cluster({"registration_shared_secret": "s3cret"}, n=2)
    yield c.start().nodes
    c.close()


def at(node, client):
    return Client(node, client.user_id, client.token, client.device_id, client.password)


@pytest.fixture(scope="module")
def root(nodes):
    """An administrator, at each node."""
    first = Client(nodes[0])
    done = first.post("/_synapse/admin/v1/register", secret_body(first, "root", admin=True))
    return [Client(n, done["user_id"], done["access_token"]) for n in nodes]


class User:
    """Two devices of a user; each has a session at each node, and has been used there."""

    numbers = iter(range(1000))

    def __init__(self, nodes):
        first = Client(nodes[0]).register(f"user{next(self.numbers)}")
        second = at(nodes[1], first).another_device()
        self.first, self.second = [[at(n, c) for n in nodes] for c in (first, second)]
        self.room = first.create_room(preset="public_chat")
        for c in self.first + self.second:
            assert status(c) == 200
        self.id, self.password = first.user_id, first.password

    def auth(self):
        return {"type": "m.login.password", "password": self.password,
                "identifier": {"type": "m.id.user", "user": self.id}}


def status(client):
    return client.request("GET", "/account/whoami").status_code


def settled(client):
    """A token after which there is nothing."""
    token = client.sync(set_presence="offline")["next_batch"]
    return client.sync(since=token, set_presence="offline")["next_batch"]


def parked(clients):
    """A /sync that waits, of each; threads, and the list of their answers."""
    answers = []

    def wait(client, since):
        r = client.request("GET", "/sync", params={
            "since": since, "timeout": 60000, "set_presence": "offline"})
        answers.append(r.status_code)

    threads = [threading.Thread(target=wait, args=(c, settled(c)), daemon=True) for c in clients]
    for t in threads:
        t.start()
    return threads, answers


def end_by_logout(user, here):
    user.second[here].post("/logout")


def end_by_deleting_the_device(user, here):
    device = user.second[here].device_id
    user.first[here].call("DELETE", f"/devices/{q(device)}", {"auth": user.auth()})


def end_by_a_new_password(user, here):
    user.first[here].post("/account/password", {"new_password": "quite another one", "auth": user.auth()})


ONE_DEVICE = [end_by_logout, end_by_deleting_the_device, end_by_a_new_password]


def end_by_logout_of_all(user, here):
    user.first[here].post("/logout/all")


def end_by_deactivation(user, here):
    user.first[here].post("/account/deactivate", {"auth": user.auth()})


@pytest.mark.parametrize("end", ONE_DEVICE)
def test_one_device_is_signed_out(nodes, end):
    for i in range(ROUNDS):
        user = User(nodes)
        end(user, i % 2)
        for k in (1 - i % 2, i % 2):
            assert status(user.second[k]) == 401, (i, k)
            assert status(user.first[k]) == 200, (i, k)


@pytest.mark.parametrize("end", [end_by_logout_of_all, end_by_deactivation])
def test_all_devices_are_signed_out(nodes, end):
    for i in range(ROUNDS):
        user = User(nodes)
        end(user, i % 2)
        for k in (1 - i % 2, i % 2):
            for client in (user.first[k], user.second[k]):
                assert status(client) == 401, (i, k)


@pytest.mark.parametrize("end", [*ONE_DEVICE, end_by_logout_of_all, end_by_deactivation])
def test_waiting_requests_end_at_every_node(nodes, end):
    user = User(nodes)
    threads, answers = parked(user.second)
    eventually(lambda: all(
        "requests_parked 1" in Client(n).request("GET", "/metrics").text for n in nodes))
    end(user, 0)
    for t in threads:
        t.join(20)
    assert answers == [401, 401]


def test_a_deactivated_user_is_gone_everywhere(nodes):
    for i in range(ROUNDS):
        user, watcher = User(nodes), User(nodes)
        for client in watcher.first[:1]:
            client.join(user.room)
        end_by_deactivation(user, i % 2)
        there = 1 - i % 2
        r = Client(nodes[there]).request("POST", "/login", user.auth())
        assert (r.status_code, r.json()["errcode"]) in ((403, "M_USER_DEACTIVATED"), (403, "M_FORBIDDEN"))
        joined = watcher.first[there].get(f"/rooms/{q(user.room)}/joined_members")["joined"]
        assert set(joined) == {watcher.id}


def test_refresh_tokens(nodes):
    for i in range(ROUNDS):
        here, there = i % 2, 1 - i % 2
        user = User(nodes)
        r = Client(nodes[here]).request("POST", "/login", {**user.auth(), "refresh_token": True}).json()
        old, token = r["access_token"], r["refresh_token"]
        assert status(Client(nodes[there], token=old)) == 200
        new = Client(nodes[there]).request("POST", "/refresh", {"refresh_token": token}).json()
        assert status(Client(nodes[here], token=new["access_token"])) == 200
        Client(nodes[here], token=new["access_token"]).post("/logout")
        r = Client(nodes[there]).request("POST", "/refresh", {"refresh_token": new["refresh_token"]})
        assert r.status_code == 401
        assert [status(Client(nodes[there], token=t)) for t in (old, new["access_token"])] == [401, 401]


@pytest.mark.parametrize("what, on, code", [("lock", "locked", 401), ("suspend", "suspended", 403)])
def test_limits_of_an_administrator(nodes, root, what, on, code):
    errcode = "M_USER_LOCKED" if what == "lock" else "M_USER_SUSPENDED"
    for i in range(ROUNDS):
        here, there = i % 2, 1 - i % 2
        user = User(nodes)
        path = f"/_matrix/client/v1/admin/{what}/{q(user.id)}"
        for turn in (here, there):
            root[turn].put(path, {on: True})
            for client in (user.first[1 - turn], user.second[turn]):
                r = client.request("PUT", f"/rooms/{q(user.room)}/send/m.room.message/{i}{turn}",
                                   {"msgtype": "m.text", "body": "no"})
                assert (r.status_code, r.json()["errcode"]) == (code, errcode), (i, turn)
            root[turn].put(path, {on: False})
            for client in (user.first[1 - turn], user.second[turn]):
                client.send(user.room, "again")


def test_another_node_parts_the_deactivated():
    """The node that does it dies."""
    cluster = Cluster(n=2)
    try:
        first, second = cluster.start().nodes

        def sql(text):
            return cluster.postgres.sql(text, cluster.database)

        alice = Client(cluster).register("alice")
        bob, room = Client(cluster).register("bob"), alice.create_room(preset="public_chat")
        bob.join(room)
        eventually(lambda: sql("SELECT count(*) FROM leases WHERE job = 'parting' AND node <> 0") == "1")
        held = [f'concorde_lease_held{{job="parting"}} 1' in Client(n).request("GET", "/metrics").text
                for n in (first, second)]
        assert sorted(held) == [False, True]
        holder, other = (first, second) if held[0] else (second, first)
        holder.kill()
        # As a node leaves it that dies in the middle of a deactivation.
        sql("UPDATE accounts SET deactivated = true, parting = true WHERE \"user\" = "
            f"(SELECT id FROM users WHERE user_id = '{bob.user_id}')")
        there = at(other, alice)
        eventually(lambda: set(there.get(f"/rooms/{q(room)}/joined_members")["joined"]) == {alice.user_id}, 40)
        assert sql("SELECT count(*) FROM accounts WHERE parting") == "0"
    finally:
        cluster.close()

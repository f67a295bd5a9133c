"""The server is killed (-9) again and again while a crowd joins and leaves one room: what was
acknowledged is there, every event is allowed by those before it, and the memberships agree."""

import threading
import time

import pytest

from client import Client, q, transactions
from load import PATIENCE, Stubborn
from replay import Replay
from server import Server
from test_durability import free_port

MOVERS, SPEAKERS, ROUNDS = 24, 4, 10


class Mover(threading.Thread):
    """Joins and leaves. A step counts when it is acknowledged; one that was cut off is repeated, and
    what is then refused had happened."""

    def __init__(self, server, user, room, stop):
        super().__init__(daemon=True)
        self.client, self.room, self.stop = Stubborn(server, user), room, stop
        self.is_in, self.steps = False, {"join": 0, "leave": 0}

    def step(self, what):
        is_repeated = False
        while True:
            try:
                r = self.client.http.request(
                    "POST", f"{self.client.server.url}/_matrix/client/v3/rooms/{q(self.room)}/{what}",
                    headers={"Authorization": f"Bearer {self.client.user.token}"}, json={})
            except Exception:  # the server is gone: what became of the request is not known
                is_repeated = True
                time.sleep(PATIENCE)
                continue
            if r.status_code == 503:
                is_repeated = True
                time.sleep(PATIENCE)
                continue
            if r.status_code == 403 and is_repeated:
                return
            if r.status_code != 200:
                self.client.wrong.append(f"{what}: {r.status_code} {r.text[:300]}")
            self.steps[what] += not is_repeated
            return

    def run(self):
        while not self.stop.is_set():
            self.step("leave" if self.is_in else "join")
            self.is_in = not self.is_in


class Speaker(threading.Thread):
    def __init__(self, server, user, room, stop):
        super().__init__(daemon=True)
        self.client, self.room, self.stop = Stubborn(server, user), room, stop
        self.acknowledged = []

    def run(self):
        while not self.stop.is_set():
            path = f"/rooms/{q(self.room)}/send/m.room.message/{next(transactions)}"
            reply = self.client.call("PUT", path, json={"msgtype": "m.text", "body": "hello"})
            self.acknowledged.append(reply["event_id"])


@pytest.fixture
def server():
    server = Server({"listen": f"127.0.0.1:{free_port()}", "log_level": "info"}).start()
    yield server
    server.close()


def wait_for_more(movers, n):
    def done():
        return sum(sum(m.steps.values()) for m in movers)

    before, deadline = done(), time.monotonic() + 60
    while done() < before + n:
        assert time.monotonic() < deadline, "nothing is acknowledged any more"
        time.sleep(0.02)


def test_kill_the_server_under_a_crowd(server):
    owner = Client(server).register("owner")
    room = owner.create_room(preset="public_chat")
    version = owner.state(room, "m.room.create")["room_version"]
    users = [Client(server).register(f"user{i}") for i in range(MOVERS + SPEAKERS)]
    for user in users[MOVERS:]:
        user.join(room)
    stop = threading.Event()
    movers = [Mover(server, user, room, stop) for user in users[:MOVERS]]
    speakers = [Speaker(server, user, room, stop) for user in users[MOVERS:]]
    for thread in movers + speakers:
        thread.start()
    for _ in range(ROUNDS):
        wait_for_more(movers, 3 * MOVERS)
        server.kill()
        server.start()
    wait_for_more(movers, 2 * MOVERS)
    stop.set()
    for thread in movers + speakers:
        thread.join(60)
        assert not thread.is_alive(), "a request never got its answer"
        assert not thread.client.wrong, thread.client.wrong[:5]

    replay = Replay(server, room, version)
    for speaker in speakers:
        mine = set(speaker.acknowledged)
        assert [id for id in replay.ids if id in mine] == speaker.acknowledged
    for mover in movers:
        me = mover.client.user.user_id
        moves = [e["content"]["membership"] for e in replay.events
                 if e["type"] == "m.room.member" and e["state_key"] == me]
        for what, n in mover.steps.items():
            assert moves.count(what) >= n > 0, f"{what}: {n} acknowledged, {moves.count(what)} there"
        assert replay.membership(me) == ("join" if mover.is_in else "leave")
    joined = owner.get(f"/rooms/{q(room)}/joined_members")["joined"]
    assert set(joined) == {key for (type, key), e in replay.state.items()
                           if type == "m.room.member" and e["content"]["membership"] == "join"}
    assert not server.reports()

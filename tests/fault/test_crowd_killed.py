"""The server is killed (-9) again and again while a crowd joins and leaves one room, and users of
another kick, ban and invite each other: acknowledged events are stored, every event is allowed by
those before it and does what its sender meant, and the memberships agree."""

import threading
from random import Random

import pytest

from client import Client, q, transactions
from load import Stubborn
from moving import check_meant, levels, turn
from replay import Replay
from server import Server
from test_durability import free_port
from waiting import attempts, eventually

MOVERS, SPEAKERS, MODERATORS, ROUNDS = 24, 4, 6, 10


class Mover(threading.Thread):
    """Joins and leaves. A step counts when it is acknowledged; one that was cut off is repeated, and
    if it is refused then, the first had been stored."""

    def __init__(self, server, user, room, stop):
        super().__init__(daemon=True)
        self.client, self.room, self.stop = Stubborn(server, user), room, stop
        self.is_in, self.steps = False, {"join": 0, "leave": 0}

    def step(self, what):
        is_repeated = False
        for _ in attempts():
            try:
                r = self.client.http.request(
                    "POST", f"{self.client.server.url}/_matrix/client/v3/rooms/{q(self.room)}/{what}",
                    headers={"Authorization": f"Bearer {self.client.user.token}"}, json={})
            except Exception:  # the server was killed: the outcome of the request is unknown
                is_repeated = True
                continue
            if r.status_code == 503:
                is_repeated = True
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


class Moderator(threading.Thread):
    """Changes others' memberships at random. A request that was cut off is repeated: when that is
    refused, the first may have been stored."""

    def __init__(self, server, me, room, owner, people, version, stop):
        super().__init__(daemon=True)
        self.client, self.random, self.stop = Stubborn(server, me), Random(me.user_id), stop
        self.turn = lambda n: turn(self.random, room, owner, me, people, version, n)
        self.done, self.refused = [], []

    def step(self, mark, method, path, body):
        is_repeated = False
        for _ in attempts():
            try:
                r = self.client.http.request(
                    method, f"{self.client.server.url}/_matrix/client/v3{path}",
                    headers={"Authorization": f"Bearer {self.client.user.token}"}, json=body)
            except Exception:
                r = None
            if r is None or r.status_code == 503:
                is_repeated = True
                continue
            if r.status_code == 200:
                self.done.append(mark)
            elif r.status_code != 403:
                self.client.wrong.append(f"{mark}: {r.status_code} {r.text[:300]}")
            elif not is_repeated:
                self.refused.append(mark)
            return

    def run(self):
        number = 0
        while not self.stop.is_set():
            self.step(*self.turn(number))
            number += 1


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

    before = done()
    eventually(lambda: done() >= before + n, 60, lambda: "nothing is acknowledged any more")


def start_to_moderate(server, owner, version, stop):
    people = [Client(server).register(f"moderator{i}") for i in range(MODERATORS)]
    room = owner.create_room(preset="public_chat", room_version=version)
    owner.put(f"/rooms/{q(room)}/state/m.room.power_levels/",
              levels(Random(version), owner, people, version))
    threads = [Moderator(server, me, room, owner, people, version, stop) for me in [owner, *people]]
    for thread in threads:
        thread.start()
    return threads, room


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
    moderators, moderated = start_to_moderate(server, owner, version, stop)
    for thread in movers + speakers:
        thread.start()
    for _ in range(ROUNDS):
        wait_for_more(movers, 3 * MOVERS)
        server.kill()
        server.start()
    wait_for_more(movers, 2 * MOVERS)
    stop.set()
    for thread in movers + speakers + moderators:
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
    done = [mark for thread in moderators for mark in thread.done]
    assert {mark.split()[0] for mark in done} >= {"join", "kick", "ban", "unban", "levels"}
    check_meant(Replay(server, moderated, version), done,
                [mark for thread in moderators for mark in thread.refused])
    assert not server.reports()

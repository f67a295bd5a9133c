"""Many users change the state of one room at once: the responses agree with the room's events, and each
event is allowed by those before it."""

import os
import threading
from random import Random

import pytest

from client import Client, q, transactions
from moving import check_meant, levels, turn
from replay import Replay

USERS, TURNS = 8, 12


class Crowd:
    """Runs functions concurrently; acknowledged requests are recorded."""

    def __init__(self, room):
        self.room, self.acknowledged, self.wrong = room, [], []

    def ask(self, client, method, path, json=None):
        """True if it succeeded; a refusal must be one by the authorization rules."""
        r = client.request(method, path, {} if json is None else json)
        if r.status_code == 200:
            if "event_id" in r.json():
                self.acknowledged.append(r.json()["event_id"])
            return True
        if r.status_code != 403 and r.json()["errcode"] not in ("M_FORBIDDEN", "M_BAD_STATE"):
            self.wrong.append(f"{method} {path}: {r.status_code} {r.text}")
        return False

    def join(self, client):
        return self.ask(client, "POST", f"/join/{q(self.room)}")

    def leave(self, client):
        return self.ask(client, "POST", f"/rooms/{q(self.room)}/leave")

    def send(self, client):
        return self.ask(client, "PUT", f"/rooms/{q(self.room)}/send/m.room.message/"
                        f"{next(transactions)}", {"msgtype": "m.text", "body": "hello"})

    def set_state(self, client, type, content):
        return self.ask(client, "PUT", f"/rooms/{q(self.room)}/state/{type}/", content)

    def move(self, client, what, user):
        return self.ask(client, "POST", f"/rooms/{q(self.room)}/{what}", {"user_id": user.user_id})

    def run(self, *functions):
        threads = [threading.Thread(target=self.safely, args=(f,)) for f in functions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not self.wrong, self.wrong[:5]

    def safely(self, function):
        try:
            function()
        except Exception as e:
            self.wrong.append(repr(e))


@pytest.fixture
def users(server):
    return [Client(server).register(f"crowd-{next(transactions)}") for _ in range(USERS)]


def finish(server, crowd, version):
    replay = Replay(server, crowd.room, version)
    assert set(crowd.acknowledged) <= set(replay.ids), "an acknowledged event is missing"
    return replay


@pytest.mark.parametrize("version", ["11", "12"])
def test_no_join_follows_a_ban(server, users, version):
    owner, *others = users
    crowd = Crowd(owner.create_room(preset="public_chat", room_version=version))

    def come_and_go(user):
        for i in range(TURNS):
            crowd.join(user)
            crowd.send(user)
            if i % 3 == 2:
                crowd.leave(user)

    def ban():
        for i in range(2 * TURNS):
            user = others[i % len(others)]
            if crowd.move(owner, "ban", user) and i % 2:
                crowd.move(owner, "unban", user)

    crowd.run(ban, *(lambda u=u: come_and_go(u) for u in others))
    last = others[0]
    crowd.move(owner, "ban", last)
    assert not crowd.join(last)
    replay = finish(server, crowd, version)
    assert replay.membership(last.user_id) == "ban"
    for user in others:
        joined = replay.membership(user.user_id) == "join"
        assert (crowd.room in user.get("/joined_rooms")["joined_rooms"]) == joined


@pytest.mark.parametrize("version", ["11", "12"])
def test_power_holds_from_its_place(server, users, version):
    owner, *others = users
    crowd = Crowd(owner.create_room(preset="public_chat", room_version=version))
    crowd.run(*(lambda u=u: crowd.join(u) for u in others))
    levels = owner.state(crowd.room, "m.room.power_levels")

    def talk(user):
        for i in range(TURNS):
            crowd.send(user)
            if i % 4 == 3:
                crowd.set_state(user, "m.room.topic", {"topic": f"{user.user_id} {i}"})

    def rule():
        for i in range(TURNS):
            crowd.set_state(owner, "m.room.power_levels",
                            {**levels, "events_default": 50 * (i % 2), "state_default": 50 * (i % 3)})

    crowd.run(rule, *(lambda u=u: talk(u) for u in others))
    replay = finish(server, crowd, version)
    topic = replay.content("m.room.topic")
    assert topic == (owner.state(crowd.room, "m.room.topic") if topic else {})
    assert owner.state(crowd.room, "m.room.power_levels") == replay.levels()


def test_a_cursor_sees_each_change_once(server, users):
    """A client that syncs during the changes ends with the state of the room."""
    owner, watcher, *others = users
    crowd = Crowd(owner.create_room(preset="public_chat"))
    watcher.join(crowd.room)
    watcher.next_sync()
    seen, members, done = [], {}, threading.Event()

    def step():
        room = watcher.next_sync().get("rooms", {}).get("join", {}).get(crowd.room)
        for part in ("state", "timeline") if room else ():
            for event in room[part]["events"]:
                if event["type"] == "m.room.member":
                    members[event["state_key"]] = event["content"]["membership"]
        if room:
            seen.extend(e["event_id"] for e in room["timeline"]["events"])
        return room

    def watch():
        while not done.is_set():
            step()

    def come_and_go(user):
        for i in range(TURNS):
            crowd.join(user)
            crowd.send(user)
            crowd.leave(user)

    def move():
        threads = [threading.Thread(target=crowd.safely, args=(lambda u=u: come_and_go(u),))
                   for u in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done.set()

    crowd.run(watch, move)
    while step():
        pass
    replay = finish(server, crowd, owner.state(crowd.room, "m.room.create")["room_version"])
    assert len(seen) == len(set(seen))
    assert seen == [id for id in replay.ids if id in set(seen)]
    for user in others:
        assert members[user.user_id] == replay.membership(user.user_id)


@pytest.mark.parametrize("version", ["11", "12"])
@pytest.mark.parametrize("seed", os.environ.get("CROWD_SEEDS", "1 2").split())
def test_membership_changes_at_random(server, users, version, seed):
    """Kicks, bans, unbans, joins, invites, new names, rules and powers at random, all at once. The
    replay finds events that the rules do not allow; the reasons show those that no request meant."""
    owner, *others = users
    room = owner.create_room(preset="public_chat", room_version=version)
    owner.put(f"/rooms/{q(room)}/state/m.room.power_levels/",
              levels(Random(seed), owner, others, version))
    done, refused, wrong = [], [], []

    def move(me):
        random = Random(f"{seed} {users.index(me)}")
        for number in range(2 * TURNS):
            mark, method, path, body = turn(random, room, owner, me, others, version, number)
            r = me.request(method, path, body)
            (done if r.status_code == 200 else refused).append(mark)
            if r.status_code not in (200, 403):
                wrong.append(f"{mark}: {r.status_code} {r.text}")

    crowd = Crowd(room)
    crowd.run(*(lambda u=u: move(u) for u in users))
    assert not wrong, wrong[:5]
    replay = Replay(server, room, version)
    check_meant(replay, done, refused)
    shown = {e["event_id"] for e in owner.get(f"/rooms/{q(room)}/state")}
    assert shown == {replay.ids[replay.events.index(e)] for e in replay.state.values()}

"""Every cursor on the log sees every event once and in order: random actions, cursors of several
kinds and speeds, restarts in between; then each cursor's result is compared with the room."""

import random
import threading
import time

import pytest

from client import Client, q
from syncing import Mirror, ids, inline, timeline_filter

KINDS = {
    "plain": {},
    "one event at a time": timeline_filter(limit=1),
    "three": timeline_filter(limit=3),
    "other rooms filtered": inline(room={"timeline": {"limit": 5}, "ephemeral": {"types": []}}),
}


class Story:
    """Users who act at random in a few rooms; each has cursors of all kinds."""

    def __init__(self, server, register, seed):
        self.server, self.random = server, random.Random(seed)
        self.users = [register(f"user{n}", on=server) for n in range(4)]
        self.rooms = []
        self.mirrors = []
        for visibility in "shared", "joined", "invited":
            self.make_room(self.users[len(self.rooms)], visibility)
        for user in self.users:
            for params in KINDS.values():
                self.mirrors.append(Mirror(user, **params))
        self.n = 0

    def make_room(self, user, visibility="shared"):
        self.rooms.append(user.create_room(preset="public_chat", initial_state=[
            {"type": "m.room.history_visibility", "state_key": "",
             "content": {"history_visibility": visibility}}]))

    def act(self):
        """One random action; the server may refuse it."""
        self.n += 1
        user, other = self.random.sample(self.users, 2)
        room = q(self.random.choice(self.rooms))
        some = self.random.choice("abc")
        member = {"user_id": other.user_id}
        actions = [
            (12, "PUT", f"/rooms/{room}/send/m.room.message/r{self.n}", {"body": f"{self.n}"}),
            (4, "PUT", f"/rooms/{room}/state/org.state/{some}", {"n": self.n}),
            (4, "POST", f"/join/{room}", {}),
            (2, "POST", f"/rooms/{room}/leave", {}),
            (1, "POST", f"/rooms/{room}/kick", member),
            (1, "POST", f"/rooms/{room}/ban", member),
            (1, "POST", f"/rooms/{room}/unban", member),
            (2, "POST", f"/rooms/{room}/invite", member),
            (1, "PUT", f"/profile/{q(user.user_id)}/displayname", {"displayname": f"{self.n}"}),
            (1, "PUT", f"/user/{q(user.user_id)}/account_data/org.x", {"n": self.n}),
        ]
        weights, methods, paths, contents = zip(*actions)
        i = self.random.choices(range(len(actions)), weights)[0]
        r = user.request(methods[i], paths[i], contents[i])
        assert r.status_code < 500, r.text

    def step_some(self):
        for mirror in self.mirrors:
            if self.random.random() < 0.12:
                mirror.step()

    def restart(self):
        self.server.restart()
        for user in self.users:
            user.http.close()
            user.http = Client(self.server).http

    def check(self):
        for mirror in self.mirrors:
            self.settle(mirror)
            joined = set(mirror.client.get("/joined_rooms")["joined_rooms"])
            assert set(mirror.rooms) == joined
            for room, known in mirror.rooms.items():
                whole = [e["event_id"] for e in mirror.client.messages(room, limit=1000)["chunk"]]
                first = whole.index(known["events"][0])
                assert known["events"] == whole[first::-1], "not every event once and in order"
                current = {(e["type"], e["state_key"]): e["event_id"]
                           for e in mirror.client.state(room)}
                assert known["state"] == current

    @staticmethod
    def settle(mirror):
        for _ in range(20):
            reply = mirror.step()
            if not any(reply.get("rooms", {}).values()):
                return
        raise AssertionError("the cursor does not come to an end")


@pytest.mark.parametrize("seed", [3, 12])
def test_random_stories(server, register, seed):
    story = Story(server, register, seed)
    for _ in range(220):
        story.act()
        story.step_some()
    story.check()


def test_random_story_over_restarts(fresh_server, register):
    story = Story(fresh_server(), register, 4)
    for part in range(3):
        for _ in range(90):
            story.act()
            story.step_some()
        if part < 2:
            story.restart()
    story.check()


class Follower(threading.Thread):
    """Reads one user's long polls until it is stopped."""

    def __init__(self, client, **params):
        super().__init__(daemon=True)
        self.client = Client(client.server, client.user_id, client.token, client.device_id)
        self.params, self.seen, self.failure = params, [], None
        self.since = self.client.sync(**params)["next_batch"]
        self.last = None

    def run(self):
        try:
            deadline = time.monotonic() + 60
            while self.last not in self.seen and time.monotonic() < deadline:
                r = self.client.sync(since=self.since, timeout=500, **self.params)
                for part in r.get("rooms", {}).get("join", {}).values():
                    assert not part["timeline"]["limited"]
                    self.seen += ids(part["timeline"]["events"])
                self.since = r["next_batch"]
        except Exception as e:  # raised in the test's own thread
            self.failure = e


def test_cursors_under_load(register):
    """Several users write to two rooms at once; several follow."""
    users = [register("loud") for _ in range(4)]
    rooms = [users[0].create_room(preset="public_chat") for _ in range(2)]
    for user in users[1:]:
        for room in rooms:
            user.join(room)
    followers = [Follower(user, **timeline_filter(limit=1000)) for user in users]
    for follower in followers:
        follower.start()
    sent = [[] for _ in users]

    def write(i):
        for n in range(60):
            if n % 10 == 9:
                sent[i].append(users[i].put(
                    f"/rooms/{q(rooms[n % 2])}/state/m.room.member/{q(users[i].user_id)}",
                    {"membership": "join", "displayname": f"{n}"})["event_id"])
            else:
                sent[i].append(users[i].send(rooms[n % 2], f"{i}.{n}"))

    writers = [threading.Thread(target=write, args=(i,)) for i in range(len(users))]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    last = users[0].send(rooms[0], "last")
    for follower in followers:
        follower.last = last
    for follower in followers:
        follower.join(70)
        assert follower.failure is None, follower.failure
        follower.client.close()
    everything = {event for events in sent for event in events} | {last}
    for room in rooms:
        truth = ids(users[0].messages(room, limit=1000)["chunk"])[::-1]
        truth = [e for e in truth if e in everything]
        for follower in followers:
            assert [e for e in follower.seen if e in set(truth)] == truth
    for events in sent:  # each writer's events are in the order of their answers
        for room in rooms:
            truth = ids(users[0].messages(room, limit=1000)["chunk"])[::-1]
            mine = [e for e in truth if e in set(events)]
            assert mine == [e for e in events if e in set(truth)]

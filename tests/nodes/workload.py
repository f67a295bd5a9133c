"""Writers and readers of a cluster, whose operations are recorded (history.py)."""

import asyncio
import itertools
import json
from urllib.parse import quote

import aiohttp

from client import Client
from e2ee import Device
from history import History
from stubborn import Stubborn

READER_ROOMS = 2  # that each reader is in
READS_EVERY = 25  # of a reader's /sync requests one begins anew, and one page is read
EXTRAS_EVERY = 5  # of a writer's messages one is followed by a receipt, a to-device message, ...
KEYS = 5  # that a device uploads at once
FILTER = json.dumps({"presence": {"types": []}, "room": {"timeline": {"limit": 30, "types": ["m.room.message"]}}})
TYPE = "org.example.number"


def q(text):
    return quote(text, safe="")


def ids(events):
    return [e["event_id"] for e in events if e["type"] == "m.room.message"]


def by_room(reply):
    return reply.get("rooms", {}).get("join", {})


class Writer:
    """Appends numbered messages to one room, one at a time, and now and then writes something else."""

    def __init__(self, load, client, room, device):
        self.load, self.history, self.client, self.room = load, load.history, client, room
        self.device = device  # a reader's, to which it writes
        self.name, self.numbers = client.name, itertools.count(1)

    async def run(self):
        for n in self.numbers:
            if self.load.is_over:
                return
            event = await self.send(n)
            if n % EXTRAS_EVERY == 0:
                await self.extras(n, event)

    async def send(self, n):
        o = self.history.begin(self.name, "send", self.room, n)
        body = {"msgtype": "m.text", "body": f"{n}", TYPE: n}
        reply = await self.client.call("PUT", f"/rooms/{q(self.room)}/send/m.room.message/{n}", body, o)
        self.load.acknowledged += 1
        return o.ok(reply["event_id"]).result

    async def extras(self, n, event):
        o = self.history.begin(self.name, "write", [self.name, self.room, "m.read"], event)
        await self.client.call("POST", f"/rooms/{q(self.room)}/receipt/m.read/{q(event)}", {}, o)
        o.ok()
        o = self.history.begin(self.name, "write", [self.name, TYPE], n)
        await self.client.call("PUT", f"/user/{q(self.name)}/account_data/{TYPE}", {"n": n}, o)
        o.ok()
        to = self.device
        o = self.history.begin(self.name, "to_device", to.name, n)
        await self.client.call("PUT", f"/sendToDevice/{TYPE}/d{n}",
                               {"messages": {to.user_id: {to.id: {"n": n}}}}, o)
        o.ok()
        await self.claim()

    async def claim(self):
        to = self.device
        o = self.history.begin(self.name, "claim", to.name)
        reply = await self.client.call("POST", "/keys/claim", {"one_time_keys": {
            to.user_id: {to.id: "signed_curve25519"}}}, o, may_be_repeated=False)
        if reply is not None:
            keys = reply["one_time_keys"].get(to.user_id, {}).get(to.id, {})
            o.ok(next(iter(keys), None))

    async def values(self):
        """What is there at the end."""
        reply = await self.client.call("GET", "/sync", filter=json.dumps(
            {"room": {"rooms": [self.room], "timeline": {"limit": 1}}}))
        found = {}
        for e in by_room(reply)[self.room]["ephemeral"]["events"]:
            for event, kinds in e["content"].items() if e["type"] == "m.receipt" else ():
                if self.name in kinds.get("m.read", {}):
                    found[self.name, self.room, "m.read"] = event
        for e in reply["account_data"]["events"]:
            if e["type"] == TYPE:
                found[self.name, TYPE] = e["content"]["n"]
        for key in {tuple(o.key) for o in self.history.of("write") if o.process == self.name}:
            self.history.begin("end", "value", list(key)).ok(found.get(key))


class Reader:
    """A device that follows /sync, and uploads one-time keys when few are left."""

    def __init__(self, load, client, device):
        self.load, self.history, self.client = load, load.history, client
        self.name, self.user_id, self.id = client.name, client.name, client.device_id
        self.device, self.since = device, None

    async def run(self):
        for n in itertools.count(1):
            if self.load.is_over:
                return
            await self.sync(timeout=5000)
            if n % READS_EVERY == 0:
                await self.read_anew()

    async def sync(self, timeout):
        o = self.history.begin(self.name, "sync", None, self.since)
        params = {"since": self.since} if self.since else {}
        reply = await self.client.call("GET", "/sync", operation=o, timeout=timeout, filter=FILTER, **params)
        rooms = {}
        for room, joined in by_room(reply).items():
            timeline = joined["timeline"]
            rooms[room] = ids(timeline["events"])
            if timeline.get("limited") and self.since:
                rooms[room] = await self.missing(room, timeline["prev_batch"]) + rooms[room]
        messages = [[e["sender"], e["content"]["n"]] for e in reply.get("to_device", {}).get("events", [])]
        o.ok({"next": reply["next_batch"], "rooms": rooms, "to_device": messages})
        self.since = reply["next_batch"]
        left = reply.get("device_one_time_keys_count", {}).get("signed_curve25519", 0)
        if left < KEYS and not self.load.is_over:
            await self.upload()
        return bool(by_room(reply) or messages)

    async def missing(self, room, before):
        """What a limited timeline leaves out."""
        events, params = [], {"from": before, "to": self.since}
        while params:
            page = await self.client.call("GET", f"/rooms/{q(room)}/messages", dir="b", limit=100, **params)
            events += ids(page["chunk"])
            params = page.get("end") and {"from": page["end"], "to": self.since}
        return events[::-1]

    async def read_anew(self):
        o = self.history.begin(self.name, "read", "initial")
        reply = await self.client.call("GET", "/sync", operation=o, filter=FILTER)
        o.ok({room: ids(joined["timeline"]["events"]) for room, joined in by_room(reply).items()})
        # An initial sync is a token too; the device goes on with its own, and what came with the other comes again.
        for room in by_room(reply):
            o = self.history.begin(self.name, "read", "page")
            page = await self.client.call("GET", f"/rooms/{q(room)}/messages", operation=o, dir="b", limit=20)
            o.ok({room: ids(page["chunk"])[::-1]})

    async def upload(self):
        keys = self.device.one_time_keys(KEYS)
        self.history.begin(self.name, "upload", self.name, list(keys))
        # Not repeated: a key that was stored may have been given meanwhile.
        await self.client.call("POST", "/keys/upload", {"one_time_keys": keys}, may_be_repeated=False)


class Load:
    def __init__(self, cluster, writers, readers):
        self.cluster, self.history, self.is_over = cluster, History(), False
        self.acknowledged = 0  # messages
        self.people = [Client(cluster).register(f"writer{i}") for i in range(writers)]
        self.followers = [Client(cluster).register(f"reader{i}") for i in range(readers)]
        self.rooms = [p.create_room(preset="public_chat") for p in self.people[: max(1, writers // 4)]]
        for i, person in enumerate(self.people):
            person.join(self.rooms[i % len(self.rooms)])
        for i, follower in enumerate(self.followers):
            for n in range(min(READER_ROOMS, len(self.rooms))):
                follower.join(self.rooms[(i + n) % len(self.rooms)])
        self.devices = [Device(f) for f in self.followers]
        for device in self.devices:
            device.upload()

    async def run(self, disturb):
        """Until disturb(self) has ended; then everything is read to its end."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            readers = [Reader(self, Stubborn(session, f), d) for f, d in zip(self.followers, self.devices)]
            writers = [Writer(self, Stubborn(session, p), self.rooms[i % len(self.rooms)],
                              readers[i % len(readers)]) for i, p in enumerate(self.people)]
            for reader in readers:
                await reader.sync(timeout=0)
            async with asyncio.TaskGroup() as group:
                for one in writers + readers:
                    group.create_task(one.run())
                await disturb(self)
                self.is_over = True
            for reader in readers:
                while await reader.sync(timeout=0):
                    pass
            for writer in writers:
                await writer.values()
            for i, room in enumerate(self.rooms):
                await self.store(writers[i].client, room)
        return self.history

    async def store(self, client, room):
        """All of /messages."""
        o, events, token = self.history.begin("end", "stored", room), [], {}
        while token is not None:
            page = await client.call("GET", f"/rooms/{q(room)}/messages", dir="b", limit=500, **token)
            events += [[e["event_id"], e["sender"], e["content"][TYPE]] for e in page["chunk"]
                       if e["type"] == "m.room.message"]
            token = {"from": page["end"]} if "end" in page else None
        o.ok(events[::-1])

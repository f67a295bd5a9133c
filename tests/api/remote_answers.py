"""The default answers of a fake remote server (remote.py): as the specification requires, from the rooms
that it knows."""

import json
import os
import time

import pdus
from pdus import ids_of

ROUTES = []
V1, V2 = r"/_matrix/federation/v1", r"/_matrix/federation/v2"
ONE = "([^/]+)"


class Refused(Exception):
    def __init__(self, status, errcode, error=""):
        super().__init__(error)
        self.status, self.errcode = status, errcode


def route(method, pattern):
    def keep(handler):
        ROUTES.append((method, pattern, handler))
        return handler

    return keep


def find_room(remote, room_id):
    if room_id not in remote.rooms:
        raise Refused(404, "M_NOT_FOUND", "no such room")
    return remote.rooms[room_id]


def find_event(room, event_id):
    event = room.find(event_id)
    if not event:
        raise Refused(404, "M_NOT_FOUND", "no such event")
    return event


def transaction(remote, events):
    return {"origin": remote.name, "origin_server_ts": int(time.time() * 1000), "pdus": events}


# ---- keys ----


def own_keys(remote):
    return remote.key.sign(
        {"server_name": remote.name, "valid_until_ts": int(time.time() * 1000) + 3600_000,
         "verify_keys": {remote.key_id: {"key": remote.key.public}}, "old_verify_keys": {}},
        remote.name, remote.key_id.split(":")[1])


@route("GET", r"/_matrix/key/v2/server(?:/.*)?")
def get_keys(remote, r):
    return own_keys(remote)


@route("POST", r"/_matrix/key/v2/query")
def query_keys(remote, r):
    return {"server_keys": [own_keys(remote)] if remote.name in r.body["server_keys"] else []}


@route("GET", r"/_matrix/key/v2/query/" + ONE)
def query_key(remote, r, server):
    return {"server_keys": [own_keys(remote)] if remote.name == server else []}


@route("GET", V1 + "/version")
def version(remote, r):
    return {"server": {"name": "fake", "version": "1"}}


# ---- joining rooms of this server ----


def template(remote, r, room_id, user, membership):
    room = find_room(remote, room_id)
    if membership != "leave" and room.version not in r.query.get("ver", ["1"]):
        raise Refused(400, "M_INCOMPATIBLE_ROOM_VERSION", room.version)
    event = room.build(user, "m.room.member", {"membership": membership}, user)
    event.pop("event_id", None)
    return {"room_version": room.version, "event": event}


@route("GET", V1 + f"/make_join/{ONE}/{ONE}")
def make_join(remote, r, room_id, user):
    return template(remote, r, room_id, user, "join")


@route("GET", V1 + f"/make_leave/{ONE}/{ONE}")
def make_leave(remote, r, room_id, user):
    return template(remote, r, room_id, user, "leave")


@route("GET", V1 + f"/make_knock/{ONE}/{ONE}")
def make_knock(remote, r, room_id, user):
    return template(remote, r, room_id, user, "knock")


def whole_state(room, state):
    ids = list(state.values())
    return [room.find(i) for i in ids], [room.find(i) for i in room.auth_chain(ids)]


@route("PUT", V2 + f"/send_join/{ONE}/{ONE}")
def send_join(remote, r, room_id, event_id):
    room = find_room(remote, room_id)
    before = dict(room.state)
    servers = sorted({m.split(":", 1)[1] for m in room.members()})
    partial = r.query.get("omit_members") == ["true"]
    listed = before
    if partial:
        heroes = (r.body["state_key"], r.body["sender"])
        listed = {k: i for k, i in before.items() if k[0] != "m.room.member" or k[1] in heroes}
    state, chain = whole_state(room, listed)
    if partial:  # events of the state may be omitted
        have = set(listed.values())
        chain = [e for e in chain if pdus.event_id(e, room.version) not in have]
    room.add(r.body, before)
    reply = {"origin": remote.name, "state": state, "auth_chain": chain, "event": r.body,
             "members_omitted": partial}
    if partial:
        reply["servers_in_room"] = servers
    return reply


@route("PUT", V1 + f"/send_join/{ONE}/{ONE}")
def send_join_v1(remote, r, room_id, event_id):
    return [200, send_join(remote, r, room_id, event_id)]


@route("PUT", V2 + f"/send_leave/{ONE}/{ONE}")
def send_leave(remote, r, room_id, event_id):
    find_room(remote, room_id).add(r.body)
    return {}


@route("PUT", V1 + f"/send_leave/{ONE}/{ONE}")
def send_leave_v1(remote, r, room_id, event_id):
    return [200, send_leave(remote, r, room_id, event_id)]


@route("PUT", V1 + f"/send_knock/{ONE}/{ONE}")
def send_knock(remote, r, room_id, event_id):
    room = find_room(remote, room_id)
    room.add(r.body)
    kinds = "m.room.create", "m.room.join_rules", "m.room.name"
    return {"knock_room_state": [
        {k: room.find(i)[k] for k in ("type", "state_key", "content", "sender")}
        for (type, key), i in room.state.items() if type in kinds]}


def accept_invite(remote, event, version, stripped):
    remote.invites.append((version, event, stripped))
    return pdus.add_signature(event, version, remote.name, remote.key, remote.key_id)


@route("PUT", V2 + f"/invite/{ONE}/{ONE}")
def invite(remote, r, room_id, event_id):
    event, version = r.body["event"], r.body["room_version"]
    return {"event": accept_invite(remote, event, version, r.body.get("invite_room_state"))}


@route("PUT", V1 + f"/invite/{ONE}/{ONE}")
def invite_v1(remote, r, room_id, event_id):
    stripped = r.body.get("unsigned", {}).get("invite_room_state")
    return [200, {"event": accept_invite(remote, r.body, "1", stripped)}]


@route("PUT", V1 + f"/exchange_third_party_invite/{ONE}")
def exchange_third_party_invite(remote, r, room_id):
    return {}


# ---- transactions ----


@route("PUT", V1 + f"/send/{ONE}")
def send(remote, r, txn):
    results = {}
    for event in r.body.get("pdus", []):
        remote.pdus.append(event)
        room = remote.rooms.get(event.get("room_id"))
        if room:
            results[room.add(event)] = {}
    remote.edus += r.body.get("edus", [])
    return {"pdus": results}


# ---- events ----


@route("GET", V1 + f"/event/{ONE}")
def event(remote, r, event_id):
    for room in remote.rooms.values():
        if room.find(event_id):
            return transaction(remote, [room.find(event_id)])
    raise Refused(404, "M_NOT_FOUND", "no such event")


def at(room, r):
    event_id = r.query["event_id"][0]
    if event_id not in room.events:
        raise Refused(404, "M_NOT_FOUND", "no such event")
    return room.state_at(event_id)


@route("GET", V1 + f"/state/{ONE}")
def state(remote, r, room_id):
    room = find_room(remote, room_id)
    events, chain = whole_state(room, at(room, r))
    return {"pdus": events, "auth_chain": chain}


@route("GET", V1 + f"/state_ids/{ONE}")
def state_ids(remote, r, room_id):
    room = find_room(remote, room_id)
    ids = list(at(room, r).values())
    return {"pdu_ids": ids, "auth_chain_ids": room.auth_chain(ids)}


@route("GET", V1 + f"/event_auth/{ONE}/{ONE}")
def event_auth(remote, r, room_id, event_id):
    room = find_room(remote, room_id)
    find_event(room, event_id)
    return {"auth_chain": [room.find(i) for i in room.auth_chain([event_id])]}


@route("GET", V1 + f"/backfill/{ONE}")
def backfill(remote, r, room_id):
    room = find_room(remote, room_id)
    ids = room.before(r.query["v"], int(r.query["limit"][0]))
    return transaction(remote, [room.events[i] for i in ids])


@route("POST", V1 + f"/get_missing_events/{ONE}")
def get_missing_events(remote, r, room_id):
    room = find_room(remote, room_id)
    earliest, latest = set(r.body["earliest_events"]), r.body["latest_events"]
    found, todo = [], list(latest)
    seen = earliest | set(latest)
    while todo and len(found) < r.body.get("limit", 10):
        current = room.events.get(todo.pop(0))
        for p in ids_of(current["prev_events"]) if current else []:
            if p not in seen and p in room.events and p not in room.hidden:
                seen.add(p)
                found.append(p)
                todo.append(p)
    return {"events": [room.events[i] for i in reversed(found)]}


@route("GET", V1 + f"/timestamp_to_event/{ONE}")
def timestamp_to_event(remote, r, room_id):
    room, ts = find_room(remote, room_id), int(r.query["ts"][0])
    forwards = r.query["dir"] == ["f"]
    times = [(room.events[i]["origin_server_ts"], i) for i in room.order]
    found = [t for t in times if (t[0] >= ts if forwards else t[0] <= ts)]
    if not found:
        raise Refused(404, "M_NOT_FOUND", "no such event")
    when, i = min(found) if forwards else max(found)
    return {"event_id": i, "origin_server_ts": when}


# ---- queries ----


@route("GET", V1 + "/query/directory")
def query_directory(remote, r):
    alias = r.query["room_alias"][0]
    if alias not in remote.aliases:
        raise Refused(404, "M_NOT_FOUND", "no such alias")
    return {"room_id": remote.aliases[alias], "servers": [remote.name]}


@route("GET", V1 + "/query/profile")
def query_profile(remote, r):
    user = r.query["user_id"][0]
    if user not in remote.profiles:
        raise Refused(404, "M_NOT_FOUND", "no such user")
    profile = remote.profiles[user]
    return {k: v for k, v in profile.items() if k in r.query.get("field", profile)}


@route("GET", V1 + "/publicRooms")
def get_public_rooms(remote, r):
    return {"chunk": remote.public_rooms, "total_room_count_estimate": len(remote.public_rooms)}


@route("POST", V1 + "/publicRooms")
def post_public_rooms(remote, r):
    term = (r.body.get("filter") or {}).get("generic_search_term", "").lower()
    chunk = [p for p in remote.public_rooms if term in p.get("name", "").lower()]
    return {"chunk": chunk, "total_room_count_estimate": len(chunk)}


@route("GET", V1 + f"/user/devices/{ONE}")
def user_devices(remote, r, user):
    if user not in remote.devices:
        raise Refused(404, "M_NOT_FOUND", "no such user")
    return {"user_id": user, **remote.devices[user]}


@route("POST", V1 + "/user/keys/query")
def keys_query(remote, r):
    keys, more = {}, {"master_keys": {}, "self_signing_keys": {}}
    for user in r.body["device_keys"]:
        listed = remote.devices.get(user)
        if listed:
            keys[user] = {d["device_id"]: d["keys"] for d in listed["devices"] if "keys" in d}
            for kind in "master", "self_signing":
                if f"{kind}_key" in listed:
                    more[f"{kind}_keys"][user] = listed[f"{kind}_key"]
    return {"device_keys": keys, **more}


@route("POST", V1 + "/user/keys/claim")
def keys_claim(remote, r):
    keys = {}
    for user, devices in r.body["one_time_keys"].items():
        for device in devices:
            left = remote.one_time_keys.get(user, {}).get(device)
            if left:
                keys.setdefault(user, {})[device] = left.pop(0)
    return {"one_time_keys": keys}


@route("GET", V1 + "/openid/userinfo")
def openid(remote, r):
    raise Refused(401, "M_UNKNOWN_TOKEN", "no such token")


@route("GET", V1 + f"/media/download/{ONE}")
def media(remote, r, media_id):
    if media_id not in remote.media:
        raise Refused(404, "M_NOT_FOUND", "no such file")
    type, data = remote.media[media_id]
    return multipart(type, data)


def multipart(type, data, meta=None, boundary=None):
    boundary = boundary or os.urandom(8).hex()
    head = f"\r\n--{boundary}\r\nContent-Type: "
    body = (head + "application/json\r\n\r\n" + json.dumps(meta or {}) + head + type
            + "\r\n\r\n").encode() + data + f"\r\n--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/mixed; boundary={boundary}"}

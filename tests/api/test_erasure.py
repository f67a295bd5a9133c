"""Client-server API, "Account deactivation", `erase`: users and servers that join a room after the
erasure are served redacted copies of the user's events, on every route; those that were in it before
still see the originals."""

import json
import re
import types

import pytest

import pdus
from remote import FED, q
from server import run_cli
from waiting import eventually

C1, C3 = "/_matrix/client/v1", "/_matrix/client/v3"
UNSTABLE = re.compile(r"/_matrix/client/(unstable/(?:[a-z.0-9-]+\.[a-z0-9.-]+/)?|v\d/)"
                      r"|/_matrix/federation/(unstable/[a-z.0-9-]+/|v\d/)")

# Routes that serve events or parts of them, and their requests: (path with {names} of the scene,
# body). The names of routes are without the version.
CLIENT = {
    "GET rooms/{room}/messages": [C3 + "/rooms/{room}/messages?dir=b&limit=200",
                                  C3 + "/rooms/{room}/messages?dir=f&limit=200"],
    "GET rooms/{room}/event/{event}": [C3 + "/rooms/{room}/event/{%s}" % e for e in (
        "message", "root", "name", "topic", "next_topic", "redaction", "redacted", "cipher", "note",
        "second_name")],
    "GET events/{event}": [C3 + "/events/{message}", C3 + "/events/{root}"],
    "GET rooms/{room}/context/{event}": [C3 + "/rooms/{room}/context/{message}?limit=100",
                                         C3 + "/rooms/{room}/context/{next_topic}?limit=100"],
    "GET rooms/{room}/relations/{event}": [C1 + "/rooms/{room}/relations/{%s}" % e
                                           for e in ("message", "root", "cipher", "hosts")],
    "GET rooms/{room}/relations/{event}/{rel_type}": [C1 + "/rooms/{room}/relations/{root}/m.thread"],
    "GET rooms/{room}/relations/{event}/{rel_type}/{type}": [
        C1 + "/rooms/{room}/relations/{hosts}/m.annotation/m.reaction"],
    "GET rooms/{room}/threads": [C1 + "/rooms/{room}/threads"],
    "GET rooms/{room}/initialSync": [C3 + "/rooms/{room}/initialSync?limit=100"],
    "GET initialSync": [C3 + "/initialSync?limit=100"],
    "GET events": [C3 + "/events?timeout=0&from={since}",
                   C3 + "/events?timeout=0&from={since}&room_id={room}"],
    "GET rooms/{room}/state": [C3 + "/rooms/{room}/state"],
    "GET rooms/{room}/state/{type}": [C3 + "/rooms/{room}/state/m.room.topic"],
    "GET rooms/{room}/state/{type}/{key}": [
        C3 + "/rooms/{room}/state/m.room.member/{gone}",
        C3 + "/rooms/{room}/state/m.room.member/{pending}?format=event",
        C3 + "/rooms/{room}/state/org.example.note/{gone}",
        C3 + "/rooms/{room}/state/org.example.note/{gone}?format=event"],
    "GET rooms/{room}/members": [C3 + "/rooms/{room}/members", C3 + "/rooms/{room}/members?at={at}"],
    "GET rooms/{room}/joined_members": [C3 + "/rooms/{room}/joined_members"],
    "GET notifications": [C3 + "/notifications"],
    "GET sync": [C3 + "/sync?filter=" + q(json.dumps({"room": {"timeline": {"limit": n}}}))
                 for n in (1, 200)] + [C3 + "/sync?since={since}",
                                       C3 + "/sync?use_state_after=true",
                                       C3 + '/sync?filter={"event_format":"federation"}'],
    "POST org.matrix.simplified_msc3575/sync": [
        ("/_matrix/client/unstable/org.matrix.simplified_msc3575/sync",
         {"lists": {"a": {"timeline_limit": n, "required_state": [["*", "*"], ["m.room.member", "$LAZY"]]}}})
        for n in (1, 100)],
    "POST sync": [("/_matrix/client/v4/sync", {"lists": {"a": {
        "timeline_limit": 100, "required_state": {"include": [{}]}}}})],
    "POST search": [(C3 + "/search", {"search_categories": {"room_events": {
        "search_term": term, "keys": ["content.body", "content.topic"], "include_state": True,
        "event_context": {"include_profile": True, "before_limit": 20, "after_limit": 20}}}})
        for term in ("secret", "plain")],
    "GET profile/{user}": [C3 + "/profile/{gone}"],
    "GET profile/{user}/{key}": [C3 + "/profile/{gone}/displayname"],
    "POST user_directory/search": [(C3 + "/user_directory/search", {"search_term": "secret"})],
    "GET room_summary/{room_or_alias}": [C1 + "/room_summary/{room}"],
    "GET rooms/{room_or_alias}/summary": [],
    "GET summary/{room_or_alias}": [],
    "GET rooms/{room}/hierarchy": [C1 + "/rooms/{room}/hierarchy"],
    "GET publicRooms": [C3 + "/publicRooms"],
    "POST publicRooms": [(C3 + "/publicRooms", {})],
}
SERVER = {
    "GET event/{event}": [FED + "/v1/event/{%s}" % e for e in (
        "message", "root", "name", "topic", "redaction", "cipher", "note", "second_name")],
    "GET state/{room}": [FED + "/v1/state/{room}?event_id={next_topic}",
                         FED + "/v1/state/{room}?event_id={topic}"],
    "GET event_auth/{room}/{event}": [FED + "/v1/event_auth/{room}/{message}"],
    "GET backfill/{room}": [FED + "/v1/backfill/{room}?limit=100&v={last}"],
    "POST get_missing_events/{room}": [(FED + "/v1/get_missing_events/{room}", {
        "earliest_events": [], "latest_events": ["{last}"], "limit": 20})],
    "PUT send_join/{room}/{event}": [],  # test_servers
    "PUT send_knock/{room}/{event}": [],  # stripped state: current settings
    "GET hierarchy/{root}": [FED + "/v1/hierarchy/{room}"],
    "GET publicRooms": [FED + "/v1/publicRooms"],
    "POST publicRooms": [(FED + "/v1/publicRooms", {})],
    "GET query/profile": [FED + "/v1/query/profile?user_id={gone}"],
}

# Routes that serve no part of an event, as regular expressions of METHOD and name.
NO_CLIENT = """
    GET /_matrix/client/versions|GET capabilities|GET joined_rooms|GET mutual_rooms|GET user/mutual_rooms
    (GET|POST) login.*|POST (refresh|logout|logout/all)|(GET|POST) register.*|(GET|POST) account/.*
    (GET|POST) auth/.*|(GET|PUT|POST|DELETE) (devices.*|delete_devices)|(PUT|DELETE) profile/.*
    POST user/{user}/openid/.*|GET voip/turnServer|(GET|PUT) admin/.*
    (GET|PUT|DELETE) user/{user}/(rooms/{room}/)?(account_data|tags).*|(GET|POST) user/{user}/filter.*
    POST rooms/{room}/(receipt/{type}/{event}|read_markers)|PUT rooms/{room}/typing/{user}
    (GET|PUT) presence/.*|(GET|PUT|DELETE) pushrules.*|(GET|POST) pushers.*
    (GET|POST) keys/.*|PUT sendToDevice/.*|(GET|PUT|POST|DELETE) (room_keys/.*|dehydrated_device.*)
    POST createRoom|POST (join|knock)/{room_or_alias}
    POST rooms/{room}/(join|leave|forget|invite|kick|ban|unban|report|report/{event}|upgrade)
    POST users/{user}/report|(PUT|POST) rooms/{room}/(send|redact|state)/.*|GET rooms/{room}/aliases
    (GET|PUT|DELETE) directory/.*|GET rooms/{room}/timestamp_to_event|(GET|POST|PUT) media/.*
    (GET|POST|PUT) thirdparty/.*
"""
NO_SERVER = """
    GET version|GET openid/userinfo|GET media/.*|GET user/devices/{user}|POST user/keys/.*
    GET state_ids/{room}|PUT send/{txn}|GET query/(directory|{type})|GET timestamp_to_event/{room}
    GET make_(join|knock|leave)/{room}/{user}|PUT send_leave/{room}/{event}
    PUT invite/{room}/{event}|PUT exchange_third_party_invite/{room}|PUT 3pid/onbind
"""
NO_OTHER = r"GET /(health|ready|metrics|)|.* /(_synapse|\.well-known|_matrix/(media|key|static))/.*"


def is_listed(name, patterns):
    return any(re.fullmatch(p, name) for line in patterns.split("\n") for p in [line.strip()] if p)


def test_every_route_is_listed():
    """A new route is listed here as one that serves events or one that does not."""
    unknown, seen = [], set()
    for line in run_cli("routes").stdout.splitlines()[1:]:
        method, path = line.split()[:2]
        name = f"{method} {UNSTABLE.sub('', path, count=1)}"
        is_server = "/federation/" in path
        shows = SERVER if is_server else CLIENT
        seen.add((is_server, name))
        if name not in shows and not is_listed(name, NO_SERVER if is_server else NO_CLIENT) \
                and not re.fullmatch(NO_OTHER, f"{method} {path}"):
            unknown.append(f"{method} {path}")
    assert not unknown
    assert seen >= {(False, n) for n in CLIENT} | {(True, n) for n in SERVER}


@pytest.fixture
def scene(two, remotes):
    """A room where `gone` sent many events, all with the word secret, and was erased."""
    a, early = two[0], remotes()
    host, gone, witness, late = (a.user(n) for n in ("host", "gone", "witness", "late"))
    pending = a.user("pending")
    room = host.create_room(preset="public_chat", name="plain name", visibility="public")
    give_power(host, room, gone)
    witness.join(room)
    early.join(a.name, room, early.user("erin"))
    s = types.SimpleNamespace(a=a, room_id=room, clients=(host, gone, witness, late), early=early)
    gone.put(f"/profile/{q(gone.user_id)}/displayname", {"displayname": "SECRET name"})
    gone.join(room)
    i = {"room": room, "gone": gone.user_id, "pending": pending.user_id}
    i["name"] = member_event(host, room, gone.user_id)
    i["root"] = host.send(room, "plain root")
    i["hosts"] = host.send(room, "plain words")
    i["message"] = gone.send(room, "SECRET message")
    gone.send(room, relating(i["root"], "m.thread", "SECRET reply"))
    gone.send(room, {**relating(i["message"], "m.replace", "* SECRET edit"),
                     "m.new_content": {"msgtype": "m.text", "body": "SECRET edit"}})
    i["cipher"] = gone.send(room, {"algorithm": "m.megolm.v1", "ciphertext": "SECRET"},
                            "m.room.encrypted")
    gone.send(room, {"algorithm": "m.megolm.v1", "ciphertext": "SECRET second",
                     "m.relates_to": {"rel_type": "m.replace", "event_id": i["cipher"]}},
              "m.room.encrypted")
    gone.send(room, {"m.relates_to": {"rel_type": "m.annotation", "event_id": i["hosts"],
                                      "key": "SECRET key"}}, "m.reaction")
    i["redacted"] = gone.send(room, "SECRET that is redacted")
    i["redaction"] = gone.redact(room, i["redacted"], reason="SECRET reason")
    i["topic"] = gone.send_state(room, "m.room.topic", {"topic": "SECRET topic"})
    gone.send_state(room, "org.example.board", {"note": "current"})
    i["note"] = gone.send_state(room, "org.example.note", {"note": "SECRET note"}, gone.user_id)
    gone.invite(room, pending.user_id, reason="SECRET invitation")
    i["at"] = host.sync()["next_batch"]
    gone.put(f"/profile/{q(gone.user_id)}/displayname", {"displayname": "SECRET second name"})
    i["second_name"] = member_event(host, room, gone.user_id)
    i["next_topic"] = host.send_state(room, "m.room.topic", {"topic": "plain topic"})
    i["since"] = late.sync()["next_batch"]
    deactivate(gone, erase=True)
    i["last"] = host.send(room, "plain last words")
    s.ids = i
    return s


def give_power(host, room, user):
    levels = host.state(room, "m.room.power_levels")
    host.send_state(room, "m.room.power_levels",
                    {**levels, "users": {**levels["users"], user.user_id: 100}})


def member_event(client, room, user):
    return client.get(f"/rooms/{q(room)}/state/m.room.member/{q(user)}?format=event")["event_id"]


def relating(event, rel_type, body):
    return {"msgtype": "m.text", "body": body,
            "m.relates_to": {"rel_type": rel_type, "event_id": event}}


def deactivate(client, **body):
    client.post("/account/deactivate", {**body, "auth": {
        "type": "m.login.password", "password": client.password,
        "identifier": {"type": "m.id.user", "user": client.user_id}}})


def asked(table, ids):
    """(name of the route, method, path, body) of all entries of a table."""
    for name, list_ in table.items():
        for entry in list_:
            path, body = entry if isinstance(entry, tuple) else (entry, None)
            fill = lambda t: re.sub(r"\{(\w+)\}", lambda m: ids[m[1]], t)
            path = re.sub(r"\{(\w+)\}", lambda m: q(ids[m[1]]), path)
            body = json.loads(fill(json.dumps(body))) if body is not None else None
            yield name, name.split()[0], path, body


def answers(client, ids):
    for name, method, path, body in asked(CLIENT, ids):
        r = client.request(method, path, body)
        yield name, path, r.status_code, r.text


# Replies without content of events, or with current content only.
ALIKE = {"GET rooms/{room}/state/{type}", "GET rooms/{room}/joined_members", "GET notifications",
         "POST search", "GET profile/{user}", "GET profile/{user}/{key}", "POST user_directory/search",
         "GET room_summary/{room_or_alias}", "GET rooms/{room}/hierarchy", "GET publicRooms",
         "POST publicRooms"}


def test_users(scene):
    host, gone, witness, late = scene.clients
    late.join(scene.room_id)
    seen, refused = [], []
    for name, path, status, text in answers(late, scene.ids):
        if "SECRET" in text.split('"highlights"')[0] + text.split('"results"')[-1]:
            seen.append(path)
        if status != 200 and not (status == 404 and "/profile/" in path):
            refused.append((path, text))
    assert not seen and not refused
    shown = {name for name, path, status, text in answers(witness, scene.ids) if "SECRET" in text}
    assert shown | ALIKE >= {n for n, list_ in CLIENT.items() if list_}


def test_the_witness_reads_on(scene):
    host, gone, witness, late = scene.clients
    late.join(scene.room_id)
    event = lambda c, key: c.event(scene.room_id, scene.ids[key])
    assert event(witness, "message")["content"]["body"] == "SECRET message"
    assert event(late, "message")["content"] == {}
    assert "m.relations" not in event(late, "message")["unsigned"]
    assert event(late, "name")["content"] == {"membership": "join"}
    assert event(late, "topic")["content"] == {}
    assert event(late, "next_topic")["unsigned"]["prev_content"] == {}
    newest = host.send_state(scene.room_id, "org.example.board", {"note": "plain"})
    assert "prev_content" in late.event(scene.room_id, newest)["unsigned"]
    assert late.event(scene.room_id, newest)["unsigned"]["prev_content"] == {}
    thread = event(late, "root")["unsigned"]["m.relations"]["m.thread"]
    assert thread["latest_event"]["content"] == {} and thread["count"] == 1
    assert event(late, "root")["content"]["body"] == "plain root"


def test_settings_stay(two):
    """A room does not lose its encryption, name or rules because the user who set them was erased."""
    a = two[0]
    host, gone, late = a.user("host"), a.user("gone"), a.user("late")
    room = host.create_room(preset="public_chat")
    give_power(host, room, gone)
    gone.join(room)
    state = {"m.room.encryption": {"algorithm": "m.megolm.v1.aes-sha2"},
             "m.room.name": {"name": "A name"}, "m.room.topic": {"topic": "A topic"},
             "m.room.server_acl": {"allow": ["*"]}}
    ids = {t: gone.send_state(room, t, c) for t, c in state.items()}
    gone.send_state(room, "m.room.encryption", {**state["m.room.encryption"], "rotation_period_msgs": 9})
    deactivate(gone, erase=True)
    late.join(room)
    now = {e["type"]: e["content"] for e in late.state(room)}
    for t, content in {**state, "m.room.encryption": {**state["m.room.encryption"],
                                                      "rotation_period_msgs": 9}}.items():
        assert now[t] == content
        assert late.event(room, ids[t])["content"] == state[t]


def test_since_when(two):
    """Users who joined between the event and the erasure had seen it; users who rejoined after the
    erasure, and were not in the room between, had not."""
    a = two[0]
    host, gone, between, back, later = (a.user(n) for n in ("host", "gone", "between", "back", "later"))
    room = host.create_room(preset="public_chat")
    gone.join(room)
    back.join(room)
    early = gone.send(room, "SECRET early")
    back.leave(room)
    message = gone.send(room, "SECRET")
    between.join(room)
    deactivate(gone, erase=True)
    back.join(room)
    later.join(room)
    body = lambda c, i: c.event(room, i)["content"].get("body")
    assert body(between, message) == body(between, early)[:6] == "SECRET"
    assert body(back, early) == "SECRET early" and body(back, message) is None
    assert body(later, early) is None and body(later, message) is None
    between.leave(room)
    assert body(between, message) == "SECRET"


def test_peeking_users(two):
    a = two[0]
    host, gone, guest = a.user("host"), a.user("gone"), a.user("guest")
    room = host.create_room(preset="public_chat", initial_state=[
        {"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}])
    gone.join(room)
    i = gone.send(room, "SECRET")
    assert guest.event(room, i)["content"]["body"] == "SECRET"
    deactivate(gone, erase=True)
    assert guest.event(room, i)["content"] == {}


def test_without_erase_all_stays(two):
    a = two[0]
    host, gone, late = a.user("host"), a.user("gone"), a.user("late")
    room = host.create_room(preset="public_chat")
    gone.join(room)
    i = gone.send(room, "remains")
    deactivate(gone)
    late.join(room)
    assert late.event(room, i)["content"]["body"] == "remains"
    found = late.post("/search", {"search_categories": {"room_events": {"search_term": "remains"}}})
    assert len(found["search_categories"]["room_events"]["results"]) == 1


def test_search_forgets(scene):
    """For all users, and also events that were indexed before."""
    host, gone, witness, late = scene.clients

    def results():
        found = witness.post("/search", {"search_categories": {"room_events": {
            "search_term": "secret", "filter": {"rooms": [scene.room_id]}}}})
        return found["search_categories"]["room_events"]

    assert results()["results"] == []
    eventually(lambda: results()["count"] == 0)


def test_by_command_and_after_a_restart(fresh_server, register):
    server = fresh_server()
    host, gone, late = (register(n, on=server) for n in ("host", "gone", "late"))
    room = host.create_room(preset="public_chat")
    gone.join(room)
    i = gone.send(room, "SECRET")
    deactivate(gone)
    assert host.event(room, i)["content"]["body"] == "SECRET"  # the erasures are in memory now
    assert "--erase" in run_cli("help").stdout
    done = server.cli("user", "deactivate", gone.user_id, "--erase")
    assert done.returncode == 0, done.stderr
    late.join(room)
    assert late.event(room, i)["content"] == {}
    assert host.event(room, i)["content"]["body"] == "SECRET"
    server.stop()
    server.start()
    for c in (host, late):
        c.http.base_url = server.url
    assert late.event(room, i)["content"] == {}
    assert host.event(room, i)["content"]["body"] == "SECRET"


# ---- servers ----


def fed_answers(remote, server, ids):
    for name, method, path, body in asked(SERVER, ids):
        r = remote.request(server, method, path, body)
        yield name, path, r.status_code, r.text


def test_servers(scene, remotes):
    late = remotes()
    host = scene.clients[0]
    room = late.join(scene.a.name, scene.room_id, late.user("later"))
    reply = room.join_reply
    assert "SECRET" not in json.dumps(reply)
    member = [e for e in reply["state"] if e.get("state_key") == scene.ids["pending"]]
    assert [e["content"] for e in member] == [{"membership": "invite"}]
    for e in reply["state"] + reply["auth_chain"]:  # with the original signatures
        origin = e["sender"].split(":", 1)[1]
        assert late.is_signed(pdus.signed_bytes(e, room.version), origin, e["signatures"][origin])
    seen, refused = [], []
    for name, path, status, text in fed_answers(late, scene.a.name, scene.ids):
        if "SECRET" in text:
            seen.append(path)
        if status != 200:
            refused.append((path, text))
    assert not seen and not refused
    shown = {name for name, path, status, text in fed_answers(scene.early, scene.a.name, scene.ids)
             if "SECRET" in text}
    assert shown >= {"GET event/{event}", "GET state/{room}", "GET event_auth/{room}/{event}",
                     "GET backfill/{room}", "POST get_missing_events/{room}"}
    host.send(scene.room_id, "plain, to both")
    assert "SECRET" in json.dumps(scene.early.pdus)
    late.wait_for(lambda: "plain, to both" in json.dumps(late.pdus))
    assert "SECRET" not in json.dumps(late.pdus)


def test_a_late_server_serves_its_users_fetched_events(two):
    a, b = two
    host, gone, bob = a.user("host"), a.user("gone"), b.user("bob")
    room = host.create_room(preset="public_chat")
    gone.put(f"/profile/{q(gone.user_id)}/displayname", {"displayname": "SECRET name"})
    gone.join(room)
    i = gone.send(room, "SECRET")
    last = host.send(room, "plain")
    deactivate(gone, erase=True)
    bob.join(room, via=[a.name])

    def history():
        events = bob.get(f"/rooms/{q(room)}/messages?dir=b&limit=100")["chunk"]
        return {e["event_id"]: e["content"] for e in events}

    found = eventually(lambda: (h := history()).keys() >= {i, last} and h)
    assert found[i] == {} and found[last]["body"] == "plain"
    assert "SECRET" not in json.dumps(bob.state(room))

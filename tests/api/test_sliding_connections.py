"""Simplified sliding sync (MSC4186): connections over restarts, logouts and time, and the accepted
form."""

from client import Client, q
from restoring import psql, uri_of
from sliding import Sliding, bodies, state_keys, window

ALL = {"all": window((0, 19))}
COUNT = "SELECT count(*) FROM sliding_connections"


def restart(server, *connections):
    server.restart()
    for s in connections:
        s.client = Client(server, s.client.user_id, s.client.token, password=s.client.password)


def test_a_restart_keeps_positions(fresh_server):
    server = fresh_server()
    alice, bob = (Client(server).register(n) for n in ("alice", "bob"))
    room, quiet = (alice.create_room(preset="public_chat") for _ in range(2))
    bob.join(room)
    s = Sliding(alice, "main")
    s.sync(ALL)
    before = s.pos
    bob.send(room, "one")
    restart(server, s)
    got = s.sync(ALL)["rooms"]
    assert set(got) == {room} and bodies(got[room]) == ["one"] and "initial" not in got[room]
    alice = s.client
    alice.send(room, "two")
    assert bodies(s.sync(ALL)["rooms"][room]) == ["two"]
    new = alice.create_room()
    s.sync(ALL)
    restart(server, s)
    got = s.sync(ALL, pos=before)["rooms"]  # the state before, whose number the token has
    assert got[new]["initial"] is True and bodies(got[room]) == ["one", "two"] and quiet not in got


def test_connections_end(fresh_server):
    server = fresh_server()
    alice = Client(server).register("alice")
    alice.create_room()
    connections = [Sliding(alice, str(n)) for n in range(17)]
    for s in connections:
        s.sync(ALL)
        server.advance(1)
    restart(server, *connections)
    alice = connections[0].client
    connections[0].fails(400, "M_UNKNOWN_POS", lists=ALL, pos=connections[0].pos)
    assert connections[1].sync(ALL)["rooms"] == {}
    phone = alice.another_device()
    s = Sliding(phone)
    s.sync(ALL)
    assert psql(uri_of(server), COUNT) == "17"
    phone.post("/logout")
    assert psql(uri_of(server), COUNT) == "16"


def test_a_newer_request_ends_an_older_one(alice, bob):
    """A client that gives a request up may send another with the same position; what it then gets
    must be what the connection goes on with."""
    import threading

    room = alice.create_room(preset="public_chat")
    bob.join(room)
    s, answers = Sliding(alice), []
    s.sync(ALL)
    other = Client(alice.server, alice.user_id, alice.token)
    older = Sliding(other)
    older.pos = s.pos
    thread = threading.Thread(target=lambda: answers.append(older.sync(ALL, timeout=30000)))
    thread.start()
    new = {"all": window((0, 19), limit=1), "dm": window((0, 1), is_dm=True)}
    s.sync(new)
    bob.send(room, "x")
    got = s.sync(new, timeout=20000)
    thread.join()
    assert bodies(got["rooms"][room]) == ["x"]
    assert s.sync(new)["rooms"] == {}


def test_the_accepted_form(alice, bob):
    room = alice.create_room(name="N", preset="public_chat", topic="T")
    bob.join(room)
    lists = {"a": {"range": [0, 9], "timeline_limit": 1, "filters": {"is_invited": False},
                   "required_state": {"include": [{"type": "m.room.topic"}, {"state_key": ""}],
                                      "exclude": [{"type": "m.room.power_levels"}], "lazy_members": True}}}
    s = Sliding(alice, accepted=True)
    got = s.sync(lists)["rooms"][room]
    assert got["membership"] == "join" and got["lists"] == ["a"] and got["name"] == "N"
    keys = state_keys(got)
    assert ("m.room.topic", "") in keys and ("m.room.create", "") in keys
    assert ("m.room.power_levels", "") not in keys and ("m.room.member", bob.user_id) in keys
    assert "notification_count" not in got
    lists["a"]["timeline_limit"] = 3
    assert s.sync(lists)["rooms"][room]["expanded_timeline"] is True
    alice.send_state(room, "m.room.name", {})
    got = s.sync(lists, timeout=20000)["rooms"][room]
    assert got["name"] is None and [h["user_id"] for h in got["heroes"]] == [bob.user_id]
    invite = bob.create_room(invite=[alice.user_id])
    lists["a"]["filters"] = {"is_invited": True}
    got = s.sync(lists)["rooms"]
    assert set(got) == {invite} and got[invite]["stripped_state"] and got[invite]["membership"] == "invite"
    # Positions are tokens of other routes, too.
    assert alice.messages(room, **{"from": s.pos})["chunk"][0]["type"] == "m.room.name"
    s.fails(400, "M_UNKNOWN_POS", lists=lists, pos="s1_0_0_c1")
    r = alice.request("POST", "/_matrix/client/v4/sync", {"set_presence": "x"})
    assert r.status_code == 400 and r.json()["errcode"] == "M_INVALID_PARAM"


def test_presence(fresh_server):
    server = fresh_server()
    alice = Client(server).register("alice")
    path = f"/presence/{q(alice.user_id)}/status"
    params = {"set_presence": "unavailable"}
    alice.call("POST", "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync", {}, params=params)
    assert alice.get(path)["presence"] == "unavailable"

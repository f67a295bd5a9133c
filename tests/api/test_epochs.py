"""The database is restored from a backup: tokens and ids of the lost part are not taken for new ones."""

import pytest

from client import Client, q, timeline
from e2ee import Device
from remote import FED
from restoring import Copy, psql, uri_of
from server import Server
from waiting import eventually

ENCRYPTION = {"type": "m.room.encryption", "state_key": "",
              "content": {"algorithm": "m.megolm.v1.aes-sha2"}}


def again(client):
    """The same device after a restart of the server, perhaps at another port."""
    return Client(client.server, client.user_id, client.token, client.device_id, client.password)


def state_types(room):
    events = room["state"]["events"] + room["timeline"]["events"]
    return {e["type"] for e in events if "state_key" in e}


@pytest.fixture
def story(fresh_server, tmp_path):
    """A backup was made midway; alice has tokens from before and after it."""

    class Story:
        pass

    t, s = Story(), fresh_server()
    alice, bob, carol = (Client(s).register(n) for n in ("alice", "bob", "carol"))
    Device(bob).upload()
    t.old = alice.create_room(preset="public_chat", initial_state=[ENCRYPTION])
    t.left = alice.create_room(name="left")
    bob.join(t.old)
    t.said = [bob.send(t.old, f"before {i}") for i in range(3)]
    alice.leave(t.left)
    t.before = alice.sync()["next_batch"]
    copy = Copy(s, tmp_path / "copy")
    alice, bob, carol = again(alice), again(bob), again(carol)
    t.lost_room = bob.create_room(preset="public_chat", initial_state=[ENCRYPTION])
    alice.join(t.lost_room)
    alice.send_state(t.old, "m.room.topic", {"topic": "lost"})
    t.lost = [bob.send(t.old, f"lost {i}") for i in range(4)]
    reply = alice.sync()
    t.after, t.prev = reply["next_batch"], reply["rooms"]["join"][t.old]["timeline"]["prev_batch"]
    t.end = alice.messages(t.old, limit=2)["end"]
    copy.restore()
    t.server, t.alice, t.bob, t.carol = s, again(alice), again(bob), again(carol)
    t.new_room = t.bob.create_room(preset="public_chat", initial_state=[ENCRYPTION])
    t.alice.join(t.new_room)
    t.said += [t.bob.send(t.old, f"new {i}") for i in range(30)]  # to positions beyond the lost ones
    return t


def test_a_token_of_the_lost_part_gets_everything(story):
    reply = story.alice.sync(since=story.after)
    joined = reply["rooms"]["join"]
    assert set(joined) == {story.old, story.new_room}
    for room in joined.values():
        assert {"m.room.encryption", "m.room.create", "m.room.member"} <= state_types(room)
        assert room["timeline"]["limited"]
    assert story.left in reply["rooms"]["leave"]
    assert {story.alice.user_id, story.bob.user_id} >= set(reply["device_lists"]["changed"])
    assert story.bob.user_id in reply["device_lists"]["changed"]
    assert reply["account_data"]["events"]
    sent = story.bob.send(story.old, "and on")
    reply = story.alice.sync(since=reply["next_batch"])
    assert [e["event_id"] for e in timeline(reply, story.old)] == [sent]
    assert not reply["rooms"]["join"][story.old]["timeline"]["limited"]
    assert "m.room.create" not in state_types(reply["rooms"]["join"][story.old])


def test_a_token_from_before_continues(story):
    reply = story.alice.sync(since=story.before, filter='{"room":{"timeline":{"limit":50}}}')
    room = reply["rooms"]["join"][story.old]
    assert [e["event_id"] for e in timeline(reply, story.old)] == story.said[3:]
    assert not room["timeline"]["limited"] and not room["state"]["events"]
    assert story.left not in reply["rooms"].get("leave", {})


def test_restarts_and_lost_connections_keep_tokens(story):
    since = story.alice.sync()["next_batch"]
    for i in range(2):
        story.server.restart()
        story.alice, story.bob = again(story.alice), again(story.bob)
    psql(uri_of(story.server), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                               "WHERE application_name LIKE 'concorde-committer%'")

    def sent():
        r = story.bob.request("PUT", f"/rooms/{q(story.old)}/send/m.room.message/once",
                              {"body": "x", "msgtype": "m.text"})
        return r.status_code == 200 and r.json()["event_id"]

    event = eventually(sent)
    reply = story.alice.sync(since=since)
    assert [e["event_id"] for e in timeline(reply, story.old)] == [event]
    assert not reply["rooms"]["join"][story.old]["timeline"]["limited"]


def test_pages_go_on_from_where_the_histories_part(story):
    def bodies(dir, **params):
        chunk = story.alice.messages(story.old, dir=dir, limit=100, **params)["chunk"]
        return [e["content"].get("body") for e in chunk if e["type"] == "m.room.message"]

    old = [f"before {i}" for i in range(3)]
    for token in story.after, story.end:
        assert bodies("b", **{"from": token}) == old[::-1]
        assert bodies("f", **{"from": token}) == [f"new {i}" for i in range(30)]
    assert bodies("f", to=story.after) == old
    members = story.alice.get(f"/rooms/{q(story.old)}/members", params={"at": story.after})["chunk"]
    assert {e["state_key"] for e in members} == {story.alice.user_id, story.bob.user_id}
    changes = story.alice.get("/keys/changes", params={"from": story.after, "to": story.after})
    assert story.bob.user_id in changes["changed"]


def test_a_server_of_another_history_stops(story):
    """It knows changes that the database does not have."""
    since = story.alice.sync()["next_batch"]
    psql(uri_of(story.server), "UPDATE log_head SET epoch = 4711")  # as if another dump was restored
    r = story.bob.request("PUT", f"/rooms/{q(story.old)}/send/m.room.message/fenced",
                          {"body": "fenced", "msgtype": "m.text"})
    assert r.status_code == 503
    assert story.server.process.wait(30) != 0
    assert "the database is another one" in story.server.log_text()
    story.server.process.stdout.close()
    story.server.process = None
    story.server.start()
    reply = again(story.alice).sync(since=since)
    assert "fenced" not in str(reply)


def test_an_idle_server_hears_that_it_lost_the_database(fresh_server):
    s = fresh_server()
    psql(uri_of(s), "UPDATE log_head SET epoch = 4711")
    assert s.process.wait(30) != 0
    s.process.stdout.close()
    s.process = None


def test_other_servers_accept_new_numbers(ministries, remote, tmp_path):
    """Numbers of device lists and transactions are not reused."""
    a = ministries()
    alice = a.user("alice")
    room = alice.create_room(preset="public_chat")
    guest = remote.user("carol")
    remote.join(a.name, room, guest)

    def wait_until_all_is_said():
        newest = remote.get(a.name, f"{FED}/v1/user/devices/{q(alice.user_id)}")["stream_id"]
        said = lambda: [e["stream_id"] for e in remote.edus_of("m.device_list_update")]
        remote.wait_for(lambda: said()[-1:] == [newest])

    Device(alice).upload()
    wait_until_all_is_said()
    copy = Copy(a, tmp_path / "copy")

    def change(n):
        """A new device signs in and uploads keys; a function that gives the EDUs about it, one or two:
        if the first was sent after the upload it has the keys, and the second may come later."""
        d = Device(Client(a).login(alice.user_id, alice.password))
        d.upload()
        about = lambda: [e for e in remote.edus_of("m.device_list_update") if e["device_id"] == d.id]
        remote.wait_for(lambda: any("keys" in e for e in about()))
        return about

    lost = [about() for about in [change(n) for n in range(2)]]
    copy.restore()
    abouts = [change(n) for n in range(3)]
    wait_until_all_is_said()
    new = [about() for about in abouts]
    assert min(e["stream_id"] for edus in new for e in edus) > \
        max(e["stream_id"] for edus in lost for e in edus)
    assert new[1][0]["prev_id"] == [new[0][-1]["stream_id"]]
    assert new[0][0]["prev_id"] == lost[0][0]["prev_id"]  # as we know it
    ids = [r.path.rsplit("/", 1)[1] for r in remote.seen("PUT", f"{FED}/v1/send/")]
    assert len(ids) == len(set(ids))

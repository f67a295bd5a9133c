"""Messages in rooms and between devices, between Concorde and Synapse in both directions."""

import httpx

from client import q
from e2ee import Device, b64
from federation import authority, has_event
from waiting import eventually


def both_ways(alice, bob):
    yield alice, bob
    yield bob, alice


def relate(rel_type, event, **more):
    return {"m.relates_to": {"rel_type": rel_type, "event_id": event}, **more}


def test_messages_are_the_same_on_both_sides(alice, bob, joined):
    for sender, reader in both_ways(alice, bob):
        sent = [sender.send(joined, f"{n} from {sender.user_id} ✍") for n in range(10)]
        eventually(lambda: has_event(reader, joined, sent[-1]))
        got = [e for e in reversed(reader.messages(joined, limit=50)["chunk"]) if e["event_id"] in sent]
        assert [e["event_id"] for e in got] == sent
        assert got[3]["content"] == {"msgtype": "m.text", "body": f"3 from {sender.user_id} ✍"}
        assert got[3]["sender"] == sender.user_id


def test_edits_are_shown(alice, bob, joined):
    for sender, reader in both_ways(alice, bob):
        sent = sender.send(joined, "we sgin on Monday")
        new = {"msgtype": "m.text", "body": "we sign on Monday"}
        sender.send(joined, {**new, **relate("m.replace", sent), "m.new_content": new})
        eventually(lambda: reader.event(joined, sent)["unsigned"]["m.relations"]["m.replace"][
            "content"]["m.new_content"] == new)


def test_reactions_are_sent(alice, bob, joined):
    for sender, reader in both_ways(alice, bob):
        sent = sender.send(joined, "agreed?")
        eventually(lambda: has_event(reader, joined, sent))
        reaction = reader.send(
            joined, {"m.relates_to": {"rel_type": "m.annotation", "event_id": sent, "key": "👍"}},
            type="m.reaction")
        path = f"/_matrix/client/v1/rooms/{q(joined)}/relations/{q(sent)}/m.annotation"
        eventually(lambda: reaction in [e["event_id"] for e in sender.get(path)["chunk"]])


def test_redactions_empty_their_target(alice, bob, joined):
    for sender, reader in both_ways(alice, bob):
        sent = sender.send(joined, "my password is hunter2")
        eventually(lambda: has_event(reader, joined, sent))
        sender.redact(joined, sent, reason="a slip")
        eventually(lambda: reader.event(joined, sent)["content"] == {})
        assert "redacted_because" in reader.event(joined, sent)["unsigned"]


def test_a_moderator_redacts_an_event_of_another_server(alice, bob, joined):
    sent = bob.send(joined, "rude")
    eventually(lambda: has_event(alice, joined, sent))
    alice.redact(joined, sent)
    for reader in alice, bob:
        eventually(lambda: reader.event(joined, sent)["content"] == {})


def test_threads_are_sent(alice, bob, joined):
    root = alice.send(joined, "who brings the pens?")
    eventually(lambda: has_event(bob, joined, root))
    reply = bob.send(joined, {"msgtype": "m.text", "body": "I do", **relate("m.thread", root)})
    path = f"/_matrix/client/v1/rooms/{q(joined)}/threads"
    eventually(lambda: [e["event_id"] for e in alice.get(path)["chunk"]] == [root])
    summary = alice.get(path)["chunk"][0]["unsigned"]["m.relations"]["m.thread"]
    assert summary["latest_event"]["event_id"] == reply


def ephemeral(reply, room, type):
    events = reply.get("rooms", {}).get("join", {}).get(room, {}).get("ephemeral", {}).get("events", [])
    return [e["content"] for e in events if e["type"] == type]


def test_typing_is_seen_and_ends(alice, bob, joined):
    # Synapse shows a room to ordinary syncs when its state is complete, and then no older typing.
    bob.sync_until(lambda r: joined in r.get("rooms", {}).get("join", {}))
    for sender, reader in both_ways(alice, bob):
        path = f"/rooms/{q(joined)}/typing/{q(sender.user_id)}"
        sender.put(path, {"typing": True, "timeout": 20000})
        reader.sync_until(lambda r: {"user_ids": [sender.user_id]} in ephemeral(r, joined, "m.typing"))
        sender.put(path, {"typing": False})
        reader.sync_until(lambda r: {"user_ids": []} in ephemeral(r, joined, "m.typing"))


def receipt(reply, room, event, kind, user):
    for content in ephemeral(reply, room, "m.receipt"):
        if user in content.get(event, {}).get(kind, {}):
            return content[event][kind][user]
    return None


def test_receipts_are_seen(alice, bob, joined):
    for sender, reader in both_ways(alice, bob):
        sent = sender.send(joined, "read this")
        eventually(lambda: has_event(reader, joined, sent))
        reader.read(joined, sent)
        sender.sync_until(lambda r: receipt(r, joined, sent, "m.read", reader.user_id))


def test_receipts_in_threads_are_seen(alice, bob, joined):
    for sender, reader in both_ways(alice, bob):
        root = sender.send(joined, "a thread")
        reply = sender.send(joined, {"msgtype": "m.text", "body": "x", **relate("m.thread", root)})
        eventually(lambda: has_event(reader, joined, reply))
        reader.read(joined, reply, thread_id=root)
        got = sender.sync_until(lambda r: receipt(r, joined, reply, "m.read", reader.user_id))
        assert got["thread_id"] == root


def test_private_receipts_stay_at_home(alice, bob, joined):
    first, second = alice.send(joined, "one"), alice.send(joined, "two")
    eventually(lambda: has_event(bob, joined, second))
    alice.next_sync()
    bob.read(joined, first, kind="m.read.private")
    bob.read(joined, second)
    seen = []
    alice.sync_until(lambda r: seen.append(r) or receipt(r, joined, second, "m.read", bob.user_id))
    assert not any(receipt(r, joined, first, kind, bob.user_id)
                   for r in seen for kind in ("m.read", "m.read.private"))


def test_presence_is_seen(alice, bob, joined):
    for who, reader in both_ways(alice, bob):
        path = f"/presence/{q(who.user_id)}/status"
        who.put(path, {"presence": "online", "status_msg": f"at my desk, {who.user_id}"})
        who.sync()  # Synapse sends presence only of users who sync
        def seen(reply):
            return [e for e in reply.get("presence", {}).get("events", [])
                    if e["sender"] == who.user_id and "at my desk" in e["content"].get("status_msg", "")]
        reader.sync_until(seen)


# ---- profiles ----


def test_a_profile_is_asked_for(alice, bob):
    for who, reader in both_ways(alice, bob):
        who.put(f"/profile/{q(who.user_id)}/displayname", {"displayname": "The Chair"})
        assert reader.get(f"/profile/{q(who.user_id)}")["displayname"] == "The Chair"
        assert reader.get(f"/profile/{q(who.user_id)}/displayname") == {"displayname": "The Chair"}
    unknown = alice.user_id.replace("alice", "unknown")
    bob.fails(404, "M_NOT_FOUND", "GET", f"/profile/{q(unknown)}")


def test_a_new_name_is_seen_in_rooms(alice, bob, joined):
    for who, reader in both_ways(alice, bob):
        who.put(f"/profile/{q(who.user_id)}/displayname", {"displayname": f"New {who.user_id}"})
        eventually(lambda: reader.state(joined, "m.room.member", who.user_id)["displayname"]
                   == f"New {who.user_id}")


# ---- devices ----


def changed(reply, user):
    return user in reply.get("device_lists", {}).get("changed", [])


def test_device_keys_are_asked_for_and_claimed(alice, bob, joined):
    for who, reader in both_ways(alice, bob):
        device = Device(who)
        who.post("/keys/upload", {"device_keys": device.keys(), "one_time_keys": {
            f"signed_curve25519:{n}": device.one_time_key() for n in range(2)}})
        keys = eventually(lambda: reader.post("/keys/query", {"device_keys": {who.user_id: []}})[
            "device_keys"][who.user_id][who.device_id])
        assert keys["keys"] == device.keys()["keys"]
        claim = {"one_time_keys": {who.user_id: {who.device_id: "signed_curve25519"}}}
        first = reader.post("/keys/claim", claim)["one_time_keys"][who.user_id][who.device_id]
        second = reader.post("/keys/claim", claim)["one_time_keys"][who.user_id][who.device_id]
        assert first.keys() != second.keys()


def test_a_new_device_is_notified(alice, bob, joined):
    for who, reader in both_ways(alice, bob):
        who.post("/keys/upload", {"device_keys": Device(who).keys()})
        reader.post("/keys/query", {"device_keys": {who.user_id: []}})
        reader.next_sync()
        second = who.another_device()
        second.post("/keys/upload", {"device_keys": Device(second).keys()})
        reader.sync_until(lambda r: changed(r, who.user_id))
        eventually(lambda: second.device_id in reader.post(
            "/keys/query", {"device_keys": {who.user_id: []}})["device_keys"][who.user_id])
        second.post("/logout")
        reader.sync_until(lambda r: changed(r, who.user_id))
        eventually(lambda: second.device_id not in reader.post(
            "/keys/query", {"device_keys": {who.user_id: []}})["device_keys"][who.user_id])
        second.close()


def test_to_device_messages_arrive_once(alice, bob, joined):
    for who, reader in both_ways(alice, bob):
        for n in range(3):
            who.put(f"/sendToDevice/m.test/{b64(who.user_id.encode())[:8]}{n}", {
                "messages": {reader.user_id: {reader.device_id: {"n": n}}}})
        got = []
        def collect(reply):
            got.extend(e for e in reply.get("to_device", {}).get("events", []) if e["type"] == "m.test")
            return len(got) >= 3
        reader.sync_until(collect)
        assert sorted(e["content"]["n"] for e in got) == [0, 1, 2]
        assert {e["sender"] for e in got} == {who.user_id}


def test_openid_names_the_user(alice, host, guest):
    token = alice.post(f"/user/{q(alice.user_id)}/openid/request_token")
    r = httpx.get(f"https://{host.name}/_matrix/federation/v1/openid/userinfo",
                  params={"access_token": token["access_token"]}, verify=authority().client_context())
    assert r.json() == {"sub": alice.user_id}


def test_floats_do_not_stop_sending(servers):
    """Synapse re-encodes JSON to check its signature. Its users may send 0.1 in old rooms and to
    devices, ours may not; objects that we sign with such values in them must verify."""
    alice, bob = servers.concorde.user("alice"), servers.synapse.user("bob")
    dora = servers.synapse.user("dora")
    room = alice.create_room(preset="public_chat", room_version="5",
                             power_level_content_override={"events": {"m.room.name": 0}})
    bob.join(room, via=[servers.concorde.name])
    alice.sync_until(lambda r: bob.user_id in str(r))
    floats = {"n": [0.1, 1e-7, 123456789.123456789, 1e22, 1.0]}
    sent = bob.send(room, {"msgtype": "m.text", "body": "numbers", **floats})
    bob.send_state(room, "m.room.name", {"name": "Numbers", **floats})
    bob.put("/sendToDevice/x.y/1", {"messages": {alice.user_id: {alice.device_id: floats}}})
    got = alice.sync_until(lambda r: r.get("to_device", {}).get("events"))
    assert got[0]["content"] == floats
    eventually(lambda: alice.state(room, "m.room.name")["name"] == "Numbers")
    assert alice.event(room, sent)["content"]["n"] == floats["n"]

    alice.invite(room, dora.user_id)  # its stripped state has the room's name
    eventually(lambda: room in dora.sync()["rooms"].get("invite", {}))
    messages = {"messages": {bob.user_id: {bob.device_id: {"volume": 0.1}}}}
    alice.fails(400, "M_BAD_JSON", "PUT", "/sendToDevice/x.y/2", messages)
    alice.fails(400, "M_BAD_JSON", "PUT", f"/rooms/{q(room)}/send/m.room.message/2",
                {"msgtype": "m.text", "body": "x", "n": 0.1})
    later = alice.send(room, "an ordinary message")
    eventually(lambda: has_event(bob, room, later))

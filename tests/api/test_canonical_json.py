"""Appendices, "Canonical JSON": numbers that implementations encode differently are not accepted from
our users, and those of others in old rooms do not break our signatures."""

import json
import re

import pytest

import pdus
from client import q
from e2ee import Device, SigningKey, b64, canonical
from federation import membership
from remote import FED
from waiting import eventually

WRONG = ["0.1", "1.10", "1e-7", "1E400", "1.0", "9007199254740992", "-9007199254740992",
         "99999999999999999999", "[{\"deep\":0.5}]"]
FLOATS = {"tenth": 0.1, "tiny": 1e-7, "long": 123456789.123456789, "large": 1e22, "whole": 1.0}


def refused(client, method, path, body):
    """The body has NUMBER in place of a number. Each wrong one is M_BAD_JSON, a valid one accepted."""
    for number in WRONG:
        r = client.request(method, path, content=body.replace("NUMBER", number),
                           headers={"Content-Type": "application/json"})
        assert (r.status_code, r.json().get("errcode")) == (400, "M_BAD_JSON"), (number, r.text)
    r = client.request(method, path, content=body.replace("NUMBER", "9007199254740991"),
                       headers={"Content-Type": "application/json"})
    assert r.status_code == 200, r.text


@pytest.mark.parametrize("version", pdus.VERSIONS)
def test_events_of_every_room_version(alice, version):
    room = alice.create_room(room_version=version)
    path = f"/rooms/{q(room)}"
    refused(alice, "PUT", f"{path}/send/m.room.message/1", '{"msgtype":"m.text","body":"x","n":NUMBER}')
    refused(alice, "PUT", f"{path}/state/m.room.topic", '{"topic":"x","n":NUMBER}')
    refused(alice, "PUT", f"{path}/state/m.room.member/{q(alice.user_id)}",
            '{"membership":"join","n":NUMBER}')


def test_first_events(alice):
    for version in "5", "12":
        for content in ('"creation_content":{"n":NUMBER}',
                        '"power_level_content_override":{"n":NUMBER}',
                        '"initial_state":[{"type":"x","state_key":"","content":{"n":NUMBER}}]'):
            refused(alice, "POST", "/createRoom", '{"room_version":"%s",%s}' % (version, content))


def test_messages_to_devices(alice, bob):
    for user in bob.user_id, "@carol:elsewhere.example":
        refused(alice, "PUT", "/sendToDevice/x.y/1",
                '{"messages":{"%s":{"*":{"volume":NUMBER}}}}' % user)
    got = bob.sync_until(lambda r: r.get("to_device", {}).get("events"))
    assert [e["content"] for e in got] == [{"volume": 9007199254740991}]


def test_keys(alice, bob):
    device = Device(alice)
    keys = {k: v for k, v in device.keys().items() if k != "signatures"}
    refused(alice, "POST", "/keys/upload",
            json.dumps({"device_keys": {**keys, "n": "N"}}).replace('"N"', "NUMBER"))
    for kind in "one_time_keys", "fallback_keys":
        refused(alice, "POST", "/keys/upload",
                '{"%s":{"signed_curve25519:A%s":{"key":"k","signatures":{},"n":NUMBER}}}' % (kind, kind))
    public = SigningKey().public
    refused(bob, "POST", "/keys/device_signing/upload", json.dumps({"master_key": {
        "user_id": bob.user_id, "usage": ["master"], "keys": {f"ed25519:{public}": public},
        "n": "N"}}).replace('"N"', "NUMBER"))


def test_profile_fields(alice):
    refused(alice, "PUT", f"/profile/{q(alice.user_id)}/org.example.n", '{"org.example.n":NUMBER}')


def test_floats_of_others_are_shown_as_they_are(two, remote):
    """Local data may have floats, too: only data that others verify may not."""
    alice = two[0].user("alice")
    carol = remote.user("carol")
    remote.on("GET", f"{FED}/v1/query/profile", lambda r: (200, {"org.example.n": FLOATS}))
    path = f"/user/{q(alice.user_id)}/account_data/org.example"
    alice.put(path, FLOATS)
    profile = alice.request("GET", f"/profile/{q(carol)}").text
    for text in profile, alice.request("GET", path).text:
        for number in "0.1", "1e-07", "123456789.12345679", "1e+22", "1.0":
            assert re.search(f"[: ]{re.escape(number)}[,}}]", text), (number, text)


@pytest.mark.parametrize("version", ["1", "3", "5"])
def test_floats_of_others_in_signed_requests(two, remotes, version):
    """A server that parses and re-encodes finds our signature valid: of a transaction that relays an
    event, and of an invite with the room's state. The event's own hash stays valid, too."""
    a, carols, daves, erins = two[0], remotes(), remotes(), remotes()
    alice, carol, dave = a.user("alice"), carols.user("carol"), daves.user("dave")
    erin = erins.user("erin")
    room_id = alice.create_room(preset="public_chat", room_version=version,
                                power_level_content_override={"events": {"m.room.name": 0}})
    daves.join(a.name, room_id, dave)
    room = carols.join(a.name, room_id, carol, content={"x": FLOATS})
    joined = eventually(lambda: [p for p in daves.pdus if p["sender"] == carol])[0]
    assert joined["content"]["x"] == FLOATS and carols.check_event(joined, version)

    named = carols.send(room, carol, {"name": "Numbers", "x": FLOATS}, "m.room.name", "")
    eventually(lambda: alice.state(room_id, "m.room.name")["name"] == "Numbers")
    alice.invite(room_id, erin)
    eventually(lambda: membership(alice, room_id, erin) == "invite")
    served = carols.get(a.name, f"{FED}/v1/event/{q(named)}")["pdus"][0]
    assert served["content"]["x"] == FLOATS and carols.check_event(served, version)
    assert all(r.is_authentic for remote in (carols, daves, erins) for r in remote.requests
               if r.origin)


def test_numbers_that_cannot_be_read_are_no_event(two, remote):
    """Python, Go and JavaScript cannot represent 1E400: a server that took it could not relay it."""
    a = two[0]
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.join(a.name, alice.create_room(preset="public_chat", room_version="5"), carol)
    i, event = remote.event(room, carol, "m.room.message", {"msgtype": "m.text", "body": "x", "n": 7})
    uri, as_sent = f"{FED}/v1/send/7", lambda o: canonical(o).replace(b'"n":7', b'"n":1E400')
    body = {"origin": remote.name, "origin_server_ts": 1, "pdus": [event], "edus": []}
    signature = b64(remote.key.private.sign(as_sent({
        "method": "PUT", "uri": uri, "origin": remote.name, "destination": a.name, "content": body})))
    headers = {"Authorization": remote.authorization("PUT", uri, a.name, body, sig=signature),
               "Content-Type": "application/json"}
    reply = remote.client.put(f"https://{a.name}{uri}", content=as_sent(body), headers=headers)
    assert reply.status_code == 200, reply.text
    assert i not in [e["event_id"] for e in alice.messages(room.id)["chunk"]]
    later = alice.send(room.id, "still here")
    eventually(lambda: later in remote.pdu_ids("5"))


def test_an_old_room_with_floats_is_upgraded(two, remote):
    a = two[0]
    alice, carol = a.user("alice"), remote.user("carol")
    old = alice.create_room(preset="public_chat", room_version="5", name="Old",
                            power_level_content_override={"state_default": 0,
                                                          "users": {alice.user_id: 100, carol: 100}})
    room = remote.join(a.name, old, carol)
    levels = alice.state(old, "m.room.power_levels")
    remote.send(room, carol, {**levels, "redact": 50.5, "x": FLOATS}, "m.room.power_levels", "")
    remote.send(room, carol, {"name": "Numbers", "x": FLOATS}, "m.room.name", "")
    eventually(lambda: alice.state(old, "m.room.name")["name"] == "Numbers")
    new = alice.post(f"/rooms/{q(old)}/upgrade", {"new_version": "11"})["replacement_room"]
    assert alice.state(new, "m.room.name") == {"name": "Numbers"}
    assert alice.state(new, "m.room.power_levels")["redact"] == 50
    assert alice.state(old, "m.room.power_levels")["events_default"] == 50

"""Finding rooms, spaces, upgrades, files and history, between Concorde and Synapse in both
directions."""

import os
import time

import pytest

from client import q
from federation import has_event, history, membership, same_state
from images import png
from waiting import eventually


def test_public_rooms_of_the_other_server_are_listed(alice, bob, host):
    tag = f"tag{time.time_ns()}"
    rooms = [alice.create_room(preset="public_chat", visibility="public", name=f"{tag} {n}",
                               topic="peace") for n in range(3)]
    listed = lambda: {r["room_id"] for r in bob.get(
        "/publicRooms", params={"server": host.name, "limit": 1000})["chunk"]}
    eventually(lambda: set(rooms) <= listed())  # Synapse lists a room when it has counted its members
    found = bob.post("/publicRooms", {"filter": {"generic_search_term": f"{tag} 1"}},
                     params={"server": host.name})["chunk"]
    assert [(r["room_id"], r["name"], r["topic"]) for r in found] == [(rooms[1], f"{tag} 1", "peace")]


def test_a_space_is_walked_across_servers(alice, bob, host, guest):
    open_ = [{"type": "m.room.history_visibility", "state_key": "",
              "content": {"history_visibility": "world_readable"}}]
    space = alice.create_room(preset="public_chat", name="Union", initial_state=open_,
                              creation_content={"type": "m.space"})
    near = alice.create_room(preset="public_chat", name="Near", initial_state=open_)
    far = bob.create_room(preset="public_chat", name="Far", initial_state=open_)
    for child, via in (near, host), (far, guest):
        alice.send_state(space, "m.space.child", {"via": [via.name]}, child)
    path = f"/_matrix/client/v1/rooms/{q(space)}/hierarchy"
    names = lambda who: {r.get("name") for r in who.get(path)["rooms"]}
    assert names(alice) == {"Union", "Near", "Far"}
    bob.join(space, via=[host.name])
    eventually(lambda: names(bob) == {"Union", "Near", "Far"}, 30)


def test_a_guest_follows_an_upgrade_to_version_12(alice, bob, host):
    old = alice.create_room(preset="public_chat", name="Treaty", room_version="10")
    bob.join(old, via=[host.name])
    new = alice.post(f"/rooms/{q(old)}/upgrade", {"new_version": "12"})["replacement_room"]
    tombstone = eventually(lambda: bob.state(old, "m.room.tombstone"))
    assert tombstone["replacement_room"] == new
    bob.join(new, via=[host.name])
    eventually(lambda: membership(alice, new, bob) == "join")
    create = bob.state(new, "m.room.create")
    assert create["room_version"] == "12" and create["predecessor"]["room_id"] == old
    assert bob.state(new, "m.room.name") == {"name": "Treaty"}
    eventually(lambda: same_state(new, alice, bob))


def upload(client, data, type, name="file"):
    r = client.request("POST", "/_matrix/media/v3/upload", content=data,
                       headers={"Content-Type": type}, params={"filename": name})
    return r.json()["content_uri"].removeprefix("mxc://")


def test_files_are_fetched_from_the_other_server(alice, bob):
    data = os.urandom(300_000)
    where = upload(alice, data, "application/octet-stream", "treaty.bin")
    r = bob.request("GET", f"/_matrix/client/v1/media/download/{where}")
    assert r.status_code == 200 and r.content == data
    assert "treaty.bin" in r.headers["content-disposition"]
    again = bob.request("GET", f"/_matrix/client/v1/media/download/{where}")
    assert again.content == data


def test_thumbnails_are_fetched_from_the_other_server(alice, bob):
    where = upload(alice, png(640, 480), "image/png")
    r = bob.request("GET", f"/_matrix/client/v1/media/thumbnail/{where}",
                    params={"width": 96, "height": 96, "method": "crop"})
    assert r.status_code == 200 and r.headers["content-type"].startswith("image/"), r.text
    assert 0 < len(r.content) < 640 * 480


def test_a_file_that_is_not_there_is_not_found(bob, host):
    bob.fails(404, "M_NOT_FOUND", "GET", f"/_matrix/client/v1/media/download/{host.name}/nothing")


def test_history_of_a_thousand_events_is_read(bob, host, long_histories):
    room, sent = long_histories(host)
    bob.join(room, via=[host.name])
    found, token = [], {"from": bob.sync()["next_batch"]}
    deadline = time.monotonic() + 100
    while sent[0] not in found:
        assert time.monotonic() < deadline and "from" in token, f"{len(found)} events, then no more"
        page = bob.messages(room, limit=100, **token)
        found += [e["event_id"] for e in page["chunk"]]
        token = {"from": page["end"]} if "end" in page else {}
    assert [i for i in found if i in set(sent)] == sent[::-1]


def test_a_day_is_found_in_the_others_history(alice, bob, host, room):
    sent = [alice.send(room, f"message {n}") for n in range(30)]
    when = alice.event(room, sent[5])["origin_server_ts"]
    bob.join(room, via=[host.name])
    path = f"/_matrix/client/v1/rooms/{q(room)}/timestamp_to_event"
    found = bob.get(path, params={"ts": when, "dir": "f"})
    assert abs(found["origin_server_ts"] - when) < 1000 and found["event_id"] in sent


@pytest.mark.parametrize("version", ["6", "10", "11", "12"])
def test_a_partition_heals(alice, bob, host, guest, network, version):
    carol, dave = host.user("carol"), guest.user("dave")
    levels = {bob.user_id: 50, **({} if version == "12" else {alice.user_id: 100})}
    room = alice.create_room(preset="public_chat", room_version=version,
                             power_level_content_override={"users": levels})
    for c in bob, carol, dave:
        c.join(room, via=[host.name])
    eventually(lambda: membership(alice, room, dave) == "join")
    eventually(lambda: same_state(room, alice, bob))

    network.part([host], [guest])
    sent = [alice.send(room, f"here {n}") for n in range(15)]
    alice.send_state(room, "m.room.topic", {"topic": "of the host"})
    alice.ban(room, dave)
    sent += [dave.send(room, f"there {n}") for n in range(15)]
    bob.send_state(room, "m.room.topic", {"topic": "of the guest"})
    bob.kick(room, carol)
    levels = alice.state(room, "m.room.power_levels")
    alice.send_state(room, "m.room.power_levels", {**levels, "events": {"m.room.name": 100}})
    eve = guest.user("eve")
    eve.join(room)
    sent.append(eve.send(room, "I have come"))
    network.heal()

    for c in alice, bob:  # a first message, so that each gets the other's extremity
        sent.append(c.send(room, "again"))
    for c in alice, bob:
        eventually(lambda: has_event(c, room, sent[-1]) and has_event(c, room, sent[-2]), 60)
    eventually(lambda: same_state(room, alice, bob), 60)
    assert membership(alice, room, dave) == "ban"
    assert membership(alice, room, eve) == "join"


def test_messages_sent_during_a_cut_arrive(alice, bob, joined, host, guest, network):
    network.part([host], [guest])
    sent = [c.send(joined, f"{c.user_id} {n}") for n in range(30) for c in (alice, bob)]
    network.heal()
    last = [c.send(joined, "again") for c in (alice, bob)]
    for c in alice, bob:
        eventually(lambda: set(last) <= set(history(c, joined)), 60)
    for c in alice, bob:
        eventually(lambda: set(sent) <= set(history(c, joined)), 60)

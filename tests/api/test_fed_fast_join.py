"""Fast joins (server-server-api, send_join, omit_members): the joining user reads and sends before
the member list has arrived; it is fetched in the background, also after a restart."""

import threading

import pytest

import pdus
from federation import has_event, membership
from remote import FED, q
from waiting import eventually


def members(client, room, **options):
    return client.get(f"/rooms/{q(room)}/joined_members", **options)["joined"]


class Gate:
    """Holds back the fake server's answers to /state until it is opened."""

    def __init__(self, remote):
        self.opened = threading.Event()
        self.asked = threading.Event()
        remote.on("GET", f"{FED}/v1/state/", self.answer)

    def answer(self, request):
        self.asked.set()
        return None if self.opened.is_set() else (503, {"errcode": "M_UNKNOWN", "error": "later"})


@pytest.mark.parametrize("version", ["1", "6", "11", "12"])
def test_reading_and_sending_before_the_members_are_known(two, remote, version):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    gate = Gate(remote)
    room = remote.create_room(carol, version, members=20,
                              state=[("m.room.name", "", {"name": "Big"})])
    alice.join(room.id, via=[remote.name])
    assert remote.seen("PUT", f"{FED}/v2/send_join/")[0].query["omit_members"] == ["true"]
    assert alice.state(room.id, "m.room.name") == {"name": "Big"}
    assert room.id in alice.sync()["rooms"]["join"]
    hello = alice.send(room.id, "hello")
    remote.wait_for(lambda: hello in remote.pdu_ids(version))
    back = remote.send(room, carol, "welcome", to=[a.name])
    eventually(lambda: has_event(alice, room.id, back))
    # an omitted member sends an event, which is accepted
    other = remote.send(room, remote.user("member-7"), "me too", to=[a.name])
    eventually(lambda: has_event(alice, room.id, other))
    answers = []
    waits = threading.Thread(target=lambda: answers.append(members(alice, room.id)))
    waits.start()
    a.wait_until_parked()
    assert not answers  # a request for the members waits
    gate.opened.set()
    waits.join(40)
    assert set(answers[0]) == set(room.members())
    assert len(alice.get(f"/rooms/{q(room.id)}/members")["chunk"]) == 22


def test_the_server_itself_is_in_the_room_though_it_does_not_say_so(two, remote):
    from remote_answers import send_join

    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    gate = Gate(remote)
    room = remote.create_room(carol, "11", members=3)

    @remote.on("PUT", f"{FED}/v2/send_join/")
    def answer(request):
        reply = send_join(remote, request, room.id, "")
        del reply["servers_in_room"]
        return 200, reply

    alice.join(room.id, via=[remote.name])
    hello = alice.send(room.id, "hello")
    remote.wait_for(lambda: hello in remote.pdu_ids("11"))
    gate.opened.set()
    assert len(members(alice, room.id)) == 5


def test_concurrent_changes_win(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    gate = Gate(remote)
    room = remote.create_room(carol, "11", members=10)
    gone, renamed = remote.user("member-1"), remote.user("member-2")
    alice.join(room.id, via=[remote.name])
    gate.asked.wait(20)
    remote.set_member(room, gone, gone, "leave", to=[a.name])
    remote.set_member(room, renamed, renamed, "join", to=[a.name], displayname="New")
    busy = remote.user("member-3")  # sends many events, and then leaves
    events = [remote.event(room, busy, "m.room.message", {"msgtype": "m.text", "body": str(n)})[1]
              for n in range(3)]
    events.append(remote.event(room, busy, "m.room.member", {"membership": "leave"}, busy)[1])
    remote.deliver(room, events, to=[a.name])
    last = remote.send(room, carol, "done", to=[a.name])
    eventually(lambda: has_event(alice, room.id, last))
    gate.opened.set()
    listed = members(alice, room.id)
    assert gone not in listed and busy not in listed and listed[renamed]["display_name"] == "New"
    assert set(listed) == set(room.members())


def test_completion_survives_a_restart(ministries, remote):
    a = ministries()
    alice, carol = a.user("alice"), remote.user("carol")
    gate = Gate(remote)
    room = remote.create_room(carol, "12", members=30)
    alice.join(room.id, via=[remote.name])
    gate.asked.wait(20)
    a.kill()
    a.start()
    hello = alice.send(room.id, "still here")
    remote.wait_for(lambda: hello in remote.pdu_ids("12"))
    gate.opened.set()
    assert set(members(alice, room.id)) == set(room.members())


def test_another_server_completes_when_the_first_is_gone(ministries, remotes):
    a, one, other = ministries(), remotes(), remotes()
    alice, carol, dave = a.user("alice"), one.user("carol"), other.user("dave")
    gate = Gate(one)
    room = one.create_room(carol, "11", members=10)
    theirs = other.join(one.name, room.id, dave)
    alice.join(room.id, via=[one.name])
    gate.asked.wait(20)
    for e in [room.events[i] for i in room.order]:  # the other server has our join, too
        theirs.add(e)
    theirs.state_before[room.state["m.room.member", alice.user_id]] = {
        k: i for k, i in room.state.items() if k[1] != alice.user_id}
    one.link.cut()
    assert set(members(alice, room.id)) == set(room.members())


def test_forged_members_are_left_out(two, remote):
    a, _ = two
    alice, carol = a.user("alice"), remote.user("carol")
    room = remote.create_room(carol, "11", members=5)

    def answer(request):
        from remote_answers import whole_state

        before = room.state_at(request.query["event_id"][0])
        events, chain = whole_state(room, before)
        forged = room.build("@mallory:elsewhere.test", "m.room.member", {"membership": "join"},
                            "@mallory:elsewhere.test", state=before)
        events = [*events, {**remote.sign(room, forged), "signatures": {
            "elsewhere.test": {"ed25519:1": "A" * 86}}}]
        return 200, {"pdus": events, "auth_chain": chain}

    remote.on("GET", f"{FED}/v1/state/", answer)
    alice.join(room.id, via=[remote.name])
    assert set(members(alice, room.id)) == set(room.members())


def test_serving_a_fast_join(two, remote):
    a, _ = two
    users = [a.user(f"u{n}") for n in range(8)]
    room = users[0].create_room(preset="public_chat", name="Big")
    for u in users[1:]:
        u.join(room)
    carol = remote.user("carol")
    theirs = remote.join(a.name, room, carol, omit_members=True)
    reply = theirs.join_reply
    assert reply["members_omitted"] is True and reply["servers_in_room"] == [a.name]
    assert not [e for e in reply["state"] if e["type"] == "m.room.member"]
    have = {pdus.event_id(e, "12") for e in reply["state"]}
    chain = {pdus.event_id(e, "12") for e in reply["auth_chain"]}
    assert not have & chain
    for e in reply["state"] + reply["auth_chain"] + [reply["event"]]:
        assert set(pdus.ids_of(e["auth_events"])) <= have | chain
    i = pdus.event_id(reply["event"], "12")
    whole = remote.get(a.name, f"{FED}/v1/state/{q(room)}?event_id={q(i)}")
    assert len([e for e in whole["pdus"] if e["type"] == "m.room.member"]) == 8


def test_a_room_without_a_name_has_heroes(two, remote):
    a, _ = two
    users = [a.user(f"u{n}") for n in range(8)]
    room = users[0].create_room(preset="public_chat")
    for u in users[1:]:
        u.join(room)
    theirs = remote.join(a.name, room, remote.user("carol"), omit_members=True)
    listed = {e["state_key"] for e in theirs.join_reply["state"] if e["type"] == "m.room.member"}
    assert listed == {u.user_id for u in users[:5]}


def test_between_two_of_ours(two):
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    others = [a.user(f"u{n}") for n in range(12)]
    room = alice.create_room(preset="public_chat")
    for u in others:
        u.join(room)
    bob.join(room, via=[a.name])
    hello = bob.send(room, "hello")
    eventually(lambda: has_event(alice, room, hello))
    assert set(members(bob, room)) == {u.user_id for u in [alice, bob, *others]}
    assert membership(bob, room, others[3]) == "join"

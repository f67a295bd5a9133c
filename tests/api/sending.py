"""Helpers for tests of the sender: a fake server in one of our rooms, and what it was sent."""

import threading

import pdus
from waiting import eventually

SEND = "/_matrix/federation/v1/send/"


def enter(remote, ministry, client, local="carol", room=None, version="12"):
    """A public room of the client's that a user of the remote has joined: (room id, user)."""
    room = room or client.create_room(preset="public_chat", room_version=version)
    user = remote.user(local)
    remote.join(ministry.name, room, user)
    return room, user


def event_ids(request, version="12"):
    return [pdus.event_id(p, version) for p in request.body["pdus"]]


def transactions(remote):
    return remote.seen("PUT", SEND)


def got(remote):
    """The ids of all events that the remote accepted, in the order of first arrival."""
    return list(dict.fromkeys(remote.pdu_ids()))


def wait_for_event(remote, event_id, seconds=20):
    eventually(lambda: event_id in got(remote), seconds)


class Gate:
    """Holds back the remote's answers to transactions until it is opened."""

    def __init__(self, remote):
        self.open = threading.Event()
        self.came = threading.Event()
        remote.on("PUT", SEND, self._answer)

    def _answer(self, request):
        self.came.set()
        self.open.wait(50)


class Failing:
    """Answers the next transactions with a status; `refused` lists them."""

    def __init__(self, remote, times, status=500):
        self.left, self.status, self.refused = times, status, []
        remote.on("PUT", SEND, self._answer)

    def _answer(self, request):
        if self.left <= 0:
            return None
        self.left -= 1
        self.refused.append(request)
        return self.status, {"errcode": "M_UNKNOWN", "error": "not today"}

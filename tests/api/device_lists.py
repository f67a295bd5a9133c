"""What device_lists of a sync reply says, and a user of the fake remote server whose devices change
(test_fed_device_lists.py, test_fed_e2ee_moves.py)."""

from e2ee import SigningKey, b64, query
from remote import FED
from waiting import eventually


def share_room(host, guest):
    room = host.create_room(preset="public_chat")
    guest.join(room, via=[host.server.name])
    eventually(lambda: host.state(room, "m.room.member", guest.user_id)["membership"] == "join")
    return room


def devices_of(client, user):
    """The user's devices as they were uploaded."""
    r = query(client, getattr(user, "user_id", user))
    assert r["failures"] == {}
    found = r["device_keys"].get(getattr(user, "user_id", user), {})
    for keys in found.values():
        if not keys["unsigned"]:  # always present: the device's name, if it is sent
            del keys["unsigned"]
    return found


def device_change_of(user):
    """For sync_until: the reply says that the keys of this user changed."""
    user = getattr(user, "user_id", user)
    return lambda reply: user in reply.get("device_lists", {}).get("changed", [])


def lists_of(reply):
    """(changed, left) of a /sync."""
    found = reply.get("device_lists", {})
    return sorted(found.get("changed", [])), sorted(found.get("left", []))


class Carol:
    """A user of the fake remote server with devices that change."""

    def __init__(self, remote, name="carol"):
        self.remote, self.user_id = remote, remote.user(name)
        self.stream, self.devices = 1, {}
        self.send_update()

    def send_update(self, **more):
        self.remote.devices[self.user_id] = {
            "stream_id": self.stream, **more,
            "devices": [{"device_id": i, "keys": k} for i, k in self.devices.items()]}

    def change(self, device, to=None, prev=None, **more):
        """Adds a device, and sends the server an update."""
        before, self.stream = self.stream, self.stream + 1
        self.devices[device] = self.keys(device)
        self.send_update()
        if to:
            self.update(to, device, [before] if prev is None else prev, **more)

    def keys(self, device):
        key = SigningKey()
        return key.sign({
            "user_id": self.user_id, "device_id": device, "algorithms": ["m.olm.v1"],
            "keys": {f"ed25519:{device}": key.public, f"curve25519:{device}": b64(bytes(32))},
        }, self.user_id, device)

    def update(self, to, device, prev, **more):
        self.remote.send_edu(to, "m.device_list_update", {
            "user_id": self.user_id, "device_id": device, "stream_id": self.stream,
            "prev_id": prev, "keys": self.devices.get(device), **more})

    def asked(self):
        """How often the server requested the keys."""
        return len(self.remote.seen("POST", f"{FED}/v1/user/keys/query")) + len(
            self.remote.seen("GET", f"{FED}/v1/user/devices/"))

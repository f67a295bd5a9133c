"""A client of sliding sync, in the deployed and the accepted form, for tests."""

DEPLOYED = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
ACCEPTED = "/_matrix/client/v4/sync"
STATE = [["m.room.create", ""], ["m.room.name", ""]]


def window(*ranges, limit=10, state=STATE, **filters):
    """A list of the deployed form."""
    body = {"timeline_limit": limit, "required_state": state}
    if ranges:
        body["ranges"] = [list(r) for r in ranges]
    return body | ({"filters": filters} if filters else {})


class Sliding:
    """One connection; each call goes on where the last one ended."""

    def __init__(self, client, conn_id=None, accepted=False):
        self.client, self.conn_id, self.accepted, self.pos = client, conn_id, accepted, None

    def body(self, lists, rooms, extensions, pos, timeout):
        body = {}
        for name, value in (("lists", lists), ("room_subscriptions", rooms), ("extensions", extensions),
                            ("conn_id", self.conn_id)):
            if value is not None:
                body[name] = value
        if self.accepted:
            body |= {"timeout": timeout} | ({"pos": pos} if pos else {})
        return body

    def request(self, lists=None, rooms=None, extensions=None, pos=None, timeout=0):
        """The bare response."""
        body = self.body(lists, rooms, extensions, pos, timeout)
        if self.accepted:
            return self.client.request("POST", ACCEPTED, body)
        params = {"timeout": timeout} | ({"pos": pos} if pos else {})
        return self.client.request("POST", DEPLOYED, body, params=params)

    def sync(self, lists=None, rooms=None, extensions=None, pos=None, timeout=0):
        r = self.request(lists, rooms, extensions, pos or self.pos, timeout)
        assert r.status_code == 200, r.text
        reply = r.json()
        self.pos = reply["pos"]
        return reply

    def fails(self, status, errcode, **options):
        r = self.request(**options)
        assert r.status_code == status and r.json()["errcode"] == errcode, r.text


def bodies(room):
    return [e["content"]["body"] for e in room.get("timeline", []) if e["type"] == "m.room.message"]


def state_keys(room):
    return sorted((e["type"], e["state_key"]) for e in room.get("required_state", []))

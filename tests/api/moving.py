"""Users who change each other's membership of one room at random, and what must hold for the room
afterwards. Each request has its sender's intention as its reason, so that an event which does
something else is found."""

from client import q

MEANT = {  # the membership before the request, by the intention
    "join": (None, "leave", "invite", "knock", "join"),
    "leave": ("join", "invite", "knock"),
    "kick": ("join", "invite", "knock"),
    "ban": (None, "leave", "invite", "knock", "join", "ban"),
    "unban": ("ban",),
    "invite": (None, "leave", "knock", "invite"),
    "rename": ("join",),
}
VERBS = ["join"] * 4 + ["leave", "kick", "kick", "ban", "ban", "unban", "unban", "invite", "rename",
                        "levels", "rule", "topic"]


def levels(random, owner, people, version):
    users = {p.user_id: random.choice([0, 50, 75]) for p in people}
    if int(version) < 12:
        users[owner.user_id] = 100
    return {"users": users, "kick": random.choice([25, 50]), "ban": random.choice([25, 50, 75]),
            "invite": random.choice([0, 50]), "state_default": 50,
            "events": {"m.room.power_levels": random.choice([50, 75])}}


def turn(random, room, owner, me, people, version, number):
    """One request: intention, method, path and body. The owner never leaves the room."""
    verb = random.choice([v for v in VERBS if v != "leave" or me is not owner])
    others = [p for p in people if p is not me]
    path, mark = f"/rooms/{q(room)}", f"{verb} {number} of {me.user_id}"
    if verb in ("join", "leave"):
        return mark, "POST", f"{path}/{verb}", {"reason": mark}
    if verb == "rename":
        return mark, "PUT", f"/profile/{q(me.user_id)}/displayname", {"displayname": mark}
    if verb == "levels":
        return mark, "PUT", f"{path}/state/m.room.power_levels/", levels(random, owner, people, version)
    if verb == "rule":
        rule = random.choice(["public", "public", "invite", "knock"])
        return mark, "PUT", f"{path}/state/m.room.join_rules/", {"join_rule": rule}
    if verb == "topic":
        return mark, "PUT", f"{path}/state/m.room.topic/", {"topic": mark}
    body = {"user_id": random.choice(others).user_id, "reason": mark}
    return mark, "POST", f"{path}/{verb}", body


def check_meant(replay, done, refused=()):
    """`done`: the marks of acknowledged requests; `refused`: the marks of those refused at once."""
    before, marks = {}, []
    for event in replay.events:
        if event["type"] != "m.room.member":
            continue
        user, content = event["state_key"], event["content"]
        mark = content.get("reason", "rename")
        if before or event["sender"] != user:
            assert before.get(user) in MEANT[mark.split()[0]], f"{before.get(user)} and then {event}"
        marks.append(mark)
        before[user] = content["membership"]
    for mark in done:
        if mark.split()[0] in ("leave", "kick", "ban", "unban", "invite"):
            assert mark in marks, f"{mark}: acknowledged, and not there"
    assert not set(refused) & set(marks), "what was refused has happened"

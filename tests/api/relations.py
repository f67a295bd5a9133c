"""Events that relate to others, as clients send them."""

from client import q


def relates(rel_type, event, **more):
    return {"m.relates_to": {"rel_type": rel_type, "event_id": event, **more}}


def edit(client, room, event, text, **more):
    content = {"msgtype": "m.text", "body": f"* {text}",
               "m.new_content": {"msgtype": "m.text", "body": text}, **relates("m.replace", event)}
    return client.send(room, {**content, **more})


def in_thread(client, room, root, text):
    return client.send(room, {"msgtype": "m.text", "body": text, **relates("m.thread", root)})


def react(client, room, event, key="👍"):
    return client.send(room, relates("m.annotation", event, key=key), type="m.reaction")


def refer(client, room, event, type="org.example.vote"):
    return client.send(room, relates("m.reference", event), type=type)


def bundled(client, room, event):
    """m.relations of an event."""
    return client.event(room, event)["unsigned"].get("m.relations", {})


def children(client, room, event, *kind, **params):
    path = "/".join(q(x) for x in (event, *kind))
    return client.get(f"/_matrix/client/v1/rooms/{q(room)}/relations/{path}", params=params)


def ids(reply):
    return [e["event_id"] for e in reply["chunk"]]

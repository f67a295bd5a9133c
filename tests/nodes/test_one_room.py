"""Many senders on all nodes write to one room: each message is there once, in its sender's order, and all nodes have
the same timeline."""

import concurrent.futures
import itertools

from client import Client

NODES, SENDERS, EACH = 4, 64, 12


def on(node, client):
    return Client(node, client.user_id, client.token, client.device_id, client.password)


def read_all(client, room):
    """[(event id, sender's number, message's number)] of the whole room, page by page."""
    events, page = [], client.messages(room, dir="f", limit=100)
    while page["chunk"]:
        events += page["chunk"]
        page = client.messages(room, dir="f", limit=100, **{"from": page["end"]}) if "end" in page else {"chunk": []}
    return [(e["event_id"], *map(int, e["content"]["body"].split("."))) for e in events
            if e["type"] == "m.room.message"]


def test_many_senders_in_one_room(clusters):
    nodes = clusters(n=NODES).nodes
    alice = Client(nodes[0]).register("alice")
    room = alice.create_room()
    readers = [on(node, alice) for node in nodes]
    position = readers[-1].sync()["next_batch"]
    senders = [on(node, alice) for node in itertools.islice(itertools.cycle(nodes), SENDERS)]

    def send(number):
        return [(senders[number].send(room, f"{number}.{i}"), number, i) for i in range(EACH)]

    with concurrent.futures.ThreadPoolExecutor(SENDERS) as pool:
        sent = list(itertools.chain.from_iterable(pool.map(send, range(SENDERS))))
    stored = read_all(readers[0], room)
    assert len(stored) == len(set(stored)) == SENDERS * EACH and set(stored) == set(sent)
    for number in range(SENDERS):
        assert [i for _, sender, i in stored if sender == number] == list(range(EACH))
    assert all(read_all(reader, room) == stored for reader in readers[1:])
    newest = readers[-1].sync(since=position, filter='{"room":{"timeline":{"limit":50}}}')
    timeline = [e["event_id"] for e in newest["rooms"]["join"][room]["timeline"]["events"]]
    assert timeline == [event for event, _, _ in stored][-50:]

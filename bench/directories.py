"""Times searches of the user directory and of the published rooms, in a server with many of both.

    CONCORDE_BIN=build/concorde PYTHONPATH=tests/api tests/python.sh bench/directories.py [USERS [ROOMS]]

Users and rooms are put into the database; timed requests go over HTTP, one after the other."""

import sys
import time

from client import Client
from restoring import psql, uri_of
from server import Server

USERS, ROOMS = (int(a) for a in (sys.argv[1:] + ["300000", "50000"][len(sys.argv) - 1:]))
TIMES = 20

# Names of two or three words made of syllables, like real names.
NAME = """CREATE FUNCTION pg_temp.name(n bigint, k int) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(part, '' ORDER BY i) FROM (SELECT i, (ARRAY['du','mon','la','ro','che','mar','tin','be',
        'nard','fon','ta','ne','gi','rard','le','roy','si','ber','na','dia'])
        [1 + abs(hashint8(n * 7 + i)) % 20] || CASE WHEN i % 3 = 2 AND i < k - 1 THEN ' ' ELSE '' END AS part
        FROM generate_series(0, k - 1) i) s $$;"""


def fill_users(uri):
    psql(uri, NAME + f"""
        INSERT INTO users (id, user_id) SELECT 1000000 + n, '@' || translate(pg_temp.name(n, 4), ' ', '.') || n ||
            ':test.example' FROM generate_series(1, {USERS}) n;
        INSERT INTO accounts ("user", created_ts) SELECT id, 0 FROM users WHERE id > 1000000;
        INSERT INTO profiles ("user", fields, position, search_name)
            SELECT id, convert_to(json_build_object('displayname', name)::text, 'UTF8'), 0, name
            FROM (SELECT id, pg_temp.name(id - 1000000, 6) AS name FROM users WHERE id > 1000000) u;
        INSERT INTO room_members (room, "user", membership, event, is_local)
            SELECT room, id, 1, event, true FROM users, (SELECT room, event FROM room_members LIMIT 1) m
            WHERE id > 1000000;
        ANALYZE users; ANALYZE accounts; ANALYZE profiles; ANALYZE room_members;""")


def fill_rooms(uri, template):
    """Copies of a room, each with a name event of its own."""
    of = f"(SELECT id FROM rooms WHERE room_id = '{template}')"
    name = f"(SELECT event FROM room_state s JOIN events e ON e.position = s.event WHERE s.room = {of} AND " \
           "position('\"type\":\"m.room.name\"'::bytea IN e.json) > 0)"
    psql(uri, NAME + f"""
        INSERT INTO rooms (id, room_id, room_version, version, depth, extremities, notify_total, highlight_total,
            is_published) SELECT 1000000 + n, '!bench' || n || ':test.example', '11', version, depth, extremities,
            notify_total, highlight_total, true FROM rooms, generate_series(1, {ROOMS}) n WHERE id = {of};
        INSERT INTO events (position, room, sender, type, thread, notify_total, highlight_total, is_state, event_id,
            json) SELECT -n, 1000000 + n, sender, type, thread, notify_total, highlight_total, is_state,
            decode(lpad(to_hex(n), 64, '0'), 'hex'), convert_to(replace(convert_from(json, 'UTF8'), 'the name',
            pg_temp.name(n, 7)), 'UTF8') FROM events, generate_series(1, {ROOMS}) n WHERE position = {name};
        INSERT INTO room_state (room, type, state_key, event, valid_from, valid_to) SELECT 1000000 + n, type,
            state_key, CASE WHEN event = {name} THEN -n ELSE event END, valid_from, valid_to
            FROM room_state, generate_series(1, {ROOMS}) n WHERE room = {of};
        INSERT INTO room_members (room, "user", membership, event, is_local) SELECT 1000000 + n, "user", membership,
            event, is_local FROM room_members, generate_series(1, {ROOMS}) n WHERE room = {of};
        ANALYZE rooms; ANALYZE events; ANALYZE room_state; ANALYZE room_members;""")


def timed(what, call):
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        found = call()
        times.append(1000 * (time.perf_counter() - began))
    times.sort()
    print(f"| {what} | {found} found | p50 {times[TIMES // 2]:.1f} ms | worst {times[-1]:.1f} ms |", flush=True)


def first(what, call):
    began = time.perf_counter()
    found = call()
    print(f"| {what}, the first time | {found} found | {1000 * (time.perf_counter() - began):.0f} ms |", flush=True)


def users(alice, term):
    return lambda: len(alice.post("/user_directory/search", {"search_term": term, "limit": 50})["results"])


def rooms(alice, term):
    body = {"filter": {"generic_search_term": term}} if term else {}
    return lambda: alice.post("/publicRooms", body)["total_room_count_estimate"]


def rename(uri, with_grams):
    """Times the server's statement for a new display name, with and without the trigger."""
    on = "ENABLE" if with_grams else "DISABLE"
    psql(uri, f"ALTER TABLE profiles {on} TRIGGER profiles_grams")
    text = psql(uri, "EXPLAIN (ANALYZE, SUMMARY) UPDATE profiles SET search_name = reverse(search_name), fields = "
                     "fields WHERE \"user\" BETWEEN 1000001 AND 1001000")
    psql(uri, "ALTER TABLE profiles ENABLE TRIGGER profiles_grams")
    ms = float(text.split("Execution Time: ")[1].split()[0])
    print(f"| a display name changes, {'with' if with_grams else 'without'} its parts | {1000 * ms / 1000:.0f} µs |",
          flush=True)


def main():
    server = Server({"log_level": "info"}).start()
    try:
        alice, owner, uri = Client(server).register("alice"), Client(server).register("owner"), uri_of(server)
        alice.create_room(preset="public_chat")
        fill_users(uri)
        template = owner.create_room(preset="public_chat", name="the name", topic="All about it",
                                     room_version="11")
        fill_rooms(uri, template)
        for term in "a", "fon", "martin", "laroche berna", "dumonlarochemartin", "zzz":
            timed(f"user directory, \"{term}\"", users(alice, term))
        for with_grams in False, True:
            rename(uri, with_grams)
        first("published rooms", rooms(alice, ""))
        for term in "", "a", "fon", "martin", "laroche berna", "zzz":
            timed(f"published rooms, \"{term}\"", rooms(alice, term))
    finally:
        server.close()


main()

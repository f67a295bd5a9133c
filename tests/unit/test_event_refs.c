/* The list of what refers to an event (storage/rooms/event_refs.h), against the database. */
#include "storage/rooms/event_refs.h"

#include "check.h"
#include "node_fixture.h"
#include "pg_fixture.h"

/* No position of the log stands in a column of this name. */
static const char *const other_names[] = {
    "batch",
    "bytes",
    "client_device",
    "completed",
    "content",
    "count",
    "creator",
    "depth",
    "device",
    "epoch",
    "etag",
    "fence",
    "first_message_index",
    "forwarded_count",
    "highlight_total",
    "id",
    "members",
    "node",
    "notify_total",
    "number",
    "parked",
    "previous_number",
    "ref",
    "reporter",
    "room",
    "sender",
    "signer",
    "source",
    "stream_id",
    "stream_offset",
    "target",
    "touched",
    "type",
    "uploader",
    "user",
    "uses_allowed",
    "version",
};

/* Positions at which something happened, whatever event that was: they stay, also if an event that
 * stands there is deleted. */
static const char *const other_positions[] = {
    "account_data.position",
    "accounts.erased_at",
    "accounts.position",
    "destinations.sent_position",
    "device_changes.position",
    "device_key_changes.position",
    "device_list_changes.position",
    "federation_set_aside.position",
    "log_batches.first",
    "log_batches.last",
    "log_epochs.begins",
    "log_epochs.history_begins",
    "log_head.position",
    "log_times.position",
    "nodes.head",
    "nodes.position",
    "presence.valid_until",
    "presence.position",
    "profiles.position",
    "pushers.sent_position",
    "push_slices.position",
    "receipts.position",
    "remote_device_lists.complete_at",
    "room_members.since",
    "room_state.valid_from",
    "room_state.valid_to",
    "rooms.entered",
    "rooms.noted",
    "search_cursor.position",
    "search_cursor.remake_below",
    "search_forgetting.position",
    "search_ranges.first",
    "search_ranges.last",
    "state_refs.base",
    "to_device.position",
    "to_device_contents.position",
    "to_device_outbound.position",
    "user_signature_changes.position",
    /* the event itself, and a reference to another row of the same table */
    "events.position",
    "state_refs.parent",
};

static bool is_among(const char *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

static bool is_other_name(const char *column)
{
    size_t n = strlen(column);
    return is_among(other_names, sizeof other_names / sizeof *other_names, column) ||
           strcmp(column, "ts") == 0 ||
           (n > 3 && (strcmp(column + n - 3, "_ts") == 0 || strcmp(column + n - 3, "_ms") == 0));
}

static bool is_reference(const char *table, const char *column)
{
    size_t n;
    const struct event_ref *refs = event_refs(&n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(refs[i].table, table) == 0 && strcmp(refs[i].column, column) == 0)
            return true;
    return false;
}

static PGresult *query(PGconn *pg, const char *sql)
{
    PGresult *r = PQexec(pg, sql);
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQresultErrorMessage(r));
    return r;
}

static void test_every_column_is_a_reference_or_known_to_be_none(void **state)
{
    PGconn *pg;
    NO_ERR(db_connect(pg_uri(), &pg));
    PGresult *r = query(pg, "SELECT c.relname, a.attname FROM pg_class c "
                            "JOIN pg_attribute a ON a.attrelid = c.oid "
                            "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' "
                            "AND a.attnum > 0 AND a.atttypid IN ('int8'::regtype, "
                            "'int8[]'::regtype) AND NOT a.attisdropped");
    size_t refs_n, found = 0, bad = 0, positions = 0;
    event_refs(&refs_n);
    for (int i = 0; i < PQntuples(r); i++) {
        const char *table = PQgetvalue(r, i, 0), *column = PQgetvalue(r, i, 1);
        char name[200];
        snprintf(name, sizeof name, "%s.%s", table, column);
        bool is_position =
            is_among(other_positions, sizeof other_positions / sizeof *other_positions, name);
        if (is_reference(table, column))
            found++;
        else if (is_position)
            positions++;
        else if (!is_other_name(column)) {
            print_error("%s: does it refer to an event? See storage/rooms/event_refs.h\n", name);
            bad++;
        }
    }
    PQclear(r);
    PQfinish(pg);
    assert_int_equal(bad, 0);
    assert_int_equal(found, refs_n); /* no table of the list is gone */
    assert_int_equal(positions, sizeof other_positions / sizeof *other_positions);
}

/* ---- moving ---- */

#define ALICE "@alice:test.example"

/* Makes one row of each table refer to the position v.place. */
static const struct {
    const char *table, *column, *sql;
} makers[] = {
    {"event_states", "event", "INSERT INTO event_states (event, ref) SELECT place, 1 FROM v"},
    {"events", "thread",
     "INSERT INTO events (position, room, sender, type, thread, notify_total, highlight_total, "
     "is_state, event_id, json) "
     "SELECT v.place - 1000, v.room, 1, 3, v.place, 0, 0, false, int8send(v.place), '{}' FROM v"},
    {"push_actions", "thread",
     "INSERT INTO push_actions (\"user\", room, event, thread, notify, highlight) "
     "SELECT 1, room, place, place, 1, 0 FROM v"},
    {"receipts", "event",
     "INSERT INTO receipts (room, \"user\", type, thread, event_id, event, ts, position) "
     "SELECT room, 1, 1, place::text, '$x', place, 0, 1 FROM v"},
    {"room_members", "event",
     "UPDATE room_members m SET event = v.place FROM v WHERE m.room = v.room AND m.\"user\" = "
     "(SELECT id FROM users WHERE user_id = '" ALICE "')"},
    {"room_state", "event",
     "UPDATE room_state s SET event = v.place FROM v WHERE s.room = v.room AND s.type = 1 "
     "AND s.state_key = '" ALICE "'"},
    {"state_ref_entries", "event",
     "INSERT INTO state_ref_entries (ref, type, state_key, event) "
     "SELECT -place, 1, '" ALICE "', place FROM v"},
};

static void make_reference(struct arena *a, const char *table, const char *column, int64_t place,
                           int64_t room)
{
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++)
        if (strcmp(makers[i].table, table) == 0 && strcmp(makers[i].column, column) == 0) {
            NO_ERR(pg_command(pg_uri(),
                              arena_printf(a, "WITH v(place, room) AS (VALUES (%lld, %lld)) %s",
                                           (long long)place, (long long)room, makers[i].sql)));
            return;
        }
    fail_msg("%s.%s moves, and this test has no row for it", table, column);
}

static int64_t count(PGconn *pg, struct arena *a, const char *table, const char *column,
                     int64_t place)
{
    PGresult *r = query(pg, arena_printf(a, "SELECT count(*) FROM %s WHERE \"%s\" = %lld", table,
                                         column, (long long)place));
    int64_t n = atoll(PQgetvalue(r, 0, 0));
    PQclear(r);
    return n;
}

static void check_moved(struct arena *a, int64_t from, int64_t to)
{
    PGconn *pg;
    size_t n;
    const struct event_ref *refs = event_refs(&n);
    NO_ERR(db_connect(pg_uri(), &pg));
    assert_int_equal(count(pg, a, "events", "position", to), 1);
    for (size_t i = 0; i < n; i++) {
        if (!refs[i].move)
            continue;
        print_message("%s.%s\n", refs[i].table, refs[i].column);
        assert_int_equal(count(pg, a, refs[i].table, refs[i].column, from), 0);
        assert_int_equal(count(pg, a, refs[i].table, refs[i].column, to), 1);
    }
    PQfinish(pg);
}

/* A member event off the timeline, to which every column of the list refers. */
static struct stored_event make_outlier(struct job *job, struct room *room, int64_t ts)
{
    struct stored_event e = {.room = room->id, .type = TYPE_MEMBER, .is_state = true};
    const struct event_template t = {.room_id = room->room_id,
                                     .type = "m.room.member",
                                     .sender = ALICE,
                                     .state_key = ALICE,
                                     .content = STR("{\"membership\":\"join\"}"),
                                     .origin_server_ts = ts};
    struct event *built;
    const int64_t *place;
    size_t n;
    NO_ERR(event_build(room->version, &t, "test.example", &node_store()->keys->current, &built));
    e.event = event_keep(job->arena, built);
    NO_ERR(events_reserve(job_tx(job), false, 1, &place));
    e.position = place[0];
    e.status = EVENT_OUTLIER;
    struct write *w = write_begin(job);
    events_write_at(w, &e);
    NO_ERR(write_commit(job, w, NULL));
    const struct event_ref *refs = event_refs(&n);
    for (size_t i = 0; i < n; i++)
        if (refs[i].move)
            make_reference(job->arena, refs[i].table, refs[i].column, e.position, room->id);
    return e;
}

static void test_references_follow_an_event_that_moves(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct job job;
    int64_t from, position;
    job_init(&job, node_store(), a);
    struct author alice = author_named(ALICE);
    struct room *room = room_named(&job, create_public_room(&job, &alice, "11"));

    struct stored_event e = make_outlier(&job, room, 1);
    from = e.position;
    e.position = -7;
    e.status = EVENT_NORMAL;
    struct write *w = write_begin(&job);
    events_move(w, &e, from, 0);
    NO_ERR(write_commit(&job, w, NULL));
    check_moved(a, from, -7);

    e = make_outlier(&job, room, 2);
    w = write_begin(&job);
    int at = write_change(w, &(struct change){.kind = CHANGE_PROFILE, .user = alice.user});
    events_move(w, &e, e.position, at);
    NO_ERR(write_commit(&job, w, &position));
    check_moved(a, e.position, position);
    job_finish(&job);
}

int main(void)
{
    pg_uri();
    node_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_column_is_a_reference_or_known_to_be_none),
        cmocka_unit_test(test_references_follow_an_event_that_moves),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    node_end();
    return failed;
}

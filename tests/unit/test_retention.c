/* The removal of old rows (storage/rooms/retention.h). */
#include "storage/devices/key_backup.h"
#include "storage/rooms/retention.h"

#include "check.h"
#include "pg_fixture.h"

#define HOUR_MS (INT64_C(3600) * 1000)
#define DAY_MS (24 * HOUR_MS)

static struct arena *arena;
static struct tx tx;

static int set_up(void **state)
{
    arena = arena_create();
    tx_init(&tx, pg_db(), arena);
    NO_ERR(pg_command(pg_uri(), "TRUNCATE log_times, event_txns, push_actions, receipts"));
    return 0;
}

static int tear_down(void **state)
{
    tx_finish(&tx);
    arena_destroy(arena);
    return 0;
}

static void run(const char *sql)
{
    NO_ERR(pg_command(pg_uri(), sql));
}

/* Fails unless the query's condition holds. */
static void holds(const char *condition)
{
    char *sql = arena_printf(arena, "SELECT 1 / (%s)::int", condition);
    const struct err *e = pg_command(pg_uri(), sql);
    if (e)
        fail_msg("not so: %s", condition);
}

static void test_times_are_noted_once_an_hour_and_forgotten(void **state)
{
    int64_t now = 1000 * DAY_MS, position;
    run("UPDATE log_head SET position = 70");
    NO_ERR(log_times_note(&tx, now));
    run("UPDATE log_head SET position = 80");
    NO_ERR(log_times_note(&tx, now + HOUR_MS - 1));
    holds("(SELECT count(*) = 1 FROM log_times)");
    NO_ERR(log_times_note(&tx, now + HOUR_MS));
    NO_ERR(log_times_position(&tx, now - 1, &position));
    assert_int_equal(position, 0);
    NO_ERR(log_times_position(&tx, now + 5, &position));
    assert_int_equal(position, 70);
    NO_ERR(log_times_position(&tx, now + 2 * HOUR_MS, &position));
    assert_int_equal(position, 80);
    run("UPDATE log_head SET position = 90");
    NO_ERR(log_times_note(&tx, now + 100 * DAY_MS));
    holds("(SELECT count(*) = 2 AND min(position) = 80 FROM log_times)");
}

static void test_transaction_ids_go_by_age(void **state)
{
    int64_t now = 1000 * DAY_MS;
    struct push_actions_place place = {0};
    run("INSERT INTO event_txns SELECT 1, int8send(n), n FROM generate_series(1, 9000) n");
    run("UPDATE log_head SET position = 7000");
    NO_ERR(retention_sweep(&tx, now, &place));
    holds("(SELECT count(*) = 9000 FROM event_txns)");
    NO_ERR(retention_sweep(&tx, now + (RETENTION_TXNS_DAYS - 1) * DAY_MS, &place));
    holds("(SELECT count(*) = 9000 FROM event_txns)");
    NO_ERR(retention_sweep(&tx, now + RETENTION_TXNS_DAYS * DAY_MS, &place));
    holds("(SELECT count(*) = 2000 AND min(event) = 7001 FROM event_txns)");
}

static void test_keys_of_backups_that_are_gone_go_in_parts(void **state)
{
    run("INSERT INTO key_backups (\"user\", version, algorithm, auth_data) "
        "SELECT u, v, 'a', '' FROM generate_series(1, 2) u, generate_series(1, 2) v");
    run("INSERT INTO key_backup_sessions SELECT u, v, 'r', n, 0, 0, false, '' "
        "FROM generate_series(1, 2) u, generate_series(1, 2) v, generate_series(1, 3000) n");
    NO_ERR(key_backup_delete(&tx, 1, 2));
    NO_ERR(key_backup_delete(&tx, 1, 2)); /* again */
    holds("(SELECT deleted AND count = 0 FROM key_backups WHERE \"user\" = 1 AND version = 2)");
    holds("(SELECT count(*) = 12000 FROM key_backup_sessions)"); /* its transaction was short */
    NO_ERR(key_backups_sweep(&tx));
    holds("(SELECT count(*) = 9000 AND bool_and(\"user\" = 2 OR version = 1) "
          "FROM key_backup_sessions)");
    holds("(SELECT count(*) = 0 FROM key_backups_gone)");
}

/* Users 1 to 5 are in room 9, user 6 is not. Actions: event 10 and 20 in the main timeline, 30 in
 * the thread of event 5. */
static void make_actions(void)
{
    run("DELETE FROM room_members");
    run("INSERT INTO room_members (room, \"user\", membership, event, is_local) "
        "SELECT 9, n, CASE WHEN n = 6 THEN 3 ELSE 1 END, 1, true FROM generate_series(1, 6) n");
    run("INSERT INTO push_actions SELECT n, 9, e, CASE WHEN e = 30 THEN 5 ELSE 0 END, 1, 1 "
        "FROM generate_series(1, 6) n, unnest(ARRAY[10, 20, 30]) e");
    run("DELETE FROM events");
    run("INSERT INTO events (position, room, sender, type, thread, notify_total, highlight_total, "
        "is_state, event_id, json) VALUES (5, 9, 1, 3, 0, 0, 0, false, "
        "decode(repeat('fb', 32), 'hex'), '{}')");
    run("INSERT INTO receipts (room, \"user\", type, thread, event_id, event, ts, position) VALUES "
        "(9, 2, 1, '', '$x', 20, 0, 1), (9, 3, 1, 'main', '$x', 15, 0, 1), "
        "(9, 4, 1, '$' || rtrim(translate(encode(decode(repeat('fb', 32), 'hex'), 'base64'), "
        "'+/', '-_'), '='), '$x', 30, 0, 1), (9, 5, 1, '', '$x', 40, 0, 1)");
}

static void test_actions_go_once_they_are_read(void **state)
{
    struct push_actions_place place = {0};
    int64_t n, removed = 0;
    make_actions();
    do {
        NO_ERR(push_actions_remove_read(&tx, 30, &place, 4, &n));
        removed += n;
    } while (place.user);
    assert_int_equal(removed, 2 + 1 + 1 + 3 + 3);
    holds("(SELECT array_agg(event ORDER BY event) = '{10,20,30}' FROM push_actions "
          "WHERE \"user\" = 1)");
    holds("(SELECT array_agg(event) = '{30}' FROM push_actions WHERE \"user\" = 2)");
    holds("(SELECT array_agg(event ORDER BY event) = '{20,30}' FROM push_actions "
          "WHERE \"user\" = 3)");
    holds("(SELECT array_agg(event ORDER BY event) = '{10,20}' FROM push_actions "
          "WHERE \"user\" = 4)");
    holds("(SELECT count(*) = 0 FROM push_actions WHERE \"user\" IN (5, 6))");
}

static void test_young_actions_are_kept(void **state)
{
    struct push_actions_place place = {0};
    int64_t n;
    make_actions();
    NO_ERR(push_actions_remove_read(&tx, 19, &place, 100, &n));
    assert_int_equal(n, 4);
    assert_int_equal(place.user, 0);
    holds("(SELECT min(event) = 20 FROM push_actions WHERE \"user\" = 5)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_times_are_noted_once_an_hour_and_forgotten, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_transaction_ids_go_by_age, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_actions_go_once_they_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_young_actions_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_of_backups_that_are_gone_go_in_parts, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Searches of the directories of users and of published rooms never scan a whole table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pg_fixture.h"
#include "storage/rooms/public_rooms.h"
#include "storage/rooms/rooms.h"
#include "storage/users/user_directory.h"

/* So that its statements are in this program. */
static const void *volatile searched_by[] = {(const void *)&user_directory_search,
                                             (const void *)&public_rooms_read,
                                             (const void *)&rooms_published};

static const char *sql_text(const char *name)
{
    for (const struct sql *s = db_registered_sql(); s; s = s->next)
        if (strcmp(s->name, name) == 0)
            return s->text;
    fail_msg("no statement %s", name);
    return NULL;
}

static void run(PGconn *pg, const char *sql)
{
    PGresult *result = PQexec(pg, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQresultErrorMessage(result));
    PQclear(result);
}

/* Names of two words of hexadecimal digits: each part of one character is in nearly all. */
static void fill(PGconn *pg)
{
    run(pg, "INSERT INTO users (id, user_id) SELECT n, '@' || md5(n::text) || ':test.example' "
            "FROM generate_series(1, 20000) n");
    run(pg, "INSERT INTO accounts (\"user\", created_ts) SELECT id, 0 FROM users");
    run(pg, "INSERT INTO profiles (\"user\", fields, position, search_name) SELECT id, '{}', 0, "
            "left(md5(user_id), 8) || ' ' || right(md5(user_id), 8) FROM users");
    run(pg, "INSERT INTO room_members (room, \"user\", membership, event, is_local) "
            "SELECT 1, id, 1, id, true FROM users");
    run(pg, "INSERT INTO rooms (id, room_id, room_version, version, depth, extremities, "
            "notify_total, highlight_total, is_published) SELECT n, '!' || n, '11', 0, 0, '{}', 0, "
            "0, n % 4 = 0 FROM generate_series(1, 20000) n");
    run(pg, "INSERT INTO events (position, room, sender, type, thread, notify_total, "
            "highlight_total, is_state, event_id, json) SELECT n, 1 + n / 4, 1, 8 + n % 4, 0, 0, "
            "0, true, n::text::bytea, repeat('{}', 200)::bytea FROM generate_series(1, 4000) n");
    run(pg, "INSERT INTO room_state (room, type, state_key, event, valid_from, valid_to) SELECT "
            "room, type, '', position, position, 9223372036854775807 FROM events");
    run(pg, "VACUUM ANALYZE");
}

static void reads_by_keys(PGconn *pg, const char *name, const char *arguments)
{
    char sql[8192];
    snprintf(sql, sizeof sql, "PREPARE s AS %s", sql_text(name));
    run(pg, sql);
    snprintf(sql, sizeof sql, arguments ? "EXPLAIN EXECUTE s(%s)" : "EXPLAIN EXECUTE s", arguments);
    PGresult *plan = PQexec(pg, sql);
    assert_int_equal(PQresultStatus(plan), PGRES_TUPLES_OK);
    for (int i = 0; i < PQntuples(plan); i++)
        if (strstr(PQgetvalue(plan, i, 0), "Seq Scan") &&
            !strstr(PQgetvalue(plan, i, 0), "Seq Scan on room_members")) /* one room has all rows */
            fail_msg("%s(%s): %s", name, arguments, PQgetvalue(plan, i, 0));
    PQclear(plan);
    run(pg, "DEALLOCATE s");
}

static void candidates_by_index(PGconn *pg, const char *words)
{
    char sql[400];
    bool by_index = false;
    snprintf(sql, sizeof sql,
             "EXPLAIN SELECT \"user\" FROM profiles "
             "WHERE grams @> directory_grams_of_words(%s) LIMIT 1000",
             words);
    PGresult *plan = PQexec(pg, sql);
    assert_int_equal(PQresultStatus(plan), PGRES_TUPLES_OK);
    for (int i = 0; i < PQntuples(plan); i++)
        by_index = by_index || strstr(PQgetvalue(plan, i, 0), "profiles_by_grams");
    assert_true(by_index);
    PQclear(plan);
}

static void no_table_is_scanned(void **state)
{
    PGconn *pg;
    for (size_t i = 0; i < sizeof searched_by / sizeof *searched_by; i++)
        assert_non_null(searched_by[i]);
    NO_ERR(migrate(pg_uri(), NULL));
    NO_ERR(db_connect(pg_uri(), &pg));
    fill(pg);
    run(pg, "SELECT 1 / count(*) FROM pg_proc WHERE proname = 'directory_candidates' "
            "AND 'enable_seqscan=off' = ANY(proconfig)");
    run(pg, "SET enable_seqscan = off"); /* as the function does */
    candidates_by_index(pg, "'{0123}'");
    candidates_by_index(pg, "'{a}'");
    candidates_by_index(pg, "'{ab,cd,ef}'");
    run(pg, "RESET enable_seqscan");
    reads_by_keys(pg, "user_directory_near_sql", "1, 2000");
    reads_by_keys(pg, "user_directory_by_id_sql", "'@a:test.example'");
    char arguments[7000];
    int n = snprintf(arguments, sizeof arguments, "1, 'a', 10, '{}', '{}', '{}', '{a}', '{1");
    for (int user = 2; user <= 1000; user++)
        n += snprintf(arguments + n, sizeof arguments - (size_t)n, ",%d", user);
    snprintf(arguments + n, sizeof arguments - (size_t)n, "}'");
    reads_by_keys(pg, "user_directory_sql", arguments);
    reads_by_keys(pg, "public_rooms_sql", "'{4,8,12,16,20}'");
    reads_by_keys(pg, "public_rooms_state_sql", "'{4,8,12,16,20}', '{2,8,9,10,11,12,13,14}'");
    reads_by_keys(pg, "rooms_published_sql", NULL);
    PQfinish(pg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_table_is_scanned)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The user directory reads no table of users from end to end, whatever the term is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pg_fixture.h"
#include "storage/user_directory.h"

/* So that its statements are in this program. */
static const void *const searched_by = (const void *)&user_directory_search;

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
    run(pg, "VACUUM ANALYZE");
}

static void reads_by_keys(PGconn *pg, const char *name, const char *arguments)
{
    char sql[8192];
    snprintf(sql, sizeof sql, "PREPARE s AS %s", sql_text(name));
    run(pg, sql);
    snprintf(sql, sizeof sql, "EXPLAIN EXECUTE s(%s)", arguments);
    PGresult *plan = PQexec(pg, sql);
    assert_int_equal(PQresultStatus(plan), PGRES_TUPLES_OK);
    for (int i = 0; i < PQntuples(plan); i++)
        if (strstr(PQgetvalue(plan, i, 0), "Seq Scan on users") ||
            strstr(PQgetvalue(plan, i, 0), "Seq Scan on profiles") ||
            strstr(PQgetvalue(plan, i, 0), "Seq Scan on accounts"))
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

static void no_table_of_users_is_scanned(void **state)
{
    PGconn *pg;
    assert_non_null(searched_by);
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
    reads_by_keys(pg, "user_directory_meant_sql", "'@a:test.example'");
    char arguments[7000];
    int n = snprintf(arguments, sizeof arguments, "1, 'a', 10, '{}', '{}', '{}', '{a}', '{1");
    for (int user = 2; user <= 1000; user++)
        n += snprintf(arguments + n, sizeof arguments - (size_t)n, ",%d", user);
    snprintf(arguments + n, sizeof arguments - (size_t)n, "}'");
    reads_by_keys(pg, "user_directory_sql", arguments);
    PQfinish(pg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_table_of_users_is_scanned)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

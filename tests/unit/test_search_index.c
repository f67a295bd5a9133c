/* Indexes of older versions are rebuilt in the background: words of messages, display names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pg_fixture.h"

#include "base/clock.h"
#include "node_fixture.h"
#include "rooms/read/search_index.h"
#include "storage/nodes/lease.h"
#include "storage/users/users.h"
#include "waiting.h"

/* The one value that a query returns, "" for none. */
static const char *value_of(const char *sql)
{
    static char value[256];
    PGconn *pg;
    pg_must("connect", db_connect(pg_uri(), &pg));
    PGresult *r = PQexec(pg, sql);
    snprintf(value, sizeof value, "%s", PQntuples(r) ? PQgetvalue(r, 0, 0) : "");
    PQclear(r);
    PQfinish(pg);
    return value;
}

static void wait_until(const char *sql, const char *wanted)
{
    WAIT_UNTIL(strcmp(value_of(sql), wanted) == 0);
}

#define CHECK_STATE(sql, wanted) assert_string_equal(value_of(sql), wanted)
#define OF_OLD_FORM "SELECT count(*) FROM search_index WHERE words @@ 'lundi'::tsquery"
#define OF_OUR_FORM                                                                                \
    "SELECT count(*) FROM search_index WHERE words @@ '''derang'' & ''ecol'''::tsquery"
#define CURSOR "SELECT form || ', ' || coalesce(remake_below, 0) FROM search_cursor"
#define NAMES "SELECT string_agg(coalesce(search_name, '?'), ' ' ORDER BY \"user\") FROM profiles"

static void make_messages(int n)
{
    struct scope s;
    scope_init(&s, node_store());
    struct author author = author_named("@archivist:test.example");
    const char *room = create_public_room(&s.job, &author, "11"), *id;
    for (int i = 0; i < n; i++)
        pg_must("send",
                send_text(&s.job, room, &author, "D\u00e9rang\u00e9es \u00e0 l'\u00c9cole?", &id));
    pg_must("index", search_index_catch_up(&s.job, 10));
    scope_finish(&s);
}

static void make_user(const char *localpart, const char *name)
{
    struct scope s;
    scope_init(&s, node_store());
    int64_t user;
    const char *id;
    pg_must("user",
            users_create(&s.job, &(struct new_account){.localpart = localpart, .displayname = name},
                         &user, &id));
    scope_finish(&s);
}

/* Backfilled events and late redactions are indexed apart from the log. */
static void test_stretches_that_the_log_does_not_name(void **state)
{
    enum { N = 450 }; /* two pages and a half */
    struct scope s;
    scope_init(&s, node_store());
    make_messages(N);
    NO_ERR(pg_command(pg_uri(), "DELETE FROM search_index"));
    NO_ERR(search_index_catch_up(&s.job, 10));
    CHECK_STATE(OF_OUR_FORM, "0");
    NO_ERR(pg_command(pg_uri(), "INSERT INTO search_ranges (room, first, last) "
                                "SELECT room, min(position), max(position) FROM events GROUP BY "
                                "room"));
    NO_ERR(search_index_catch_up(&s.job, 10));
    CHECK_STATE(OF_OUR_FORM, "450");
    CHECK_STATE("SELECT count(*) FROM search_ranges", "0");

    NO_ERR(pg_command(pg_uri(),
                      "UPDATE events SET redacted_by = 1, json = convert_to(regexp_replace("
                      "convert_from(json, 'UTF8'), '\"body\":\"[^\"]*\"', '\"x\":1'), 'UTF8') "
                      "WHERE position = (SELECT max(event) FROM search_index);"
                      "INSERT INTO search_ranges (room, first, last) "
                      "SELECT room, event, event FROM search_index ORDER BY event DESC LIMIT 1"));
    NO_ERR(search_index_catch_up(&s.job, 10));
    CHECK_STATE(OF_OUR_FORM, "449");
    scope_finish(&s);
    NO_ERR(pg_command(pg_uri(), "DELETE FROM search_index"));
}

enum { HOUR_MS = 3600 * 1000 };

/* One round of a node's leases; the indexer follows the log when it has taken its own. */
static void renew_leases(struct leases *l)
{
    struct scope s;
    scope_init(&s, node_store());
    pg_must("leases_renew", leases_renew(l, job_tx(&s.job)));
    scope_finish(&s);
}

static struct leases *leases_of_node(int64_t number)
{
    struct leases *l = leases_create(node_store());
    leases_set_node(l, &(struct lease_settings){.node = number, .lease_ms = HOUR_MS});
    return l;
}

static void test_indexes_of_older_versions(void **state)
{
    enum { N = 250 }; /* more than a page */
    make_messages(N);
    make_user("one", "L\u00e9on");
    make_user("two", "S\u00d8REN");
    CHECK_STATE(OF_OUR_FORM, "250");
    CHECK_STATE(NAMES, "leon soren");

    NO_ERR(pg_command(pg_uri(), "UPDATE search_index SET words = to_tsvector('simple', 'lundi');"
                                "UPDATE search_cursor SET form = '', remake_below = NULL;"
                                "UPDATE profiles SET search_name = NULL"));
    CHECK_STATE(OF_OLD_FORM, "250");
    struct leases *first = node_store()->storage->leases = leases_of_node(1);
    struct search_indexer *x = search_indexer_create(node_store());
    search_indexer_start(x);
    wait_some_rounds();
    CHECK_STATE(OF_OLD_FORM, "250"); /* another node may do so */
    renew_leases(first);
    wait_until(CURSOR, "2 french english, 0");
    CHECK_STATE(OF_OLD_FORM, "0");
    CHECK_STATE(OF_OUR_FORM, "250");
    CHECK_STATE(NAMES, "leon soren");
    search_indexer_stop(x);

    /* After an interruption it continues where it was. */
    NO_ERR(pg_command(pg_uri(),
                      "UPDATE search_index SET words = to_tsvector('simple', 'lundi');"
                      "UPDATE search_cursor SET remake_below = "
                      "(SELECT event FROM search_index ORDER BY event LIMIT 1 OFFSET 99)"));
    struct leases *second = node_store()->storage->leases = leases_of_node(2);
    struct search_indexer *again = search_indexer_create(node_store());
    search_indexer_start(again);
    renew_leases(second);
    wait_until(CURSOR, "2 french english, 0");
    CHECK_STATE(OF_OUR_FORM, "99");
    search_indexer_destroy(x); /* nothing is committed any more */
    search_indexer_destroy(again);
    leases_destroy(first);
    leases_destroy(second);
    node_store()->storage->leases = NULL;
    node_end();
}

int main(void)
{
    node_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stretches_that_the_log_does_not_name),
        cmocka_unit_test(test_indexes_of_older_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

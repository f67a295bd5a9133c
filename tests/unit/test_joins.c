/* Joins that several nodes begin, and PDUs that arrive meanwhile: no server takes all the space. */
#include "storage/servers/joins.h"

#include "check.h"
#include "log_fixture.h"

enum { FIRST = 101, SECOND };

static struct storage storage;
static struct node here = {.storage = &storage};
static struct scope on;
static char bytes[1 << 20];

static void nodes_live(bool first, bool second)
{
    char sql[400];
    snprintf(
        sql, sizeof sql,
        "DELETE FROM nodes; INSERT INTO nodes (id, host, version, started_at, seen_at, "
        "members, position) SELECT n, '', '', now(), now(), 0, 0 FROM unnest('{%s%s%s}'::int[])"
        " AS n",
        first ? "101" : "", first && second ? "," : "", second ? "102" : "");
    NO_ERR(pg_command(pg_uri(), sql));
}

static int set_up(void **state)
{
    storage.db = pg_db();
    log_start(&here, pg_uri());
    scope_init(&on, &here);
    NO_ERR(pg_command(pg_uri(), "TRUNCATE joins, early_pdus"));
    nodes_live(true, true);
    memset(bytes, 'x', sizeof bytes);
    return 0;
}

static int tear_down(void **state)
{
    scope_finish(&on);
    log_stop(&here);
    return 0;
}

/* ---- joins ---- */

static bool take(const char *room_id, int64_t node)
{
    bool taken;
    NO_ERR(joins_take(job_tx(&on.job), room_id, node, &taken));
    return taken;
}

static const struct err *write_as(const char *room_id, int64_t node)
{
    struct write *w = write_begin(&on.job);
    joins_check_write(w, room_id, node);
    return write_commit(&on.job, w, NULL);
}

static void one_node_joins_a_room(void **state)
{
    assert_true(take("!a", FIRST));
    assert_false(take("!a", SECOND));
    assert_true(take("!a", FIRST)); /* its lock keeps two threads apart */
    assert_true(take("!b", SECOND));
    NO_ERR(joins_end(job_tx(&on.job), "!a", SECOND)); /* not its own */
    assert_false(take("!a", SECOND));
    NO_ERR(joins_end(job_tx(&on.job), "!a", FIRST));
    assert_true(take("!a", SECOND));
}

static void a_join_ends_with_its_node(void **state)
{
    const char *const *rooms;
    size_t n;
    assert_true(take("!a", FIRST));
    NO_ERR(write_as("!a", FIRST));
    nodes_live(false, true);
    NO_ERR(write_as("!a", FIRST)); /* no other node has taken it over */
    assert_true(take("!a", SECOND));
    nodes_live(true, true);
    const struct err *e = write_as("!a", FIRST);
    assert_non_null(e);
    assert_int_equal(e->code, ERR_LEASE_LOST);
    NO_ERR(joins_end(job_tx(&on.job), "!a", FIRST));
    NO_ERR(write_as("!a", SECOND));
    NO_ERR(joins_of_node(job_tx(&on.job), SECOND, &rooms, &n));
    assert_int_equal(n, 1);
    assert_string_equal(rooms[0], "!a");
    nodes_live(true, false);
    NO_ERR(joins_end_gone(job_tx(&on.job)));
    NO_ERR(joins_of_node(job_tx(&on.job), SECOND, &rooms, &n));
    assert_int_equal(n, 0);
}

/* ---- PDUs ---- */

static bool keep(const char *room_id, const char *origin, size_t size)
{
    struct str raw = {bytes, size};
    bool kept;
    NO_ERR(early_pdus_keep(job_tx(&on.job), room_id, origin, &raw, 1, &kept));
    return kept;
}

/* How many of that size a server may send, at most 1000. */
static int fill(const char *room_id, const char *origin, size_t size)
{
    int kept = 0;
    while (kept < 1000 && keep(room_id, origin, size))
        kept++;
    return kept;
}

static void pdus_are_kept_during_a_join(void **state)
{
    const struct early_pdu *list;
    const char *const *rooms;
    size_t n;
    struct str two[] = {STR("{1}"), STR("{2}")};
    bool kept;
    assert_false(keep("!a", "one.example", 10));
    assert_true(take("!a", FIRST));
    NO_ERR(early_pdus_keep(job_tx(&on.job), "!a", "one.example", two, 2, &kept));
    assert_true(kept && keep("!a", "two.example", 10));
    NO_ERR(early_pdus_rooms(job_tx(&on.job), 10, &rooms, &n));
    assert_int_equal(n, 0);
    nodes_live(false, true);
    assert_false(keep("!a", "two.example", 10));
    NO_ERR(early_pdus_rooms(job_tx(&on.job), 10, &rooms, &n));
    assert_int_equal(n, 1);
    NO_ERR(early_pdus_list(job_tx(&on.job), rooms[0], 10, &list, &n));
    assert_int_equal(n, 3);
    assert_true(str_is(list[0].raw, "{1}") && str_is(list[1].raw, "{2}"));
    assert_string_equal(list[2].origin, "two.example");
    NO_ERR(early_pdus_delete(job_tx(&on.job), &list[1].id, 1));
    NO_ERR(early_pdus_expire(job_tx(&on.job), INT64_MAX));
    NO_ERR(early_pdus_rooms(job_tx(&on.job), 10, &rooms, &n));
    assert_int_equal(n, 0);
}

static void a_server_does_not_fill_a_room(void **state)
{
    assert_true(take("!a", FIRST));
    int kept = fill("!a", "bad.example", 10);
    assert_in_range(kept, 1, 300);
    assert_true(keep("!a", "good.example", 10));
    fill("!a", "good.example", 10);
    assert_int_equal(fill("!a", "third.example", 10), 0); /* the bound of a room */
}

static void a_server_does_not_fill_all_rooms(void **state)
{
    const struct early_pdu *list;
    size_t kept = 0, n;
    for (int i = 0; i < 10; i++) {
        const char *room_id = arena_printf(on.arena, "!%d", i);
        assert_true(take(room_id, FIRST));
        kept += (size_t)fill(room_id, "bad.example", sizeof bytes);
    }
    assert_in_range(kept, 1, 8);
    assert_true(keep("!0", "good.example", sizeof bytes));
    NO_ERR(early_pdus_list(job_tx(&on.job), "!0", 1, &list, &n));
    NO_ERR(early_pdus_delete(job_tx(&on.job), &list[0].id, 1)); /* no longer counts */
    assert_true(keep("!1", "bad.example", sizeof bytes));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_node_joins_a_room),
        TEST(a_join_ends_with_its_node),
        TEST(pdus_are_kept_during_a_join),
        TEST(a_server_does_not_fill_a_room),
        TEST(a_server_does_not_fill_all_rooms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

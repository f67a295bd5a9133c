/* Which reads a replica would get. That it answers them is tested with a real standby
 * (tests/nodes/test_replica.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pg_fixture.h"

#include "tx_scope.h"

SQL(one_sql, "SELECT 1")

struct scene {
    struct db *db;
    struct scope s;
};

static void scene_init(struct scene *c, const char *replica)
{
    pg_db(); /* migrates */
    NO_ERR(db_open(pg_uri(), 2, &c->db));
    NO_ERR(db_use_replica(c->db, replica, 2));
    scope_init(&c->s, c->db);
    c->s.tx.may_lag = true;
}

static void scene_finish(struct scene *c)
{
    scope_finish(&c->s);
    db_close(c->db);
}

static void read_one(struct scene *c)
{
    int64_t one = 0;
    NO_ERR(db_one(&c->s.tx, &one_sql, NO_PARAMS, NULL, R(INT_OUT(&one))));
    assert_int_equal(one, 1);
}

static int64_t counted(struct scene *c, const char *name)
{
    buf_auto struct buf metrics = {0};
    db_add_metrics(c->db, &metrics);
    const char *at = strstr(buf_str(&metrics).p, name);
    assert_non_null(at);
    return atoll(at + strlen(name));
}

#define READS "\nconcorde_replica_reads_total "
#define FALLBACKS(reason) "\nconcorde_replica_fallbacks_total{reason=\"" reason "\"} "

/* It may not have connected yet. */
static void read_until(struct scene *c, const char *name)
{
    while (!counted(c, name))
        read_one(c);
}

static void a_server_that_is_no_standby_is_not_believed(void **state)
{
    struct scene c;
    scene_init(&c, pg_uri());
    read_until(&c, FALLBACKS("behind"));
    assert_int_equal(counted(&c, READS), 0);
    scene_finish(&c);
}

static void a_replica_that_is_away_is_not_waited_for(void **state)
{
    struct scene c;
    scene_init(&c, "host=127.0.0.1 port=1 dbname=x connect_timeout=2");
    read_until(&c, FALLBACKS("away"));
    read_one(&c);
    assert_int_equal(counted(&c, READS), 0);
    scene_finish(&c);
}

static void other_reads_and_transactions_do_not_ask_it(void **state)
{
    struct scene c;
    scene_init(&c, "host=127.0.0.1 port=1 dbname=x connect_timeout=2");
    NO_ERR(tx_begin(&c.s.tx));
    read_one(&c);
    NO_ERR(tx_commit(&c.s.tx));
    c.s.tx.may_lag = false;
    read_one(&c);
    assert_int_equal(counted(&c, FALLBACKS("away")), 0);
    assert_int_equal(c.s.tx.need.wal, 0);
    scene_finish(&c);
}

static void what_a_read_needs_is_asked_once(void **state)
{
    struct scene c;
    scene_init(&c, "host=127.0.0.1 port=1 dbname=x connect_timeout=2");
    read_one(&c);
    int64_t wal = c.s.tx.need.wal, statements = db_statements(c.db);
    assert_true(wal > 0);
    read_one(&c);
    assert_int_equal(c.s.tx.need.wal, wal);
    assert_int_equal(db_statements(c.db), statements + 1);
    scene_finish(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_is_no_standby_is_not_believed),
        cmocka_unit_test(a_replica_that_is_away_is_not_waited_for),
        cmocka_unit_test(other_reads_and_transactions_do_not_ask_it),
        cmocka_unit_test(what_a_read_needs_is_asked_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

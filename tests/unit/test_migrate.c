#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pg_fixture.h"

#include <pthread.h>

static int count_migrations(void)
{
    int n = 0;
    for (const struct migration *m = migrations; m->name; m++)
        n++;
    return n;
}

static void migrations_are_numbered_upwards(void **state)
{
    for (const struct migration *m = migrations; m->name; m++) {
        assert_true(m == migrations || m->number > m[-1].number);
        assert_int_equal(atoi(m->name), m->number);
    }
}

struct node {
    pthread_t thread;
    int applied;
    bool failed;
};

static void *start_node(void *what)
{
    struct node *n = what;
    n->failed = migrate(pg_uri(), &n->applied) != NULL;
    return NULL;
}

static void nodes_that_start_together_take_turns(void **state)
{
    struct node nodes[4] = {{0}};
    int applied = 0;
    pg_uri();
    for (int i = 0; i < 4; i++)
        pthread_create(&nodes[i].thread, NULL, start_node, &nodes[i]);
    for (int i = 0; i < 4; i++) {
        pthread_join(nodes[i].thread, NULL);
        assert_false(nodes[i].failed);
        applied += nodes[i].applied;
    }
    assert_int_equal(applied, count_migrations());
}

static void a_second_run_applies_nothing(void **state)
{
    int applied = -1;
    NO_ERR(migrate(pg_uri(), &applied));
    assert_int_equal(applied, 0);
}

static void a_missing_migration_is_applied(void **state)
{
    /* The newest one, forgotten and undone: its tables are not there, so it must run again. */
    NO_ERR(pg_command(pg_uri(), "DROP SCHEMA public CASCADE; CREATE SCHEMA public"));
    int applied = 0;
    NO_ERR(migrate(pg_uri(), &applied));
    assert_int_equal(applied, count_migrations());
}

static void a_failing_migration_leaves_nothing_behind(void **state)
{
    NO_ERR(pg_command(pg_uri(), "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
                                "CREATE TABLE events (in_the_way int)"));
    const struct err *e = migrate(pg_uri(), NULL);
    assert_non_null(e);
    assert_non_null(strstr(e->cause, migrations[0].name));
    NO_ERR(pg_command(pg_uri(), "DROP TABLE events; SELECT 1 / (count(*) = 0)::int"
                                " FROM pg_class WHERE relname = 'log_head'"));
    NO_ERR(migrate(pg_uri(), NULL));
}

static void a_newer_database_is_refused_with_advice(void **state)
{
    NO_ERR(pg_command(pg_uri(), "INSERT INTO schema_migrations VALUES (9999, '9999-future')"));
    int applied = -1;
    const struct err *e = migrate(pg_uri(), &applied);
    assert_non_null(e);
    assert_non_null(strstr(e->text, "9999-future"));
    assert_non_null(strstr(e->text, "newer version"));
    assert_int_equal(applied, -1);
    NO_ERR(pg_command(pg_uri(), "DELETE FROM schema_migrations WHERE number = 9999"));
}

static void a_database_that_is_not_utf8_is_refused_with_advice(void **state)
{
    char uri[600];
    NO_ERR(pg_command(pg_uri(), "CREATE DATABASE concorde_unit_ascii ENCODING 'SQL_ASCII' LOCALE "
                                "'C' TEMPLATE template0"));
    snprintf(uri, sizeof uri, "%s dbname=concorde_unit_ascii", pg_uri());
    const struct err *e = migrate(uri, NULL);
    assert_non_null(e);
    assert_non_null(strstr(e->text, "must be UTF8"));
    NO_ERR(pg_command(pg_uri(), "DROP DATABASE concorde_unit_ascii"));
}

static void a_database_that_is_away_is_unavailable(void **state)
{
    const struct err *e = migrate("host=/nonexistent dbname=x", NULL);
    assert_non_null(e);
    assert_int_equal(e->code, ERR_UNAVAILABLE);
    assert_non_null(strstr(e->cause, "/nonexistent"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(migrations_are_numbered_upwards),
        cmocka_unit_test(nodes_that_start_together_take_turns),
        cmocka_unit_test(a_second_run_applies_nothing),
        cmocka_unit_test(a_missing_migration_is_applied),
        cmocka_unit_test(a_failing_migration_leaves_nothing_behind),
        cmocka_unit_test(a_newer_database_is_refused_with_advice),
        cmocka_unit_test(a_database_that_is_not_utf8_is_refused_with_advice),
        cmocka_unit_test(a_database_that_is_away_is_unavailable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

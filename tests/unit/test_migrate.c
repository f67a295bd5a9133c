#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pg_fixture.h"

#include "storage/schema/deployment.h"
#include "storage/schema/schema_check.h"

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

struct starting_node {
    pthread_t thread;
    int applied;
    bool failed;
};

static void *start_node(void *what)
{
    struct starting_node *n = what;
    n->failed = migrate(pg_uri(), &n->applied) != NULL;
    return NULL;
}

static void nodes_that_start_together_wait_for_each_other(void **state)
{
    struct starting_node nodes[4] = {{0}};
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
    /* The newest migration is undone and its record removed: it must run again. */
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

/* ---- contract steps ---- */

/* The migrations of a program that is newer than this one. */
static const struct migration *newer_migrations(struct arena *a)
{
    size_t n = (size_t)count_migrations();
    struct migration *list = arena_alloc_array(a, n + 3, sizeof *list);
    memcpy(list, migrations, n * sizeof *list);
    list[n] = (struct migration){9001, "9001-expand", "CREATE TABLE expanded (n int)"};
    list[n + 1] = (struct migration){9002, "9002-contract",
                                     "-- contract: needs 9001\nDROP TABLE to_be_dropped"};
    return list;
}

static const struct err *register_old_node(void)
{
    char sql[120];
    snprintf(sql, sizeof sql, "SELECT node_register(1, 'host', '0.1', %d)", migrate_newest());
    return pg_command(pg_uri(), sql);
}

static void a_contract_step_waits_for_the_end_of_older_nodes(void **state)
{
    arena_auto struct arena *a = arena_create();
    const struct migration *newer = newer_migrations(a);
    int applied;
    NO_ERR(pg_command(pg_uri(), "CREATE TABLE to_be_dropped (n int)"));
    NO_ERR(register_old_node());
    NO_ERR(migrate_by(newer, pg_uri(), &applied));
    assert_int_equal(applied, 1);
    NO_ERR(migrate_by(newer, pg_uri(), &applied));
    assert_int_equal(applied, 0);
    /* The older version still starts. */
    NO_ERR(migrate(pg_uri(), &applied));
    NO_ERR(migrate_check(pg_uri()));
    NO_ERR(register_old_node());
    /* It is dead: it is in the list, but gave no sign of life. */
    NO_ERR(pg_command(pg_uri(), "UPDATE nodes SET seen_at = now() - interval '9 seconds'"));
    NO_ERR(migrate_by(newer, pg_uri(), &applied));
    assert_int_equal(applied, 1);
    NO_ERR(pg_command(pg_uri(), "SELECT 1 / (to_regclass('to_be_dropped') IS NULL)::int"));
    const struct err *e = migrate(pg_uri(), NULL);
    assert_non_null(e);
    assert_non_null(strstr(e->text, "9002-contract"));
    e = register_old_node(); /* also one that stood still meanwhile */
    assert_non_null(e);
    assert_non_null(strstr(e->cause, "start that version"));
    NO_ERR(pg_command(pg_uri(), "DROP TABLE expanded; DELETE FROM nodes;"
                                "DELETE FROM schema_migrations WHERE number > 9000"));
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

/* ---- required objects ---- */

static void list_objects(struct arena *a, struct buf *ret)
{
    struct tx tx;
    tx_init(&tx, pg_db(), a);
    NO_ERR(schema_list(&tx, ret));
    tx_finish(&tx);
}

/* `make schema-objects` runs this with SCHEMA_OBJECTS set: the list is then written. */
static void the_list_of_objects_is_that_of_a_fresh_schema(void **state)
{
    arena_auto struct arena *a = arena_create();
    buf_auto struct buf there = {0};
    list_objects(a, &there);
    const char *path = getenv("SCHEMA_OBJECTS");
    FILE *f = path ? fopen(path, "we") : NULL;
    if (f) {
        fwrite(there.p, 1, there.n, f);
        fclose(f);
    } else if (strcmp(buf_str(&there).p, schema_objects) != 0) {
        fail_msg("schema/objects.txt is not what the migrations make: run `make schema-objects`");
    }
}

static void assert_incomplete(const char *sql, const char *undo, const char *named)
{
    arena_auto struct arena *a = arena_create();
    struct tx tx;
    tx_init(&tx, pg_db(), a);
    NO_ERR(schema_check(&tx));
    NO_ERR(pg_command(pg_uri(), sql));
    const struct err *e = schema_check(&tx);
    NO_ERR(pg_command(pg_uri(), undo));
    assert_non_null(e);
    assert_non_null(strstr(e->text, named));
    NO_ERR(schema_check(&tx));
    tx_finish(&tx);
}

static void whatever_is_missing_is_named(void **state)
{
    assert_incomplete("ALTER TABLE profiles RENAME TO gone", "ALTER TABLE gone RENAME TO profiles",
                      "table profiles");
    assert_incomplete("ALTER TABLE rooms RENAME depth TO gone",
                      "ALTER TABLE rooms RENAME gone TO depth", "column rooms.depth bigint");
    assert_incomplete("ALTER INDEX events_by_id RENAME TO gone",
                      "ALTER INDEX gone RENAME TO events_by_id", "index events_by_id");
    assert_incomplete("ALTER FUNCTION log_at RENAME TO gone",
                      "ALTER FUNCTION gone RENAME TO log_at", "function log_at(back bigint)");
    assert_incomplete("ALTER SEQUENCE events_history_seq RENAME TO gone",
                      "ALTER SEQUENCE gone RENAME TO events_history_seq",
                      "sequence events_history_seq");
    assert_incomplete("ALTER TABLE rooms ALTER depth DROP NOT NULL",
                      "ALTER TABLE rooms ALTER depth SET NOT NULL", "column rooms.depth bigint");
}

/* pg_restore runs with an empty search path. */
static void functions_name_their_schema(void **state)
{
    pg_db();
    NO_ERR(pg_command(pg_uri(),
                      "SET search_path = ''; "
                      "SELECT fmgr_sql_validator(p.oid) FROM pg_proc p JOIN pg_language l "
                      "ON l.oid = p.prolang WHERE l.lanname = 'sql' "
                      "AND p.pronamespace = 'public'::regnamespace"));
}

/* ---- commands ---- */

static void a_check_changes_nothing(void **state)
{
    char uri[600];
    NO_ERR(pg_command(pg_uri(), "CREATE DATABASE concorde_unit_empty ENCODING 'UTF8' LOCALE 'C' "
                                "TEMPLATE template0"));
    snprintf(uri, sizeof uri, "%s dbname=concorde_unit_empty", pg_uri());
    const struct err *e = migrate_check(uri);
    assert_non_null(e);
    assert_non_null(strstr(e->text, "concorde serve"));
    NO_ERR(pg_command(uri, "SELECT 1 / (count(*) = 0)::int FROM pg_class "
                           "WHERE relnamespace = 'public'::regnamespace"));
    NO_ERR(migrate(uri, NULL));
    NO_ERR(migrate_check(uri));
    NO_ERR(pg_command(uri, "DELETE FROM schema_migrations WHERE number = 1"));
    e = migrate_check(uri);
    assert_non_null(e);
    assert_non_null(strstr(e->text, "0001-log"));
    NO_ERR(pg_command(pg_uri(), "DROP DATABASE concorde_unit_empty"));
}

/* ---- ownership ---- */

static const struct err *claim(const char *server_name, bool may_claim, bool *ret_is_new)
{
    arena_auto struct arena *a = arena_create();
    struct tx tx;
    tx_init(&tx, pg_db(), a);
    const struct err *e = deployment_check(&tx, server_name, may_claim, ret_is_new);
    tx_finish(&tx);
    return e;
}

static void a_database_belongs_to_one_server(void **state)
{
    bool is_new = false;
    const struct err *e = claim("a.example", false, NULL);
    assert_non_null(e);
    assert_non_null(strstr(e->text, "concorde serve"));
    NO_ERR(claim("a.example", true, &is_new));
    assert_true(is_new);
    NO_ERR(claim("a.example", true, &is_new));
    assert_false(is_new);
    NO_ERR(claim("a.example", false, NULL));
    e = claim("b.example", true, NULL);
    assert_non_null(e);
    assert_non_null(strstr(e->text, "belongs to a.example"));
    NO_ERR(pg_command(pg_uri(), "DELETE FROM deployment"));
}

static void accounts_say_whose_an_older_database_is(void **state)
{
    NO_ERR(pg_command(pg_uri(), "INSERT INTO users (id, user_id) VALUES (9, '@x:old.example');"
                                "INSERT INTO accounts (\"user\", created_ts) VALUES (9, 0)"));
    const struct err *e = claim("new.example", true, NULL);
    assert_non_null(e);
    assert_non_null(strstr(e->text, "belongs to old.example"));
    bool is_new = true;
    NO_ERR(claim("old.example", true, &is_new));
    assert_false(is_new);
    NO_ERR(pg_command(pg_uri(), "DELETE FROM deployment; DELETE FROM accounts; "
                                "DELETE FROM users WHERE id = 9"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(migrations_are_numbered_upwards),
        cmocka_unit_test(nodes_that_start_together_wait_for_each_other),
        cmocka_unit_test(a_second_run_applies_nothing),
        cmocka_unit_test(a_missing_migration_is_applied),
        cmocka_unit_test(a_failing_migration_leaves_nothing_behind),
        cmocka_unit_test(a_newer_database_is_refused_with_advice),
        cmocka_unit_test(a_contract_step_waits_for_the_end_of_older_nodes),
        cmocka_unit_test(a_database_that_is_not_utf8_is_refused_with_advice),
        cmocka_unit_test(a_database_that_is_away_is_unavailable),
        cmocka_unit_test(the_list_of_objects_is_that_of_a_fresh_schema),
        cmocka_unit_test(whatever_is_missing_is_named),
        cmocka_unit_test(functions_name_their_schema),
        cmocka_unit_test(a_check_changes_nothing),
        cmocka_unit_test(a_database_belongs_to_one_server),
        cmocka_unit_test(accounts_say_whose_an_older_database_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

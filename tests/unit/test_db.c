#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "pg_fixture.h"
#include "storage/db/time_limit.h"
#include "tx_scope.h"
#include "waiting.h"

#include <float.h>
#include <pthread.h>

static int make_tables(void **state)
{
    pg_must("tables", pg_command(pg_uri(), "CREATE TABLE t (id bigint PRIMARY KEY, name text);"
                                           "CREATE TABLE other (id bigint PRIMARY KEY)"));
    return 0;
}

static int clear_tables(void **state)
{
    pg_must("tables", pg_command(pg_uri(), "TRUNCATE t, other"));
    return 0;
}

/* ---- parameters and results ---- */

SQL(ints_sql, "SELECT $1::bigint, $2::int, $3::smallint, $4::text")

static void integers_of_every_width_arrive_whole(void **state)
{
    static const struct {
        int64_t eight, four, two;
        const char *text;
    } rows[] = {
        {0, 0, 0, "0"},
        {-1, -1, -1, "-1"},
        {INT64_MAX, INT32_MAX, INT16_MAX, "9223372036854775807"},
        {INT64_MIN, INT32_MIN, INT16_MIN, "-9223372036854775808"},
        {0x0102030405060708, 0x01020304, 0x0102, "72623859790382856"},
    };
    struct scope s;
    scope_init(&s, pg_db());
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t eight, four, two;
        const char *text;
        bool found;
        struct db_param params[] = {INT(rows[i].eight), INT4(rows[i].four), INT4(rows[i].two),
                                    TEXT(rows[i].text)};
        NO_ERR(db_one(&s.tx, &ints_sql, params, 4, &found,
                      R(INT_OUT(&eight), INT_OUT(&four), INT_OUT(&two), TEXT_OUT(&text))));
        assert_true(found);
        assert_true(eight == rows[i].eight && four == rows[i].four && two == rows[i].two);
        assert_string_equal(text, rows[i].text);
    }
    scope_finish(&s);
}

SQL(text_sql, "SELECT $1::text, length($1), octet_length($1)")

static void text_arrives_as_sent(void **state)
{
    static const char *const rows[] = {"", "a", "it's \"quoted\" \\ {braces,} NULL",
                                       "\xf0\x9f\x9a\x80 \xc3\xa9\n\t\x01\x7f", "$1"};
    struct scope s;
    scope_init(&s, pg_db());
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *text;
        int64_t letters, bytes;
        NO_ERR(db_one(&s.tx, &text_sql, P(TEXT(rows[i])), NULL,
                      R(TEXT_OUT(&text), INT_OUT(&letters), INT_OUT(&bytes))));
        assert_string_equal(text, rows[i]);
        assert_int_equal(bytes, strlen(rows[i]));
    }
    const struct err *e = db_exec(&s.tx, &text_sql, P(TEXT("\xff not UTF-8")), NULL);
    assert_non_null(e);
    assert_int_equal(e->code, ERR_INTERNAL);
    scope_finish(&s);
}

SQL(bytes_sql, "SELECT $1::bytea, octet_length($1), encode($1, 'hex')")

static void bytes_arrive_as_sent(void **state)
{
    struct scope s;
    scope_init(&s, pg_db());
    char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    struct str rows[] = {STR(""), STR("\0"), {all, 256}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str bytes;
        int64_t n;
        const char *hex;
        NO_ERR(db_one(&s.tx, &bytes_sql, P(BYTES(rows[i])), NULL,
                      R(BYTES_OUT(&bytes), INT_OUT(&n), TEXT_OUT(&hex))));
        assert_non_null(bytes.p);
        assert_true(str_eq(bytes, rows[i]));
        assert_int_equal(n, rows[i].n);
        assert_string_equal(hex, hex_encode(s.arena, rows[i].p, rows[i].n));
    }
    scope_finish(&s);
}

SQL(large_sql, "SELECT $1::bytea || $1")

static void large_values_arrive_whole(void **state)
{
    struct scope s;
    scope_init(&s, pg_db());
    enum { MB = 1 << 20 };
    char *big = arena_alloc(s.arena, 4 * MB);
    for (size_t i = 0; i < 4 * MB; i++)
        big[i] = (char)(i * 31 >> 3);
    struct rows rows;
    NO_ERR(db_query(&s.tx, &large_sql, P(BYTES(((struct str){big, 4 * MB}))), &rows));
    assert_true(rows_next(&rows));
    struct str twice = row_bytes(&rows, 0);
    assert_int_equal(twice.n, 8 * MB);
    assert_memory_equal(twice.p, big, 4 * MB);
    assert_memory_equal(twice.p + 4 * MB, big, 4 * MB);
    assert_false(rows_next(&rows));
    rows_finish(&rows);
    assert_false(rows_next(&rows));
    scope_finish(&s);
}

SQL(scalars_sql, "SELECT $1::bool, $2::float8, $2::float4::text, NOT $1, $2::real")

static void booleans_and_doubles_arrive(void **state)
{
    static const double rows[] = {0, -1.5, 3.141592653589793, DBL_MAX, DBL_MIN, 1e-300};
    struct scope s;
    scope_init(&s, pg_db());
    for (size_t i = 0; i < 3; i++) {
        struct rows r;
        NO_ERR(db_query(&s.tx, &scalars_sql, P(BOOL(i % 2), DOUBLE(rows[i])), &r));
        assert_true(rows_next(&r));
        assert_int_equal(row_bool(&r, 0), i % 2);
        assert_int_equal(row_bool(&r, 3), !(i % 2));
        assert_true(row_double(&r, 1) == rows[i]);
        assert_true((float)row_double(&r, 4) == (float)rows[i]);
    }
    scope_finish(&s);
}

SQL(nulls_sql, "SELECT $1::text, $2::bytea, $3::bigint, NULL::bool, NULL::float8, NULL::bigint[]")

static void null_is_null_both_ways(void **state)
{
    struct scope s;
    scope_init(&s, pg_db());
    struct rows r;
    NO_ERR(db_query(&s.tx, &nulls_sql,
                    P(TEXT(NULL), BYTES(((struct str){NULL, 0})), INT_OR_NULL(7, true)), &r));
    assert_true(rows_next(&r));
    for (int i = 0; i < 6; i++)
        assert_true(row_is_null(&r, i));
    assert_null(row_text(&r, 0));
    assert_null(row_bytes(&r, 1).p);
    assert_int_equal(row_int(&r, 2), 0);
    assert_false(row_bool(&r, 3));
    assert_true(row_double(&r, 4) == 0);
    size_t n = 1;
    row_int_array(&r, 5, &n);
    assert_int_equal(n, 0);
    NO_ERR(db_query(&s.tx, &nulls_sql, P(TEXT("x"), BYTES(STR("y")), INT_OR_NULL(7, false)), &r));
    assert_true(rows_next(&r));
    assert_string_equal(row_text(&r, 0), "x");
    assert_int_equal(row_int(&r, 2), 7);
    scope_finish(&s);
}

SQL(arrays_sql, "SELECT $1::bigint[], $2::text[], $3::bytea[], cardinality($1), cardinality($2),"
                " cardinality($3), $2::text")

static void check_arrays(struct scope *s, const int64_t *ints, const char *const *texts,
                         const struct str *bytes, size_t n)
{
    struct rows r;
    NO_ERR(db_query(&s->tx, &arrays_sql,
                    P(INT_ARRAY(ints, n), TEXT_ARRAY(texts, n), BYTES_ARRAY(bytes, n)), &r));
    assert_true(rows_next(&r));
    for (int i = 3; i < 6; i++)
        assert_int_equal(row_int(&r, i), n);
    size_t got;
    const int64_t *ints_back = row_int_array(&r, 0, &got);
    assert_int_equal(got, n);
    const struct str *texts_back = row_bytes_array(&r, 1, &got);
    assert_int_equal(got, n);
    const struct str *bytes_back = row_bytes_array(&r, 2, &got);
    assert_int_equal(got, n);
    for (size_t i = 0; i < n; i++) {
        assert_true(ints_back[i] == ints[i]);
        assert_true(!texts[i] == !texts_back[i].p);
        assert_true(str_eq(texts_back[i], str_of(texts[i])));
        assert_true(!bytes[i].p == !bytes_back[i].p);
        assert_true(str_eq(bytes_back[i], bytes[i]));
    }
}

static void arrays_arrive_with_odd_values(void **state)
{
    struct scope s;
    scope_init(&s, pg_db());
    static const int64_t ints[] = {0, -1, INT64_MIN, INT64_MAX, 42};
    static const char *const texts[] = {"", NULL, "{a,\"b\"}", "NULL", "\xe2\x82\xac\\"};
    const struct str bytes[] = {STR(""), {NULL, 0}, STR("\0\xff"), STR("x"), STR("NULL")};
    for (size_t n = 0; n <= 5; n++)
        check_arrays(&s, ints, texts, bytes, n);
    scope_finish(&s);
}

SQL(sum_sql, "SELECT sum(i)::bigint, count(*) FROM unnest($1::bigint[]) i")

static void long_arrays_arrive_whole(void **state)
{
    struct scope s;
    scope_init(&s, pg_db());
    enum { N = 50000 };
    int64_t *ints = arena_alloc_array(s.arena, N, sizeof *ints);
    for (int i = 0; i < N; i++)
        ints[i] = i;
    int64_t sum, n;
    NO_ERR(db_one(&s.tx, &sum_sql, P(INT_ARRAY(ints, N)), NULL, R(INT_OUT(&sum), INT_OUT(&n))));
    assert_true(sum == (int64_t)N * (N - 1) / 2);
    assert_int_equal(n, N);
    scope_finish(&s);
}

SQL(insert_sql, "INSERT INTO t (id, name) VALUES ($1, $2)")
SQL(select_sql, "SELECT name, id FROM t WHERE id = $1")
SQL(count_sql, "SELECT count(*) FROM t")
SQL(delete_sql, "DELETE FROM t WHERE id >= $1")

static void absence_clears_the_outputs(void **state)
{
    struct scope s;
    scope_init(&s, pg_db());
    const char *name = "before";
    int64_t id = 9;
    bool found = true;
    NO_ERR(db_one(&s.tx, &select_sql, P(INT(404)), &found, R(TEXT_OUT(&name), INT_OUT(&id))));
    assert_false(found);
    assert_null(name);
    assert_int_equal(id, 0);
    scope_finish(&s);
}

SQL(list_sql, "SELECT i, i::int % 3, i > 2, NULLIF('t' || i, 't2'), int8send(i), i / 2.0::float8 "
              "FROM generate_series(1::bigint, $1) i ORDER BY i")

enum colour { RED, GREEN, BLUE };
struct listed {
    const char *same, *text;
    int64_t number;
    enum colour colour;
    bool is_late;
    struct str bytes;
    double half;
};

static void rows_become_an_array(void **state)
{
    for (int64_t wanted = 0; wanted < 4; wanted++) {
        struct scope s;
        scope_init(&s, pg_db());
        struct listed one = {.same = "as given"};
        const struct listed *list;
        const struct listed **ret = &list;
        size_t n;
        NO_ERR(db_list(&s.tx, &list_sql, P(INT(wanted)),
                       R(INT_OUT(&one.number), ENUM_OUT(&one.colour), BOOL_OUT(&one.is_late),
                         TEXT_OUT(&one.text), BYTES_OUT(&one.bytes), DOUBLE_OUT(&one.half)),
                       LIST(one, ret, &n)));
        assert_int_equal(n, wanted);
        for (int64_t i = 1; i <= wanted; i++) {
            const struct listed *l = &list[i - 1];
            assert_string_equal(l->same, "as given");
            assert_true(l->number == i && l->colour == (enum colour)(i % 3) &&
                        l->is_late == (i > 2) && l->half == (double)i / 2);
            assert_true(i == 2 ? !l->text : l->text[0] == 't' && l->text[1] == (char)('0' + i));
            assert_true(l->bytes.n == 8 && l->bytes.p[7] == (char)i);
        }
        scope_finish(&s);
    }
}

static void exec_counts_rows(void **state)
{
    struct scope s;
    scope_init(&s, pg_db());
    int64_t n;
    for (int i = 1; i <= 3; i++) {
        NO_ERR(db_exec(&s.tx, &insert_sql, P(INT(i), TEXT("x")), &n));
        assert_int_equal(n, 1);
    }
    NO_ERR(db_exec(&s.tx, &delete_sql, P(INT(2)), &n));
    assert_int_equal(n, 2);
    NO_ERR(db_exec(&s.tx, &delete_sql, P(INT(2)), &n));
    assert_int_equal(n, 0);
    scope_finish(&s);
}

/* ---- errors and transactions ---- */

SQL(raise_sql, "SELECT raise($1)")

static void sqlstates_become_codes(void **state)
{
    static const struct {
        const char *sqlstate;
        enum err_code code;
    } rows[] = {
        {"23505", ERR_CONFLICT},    {"40001", ERR_CONFLICT},    {"40P01", ERR_CONFLICT},
        {"57P01", ERR_UNAVAILABLE}, {"57P03", ERR_UNAVAILABLE}, {"08006", ERR_UNAVAILABLE},
        {"53100", ERR_UNAVAILABLE}, {"53300", ERR_UNAVAILABLE}, {"22012", ERR_INTERNAL},
        {"23503", ERR_INTERNAL},    {"57014", ERR_TOO_SLOW},    {"P0001", ERR_INTERNAL},
    };
    NO_ERR(pg_command(pg_uri(),
                      "CREATE FUNCTION raise(state text) RETURNS void LANGUAGE plpgsql AS"
                      " $$ BEGIN RAISE EXCEPTION 'said so' USING ERRCODE = state; END $$"));
    struct scope s;
    scope_init(&s, pg_db());
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct err *e = db_exec(&s.tx, &raise_sql, P(TEXT(rows[i].sqlstate)), NULL);
        assert_non_null(e);
        assert_int_equal(e->code, rows[i].code);
        assert_non_null(strstr(e->cause, "said so"));
        assert_null(strstr(e->text, "said so"));
        if (e->code == ERR_UNAVAILABLE)
            assert_in_range(e->retry_after_ms, 1000, 2000);
        else
            assert_non_null(strstr(e->cause, "raise_sql"));
    }
    scope_finish(&s);
}

SQL(broken_sql, "SELECT nothing FROM nowhere")

static void a_statement_that_does_not_prepare_is_an_internal_error(void **state)
{
    struct scope s;
    scope_init(&s, pg_db());
    for (int i = 0; i < 2; i++) {
        const struct err *e = db_exec(&s.tx, &broken_sql, NO_PARAMS, NULL);
        assert_non_null(e);
        assert_int_equal(e->code, ERR_INTERNAL);
        assert_non_null(strstr(e->cause, "broken_sql"));
        assert_non_null(strstr(e->cause, "nowhere"));
    }
    scope_finish(&s);
}

static int64_t count_rows(void)
{
    struct scope s;
    scope_init(&s, pg_db());
    int64_t n;
    NO_ERR(db_one(&s.tx, &count_sql, NO_PARAMS, NULL, R(INT_OUT(&n))));
    scope_finish(&s);
    return n;
}

static void a_transaction_is_all_or_nothing(void **state)
{
    struct scope s;
    scope_init(&s, pg_db());
    NO_ERR(tx_begin(&s.tx));
    NO_ERR(db_exec(&s.tx, &insert_sql, P(INT(1), TEXT("one")), NULL));
    assert_int_equal(count_rows(), 0);
    NO_ERR(tx_commit(&s.tx));
    assert_int_equal(count_rows(), 1);

    NO_ERR(tx_begin(&s.tx));
    NO_ERR(db_exec(&s.tx, &insert_sql, P(INT(2), TEXT("two")), NULL));
    tx_rollback(&s.tx);
    assert_int_equal(count_rows(), 1);

    NO_ERR(tx_begin(&s.tx));
    NO_ERR(db_exec(&s.tx, &insert_sql, P(INT(3), TEXT("three")), NULL));
    scope_finish(&s); /* without a commit */
    assert_int_equal(count_rows(), 1);
}

static void an_error_ends_the_whole_transaction(void **state)
{
    struct scope s;
    scope_init(&s, pg_db());
    NO_ERR(db_exec(&s.tx, &insert_sql, P(INT(1), TEXT("one")), NULL));
    NO_ERR(tx_begin(&s.tx));
    NO_ERR(db_exec(&s.tx, &insert_sql, P(INT(2), TEXT("two")), NULL));
    const struct err *e = db_exec(&s.tx, &insert_sql, P(INT(1), TEXT("again")), NULL);
    assert_non_null(e);
    assert_int_equal(e->code, ERR_CONFLICT);
    assert_non_null(db_exec(&s.tx, &insert_sql, P(INT(4), TEXT("four")), NULL));
    assert_non_null(tx_commit(&s.tx));
    assert_int_equal(count_rows(), 1);
    NO_ERR(db_exec(&s.tx, &insert_sql, P(INT(5), TEXT("five")), NULL)); /* usable again */
    assert_int_equal(count_rows(), 2);
    scope_finish(&s);
}

/* ---- several in one round trip ---- */

static void many_statements_answer_in_order(void **state)
{
    struct scope s;
    scope_init(&s, pg_db());
    for (int i = 1; i <= 3; i++)
        NO_ERR(db_exec(&s.tx, &insert_sql, P(INT(i), TEXT(i == 1 ? "one" : "more")), NULL));
    for (int round = 0; round < 2; round++) { /* preparing, and prepared */
        struct rows one, none, all, text;
        struct db_batch_query queries[] = {{&select_sql, P(INT(1)), &one},
                                           {&select_sql, P(INT(404)), &none},
                                           {&count_sql, NO_PARAMS, &all},
                                           {&text_sql, P(TEXT("xyz")), &text}};
        NO_ERR(db_query_many(&s.tx, queries, 4));
        assert_true(rows_next(&one) && rows_next(&all) && rows_next(&text));
        assert_false(rows_next(&none));
        assert_string_equal(row_text(&one, 0), "one");
        assert_int_equal(row_int(&all, 0), 3);
        assert_string_equal(row_text(&text, 0), "xyz");
    }
    scope_finish(&s);
}

static void one_bad_statement_of_many_harms_no_later_use(void **state)
{
    struct scope s;
    scope_init(&s, pg_db());
    for (int in_transaction = 0; in_transaction < 2; in_transaction++)
        for (int bad = 0; bad < 3; bad++) {
            struct rows r;
            struct db_batch_query queries[3];
            for (int i = 0; i < 3; i++)
                queries[i] = (struct db_batch_query){&count_sql, NULL, 0, &r};
            queries[bad].sql = &broken_sql;
            if (in_transaction)
                NO_ERR(tx_begin(&s.tx));
            const struct err *e = db_query_many(&s.tx, queries, 3);
            assert_non_null(e);
            assert_int_equal(e->code, ERR_INTERNAL);
            assert_non_null(strstr(e->cause, "broken_sql"));
            tx_rollback(&s.tx);
            NO_ERR(db_query(&s.tx, &count_sql, NO_PARAMS, &r));
        }
    scope_finish(&s);
}

SQL(wide_sql, "SELECT repeat('x', $1::int)")

static void large_results_of_many_do_not_stall(void **state)
{
    struct scope s;
    scope_init(&s, pg_db());
    enum { N = 40, SIZE = 300000 };
    struct rows rows[N];
    struct db_batch_query queries[N];
    struct db_param size = INT4(SIZE);
    for (int i = 0; i < N; i++)
        queries[i] = (struct db_batch_query){&wide_sql, &size, 1, &rows[i]};
    NO_ERR(db_query_many(&s.tx, queries, N));
    for (int i = 0; i < N; i++) {
        assert_true(rows_next(&rows[i]));
        assert_int_equal(row_bytes(&rows[i], 0).n, SIZE);
    }
    scope_finish(&s);
}

/* ---- the pool ---- */

struct held {
    struct db *db;
    struct tx *tx;
    long waits;
};

static long waits_so_far(struct db *db)
{
    buf_auto struct buf metrics = {0};
    db_add_metrics(db, &metrics);
    const char *line = strstr(metrics.p, "\nconcorde_db_pool_waits_total ");
    return strtol(line + strlen("\nconcorde_db_pool_waits_total "), NULL, 10);
}

/* Once the other statement waits. */
static void *release_later(void *what)
{
    struct held *h = what;
    while (waits_so_far(h->db) == h->waits)
        wait_briefly();
    tx_rollback(h->tx);
    return NULL;
}

static void the_pool_is_bounded_and_waiters_are_served(void **state)
{
    struct db *db;
    NO_ERR(db_open(pg_uri(), 2, &db));
    struct scope holders[2], s;
    for (int i = 0; i < 2; i++) {
        scope_init(&holders[i], db);
        NO_ERR(tx_begin(&holders[i].tx));
    }
    scope_init(&s, db);
    int64_t started = mono_ms();
    const struct err *e = db_exec(&s.tx, &count_sql, NO_PARAMS, NULL);
    assert_non_null(e);
    assert_int_equal(e->code, ERR_UNAVAILABLE);
    assert_in_range(mono_ms() - started, 4900, 7000);

    pthread_t thread;
    struct held held = {db, &holders[0].tx, waits_so_far(db)};
    pthread_create(&thread, NULL, release_later, &held);
    NO_ERR(db_exec(&s.tx, &count_sql, NO_PARAMS, NULL));
    pthread_join(thread, NULL);

    buf_auto struct buf metrics = {0};
    db_add_metrics(db, &metrics);
    assert_non_null(strstr(metrics.p, "concorde_db_connections{state=\"in_use\"} 1\n"));
    assert_non_null(strstr(metrics.p, "concorde_db_connections{state=\"idle\"} 1\n"));
    assert_non_null(strstr(metrics.p, "concorde_db_pool_timeouts_total 1\n"));
    assert_non_null(
        strstr(metrics.p, "synapse_storage_transaction_time_count_total{desc=\"count_sql\"} 2\n"));
    scope_finish(&s);
    for (int i = 0; i < 2; i++)
        scope_finish(&holders[i]);
    db_close(db);
}

static const char kill_others[] = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                                  " WHERE pid <> pg_backend_pid() AND backend_type = "
                                  "'client backend' AND datname = current_database()";

static void connections_that_died_idle_are_replaced_unseen(void **state)
{
    struct scope s;
    scope_init(&s, pg_db());
    NO_ERR(db_exec(&s.tx, &count_sql, NO_PARAMS, NULL));
    NO_ERR(pg_command(pg_uri(), kill_others));
    NO_ERR(db_exec(&s.tx, &insert_sql, P(INT(1), TEXT("x")), NULL));
    NO_ERR(pg_command(pg_uri(), kill_others));
    NO_ERR(tx_begin(&s.tx));
    NO_ERR(db_exec(&s.tx, &insert_sql, P(INT(2), TEXT("x")), NULL));
    NO_ERR(tx_commit(&s.tx));
    assert_int_equal(count_rows(), 2);
    scope_finish(&s);
}

SQL(suicide_sql, "SELECT pg_terminate_backend(pg_backend_pid())")

static void a_lost_transaction_is_unavailable_and_the_next_works(void **state)
{
    struct scope s;
    scope_init(&s, pg_db());
    NO_ERR(tx_begin(&s.tx));
    NO_ERR(db_exec(&s.tx, &insert_sql, P(INT(1), TEXT("x")), NULL));
    const struct err *e = db_exec(&s.tx, &suicide_sql, NO_PARAMS, NULL);
    assert_non_null(e);
    assert_int_equal(e->code, ERR_UNAVAILABLE);
    assert_non_null(tx_commit(&s.tx));
    NO_ERR(tx_begin(&s.tx));
    NO_ERR(db_exec(&s.tx, &insert_sql, P(INT(2), TEXT("x")), NULL));
    NO_ERR(tx_commit(&s.tx));
    assert_int_equal(count_rows(), 1);

    e = db_exec(&s.tx, &suicide_sql, NO_PARAMS, NULL); /* a read: repeated once only */
    assert_non_null(e);
    assert_int_equal(e->code, ERR_UNAVAILABLE);
    assert_int_equal(count_rows(), 1);
    scope_finish(&s);
}

SQL(die_once_sql,
    "SELECT CASE WHEN nextval('lives') = 1 THEN pg_terminate_backend(pg_backend_pid())"
    " END, pg_sleep(0.05)::text")

static void a_read_that_loses_its_connection_is_repeated(void **state)
{
    NO_ERR(pg_command(pg_uri(), "CREATE SEQUENCE lives"));
    struct scope s;
    scope_init(&s, pg_db());
    NO_ERR(db_exec(&s.tx, &die_once_sql, NO_PARAMS, NULL));
    scope_finish(&s);
}

/* ---- the database goes away ---- */

static void while_away_all_get_an_answer_at_once_and_it_recovers(void **state)
{
    char dir[] = "/tmp/concorde-unit-away-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct embedded *e;
    const char *uri;
    NO_ERR(embedded_start(dir, &e, &uri));
    struct db *db;
    NO_ERR(db_open(uri, 4, &db));
    embedded_stop(e);

    struct scope s;
    scope_init(&s, db);
    for (int i = 0; i < 50; i++) {
        int64_t started = mono_ms();
        const struct err *error = db_exec(&s.tx, &suicide_sql, NO_PARAMS, NULL);
        assert_non_null(error);
        assert_int_equal(error->code, ERR_UNAVAILABLE);
        assert_in_range(error->retry_after_ms, 1000, 2000);
        assert_true(mono_ms() - started < 500);
        error = tx_begin(&s.tx);
        assert_non_null(error);
        assert_int_equal(error->code, ERR_UNAVAILABLE);
    }
    buf_auto struct buf metrics = {0};
    db_add_metrics(db, &metrics);
    assert_non_null(strstr(metrics.p, "concorde_db_away 1\n"));
    /* A hundred requests in quick succession made few attempts to connect. */
    const char *failures = strstr(metrics.p, "\nconcorde_db_connect_failures_total ");
    assert_in_range(atoi(failures + strlen("\nconcorde_db_connect_failures_total ")), 1, 20);

    NO_ERR(embedded_start(dir, &e, &uri));
    int64_t started = mono_ms();
    WAIT_UNTIL(!db_exec(&s.tx, &text_sql, P(TEXT("back")), NULL));
    assert_true(mono_ms() - started < 1000);
    scope_finish(&s);
    db_close(db);
    embedded_stop(e);
    pg_remove_dir(dir);
}

struct hammer {
    pthread_t thread;
    int number;
    atomic_int acknowledged;
    bool stop;
};

static int acknowledged_by(const struct hammer *hammers, size_t n)
{
    int sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += atomic_load(&hammers[i].acknowledged);
    return sum;
}

static void *hammer(void *what)
{
    struct hammer *h = what;
    struct scope s;
    scope_init(&s, pg_db());
    for (int i = 0; !__atomic_load_n(&h->stop, __ATOMIC_RELAXED); i++) {
        const struct err *e =
            db_exec(&s.tx, &insert_sql, P(INT(h->number * 1000000 + i), TEXT("hammered")), NULL);
        if (e && e->code != ERR_UNAVAILABLE)
            fprintf(stderr, "hammer: %s\n", e->cause);
        h->acknowledged += !e;
        if (e)
            wait_briefly();
        arena_reset(s.arena);
    }
    scope_finish(&s);
    return NULL;
}

/* Another postmaster than that one, whose children may go on answering for a while. */
static pid_t postmaster_after(pid_t killed)
{
    pid_t pid = 0;
    WAIT_UNTIL((pid = pg_postmaster_in(pg_fixture_.dir)) > 1 && pid != killed);
    return pid;
}

static void acknowledged_rows_survive_kills_of_the_database(void **state)
{
    if (getenv("CONCORDE_TEST_DATABASE"))
        skip();
    struct hammer hammers[4] = {{0}};
    for (int i = 0; i < 4; i++) {
        hammers[i].number = i + 1;
        pthread_create(&hammers[i].thread, NULL, hammer, &hammers[i]);
    }
    pid_t killed = 0;
    for (int i = 0; i < 5; i++) {
        pid_t pid = postmaster_after(killed);
        int before = acknowledged_by(hammers, 4);
        WAIT_UNTIL(acknowledged_by(hammers, 4) > before + 20);
        kill(pid, SIGKILL);
        killed = pid;
    }
    postmaster_after(killed);
    struct scope s;
    scope_init(&s, pg_db());
    WAIT_UNTIL(!db_exec(&s.tx, &count_sql, NO_PARAMS, NULL));
    scope_finish(&s);
    int64_t acknowledged = 0;
    for (int i = 0; i < 4; i++) {
        __atomic_store_n(&hammers[i].stop, true, __ATOMIC_RELAXED);
        pthread_join(hammers[i].thread, NULL);
        assert_true(hammers[i].acknowledged > 0);
        acknowledged += hammers[i].acknowledged;
    }
    int64_t stored = count_rows();
    assert_true(stored >= acknowledged);
    assert_true(stored <= acknowledged + 4 * 5); /* those under way when it died */
}

SQL(sleep_sql, "SELECT pg_sleep($1)")
SQL(read_timeout_sql,
    "SELECT current_setting('statement_timeout') || current_setting('plan_cache_mode')")

static void a_time_limit_is_of_its_statements_alone(void **state)
{
    struct scope s;
    const char *before, *after;
    struct rows rows;
    scope_init(&s, pg_db());
    NO_ERR(db_one(&s.tx, &read_timeout_sql, NO_PARAMS, NULL, R(TEXT_OUT(&before))));
    const struct err *e = time_limit_query(&s.tx, 50, &sleep_sql, P(DOUBLE(60)), &rows);
    assert_non_null(e);
    assert_int_equal(e->code, ERR_TOO_SLOW);
    assert_int_equal(err_status(e), 503);
    NO_ERR(time_limit_query(&s.tx, 20000, &read_timeout_sql, NO_PARAMS, &rows));
    assert_true(rows_next(&rows));
    assert_string_equal(row_text(&rows, 0), "20sforce_custom_plan");
    NO_ERR(db_one(&s.tx, &read_timeout_sql, NO_PARAMS, NULL, R(TEXT_OUT(&after))));
    assert_string_equal(before, after);
    scope_finish(&s);
}

int main(void)
{
#define CLEARED(f) cmocka_unit_test_setup(f, clear_tables)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_of_every_width_arrive_whole),
        cmocka_unit_test(text_arrives_as_sent),
        cmocka_unit_test(bytes_arrive_as_sent),
        cmocka_unit_test(large_values_arrive_whole),
        cmocka_unit_test(booleans_and_doubles_arrive),
        cmocka_unit_test(null_is_null_both_ways),
        cmocka_unit_test(arrays_arrive_with_odd_values),
        cmocka_unit_test(long_arrays_arrive_whole),
        CLEARED(absence_clears_the_outputs),
        CLEARED(rows_become_an_array),
        CLEARED(exec_counts_rows),
        cmocka_unit_test(sqlstates_become_codes),
        cmocka_unit_test(a_statement_that_does_not_prepare_is_an_internal_error),
        CLEARED(a_transaction_is_all_or_nothing),
        CLEARED(an_error_ends_the_whole_transaction),
        CLEARED(many_statements_answer_in_order),
        CLEARED(one_bad_statement_of_many_harms_no_later_use),
        cmocka_unit_test(a_time_limit_is_of_its_statements_alone),
        cmocka_unit_test(large_results_of_many_do_not_stall),
        cmocka_unit_test(the_pool_is_bounded_and_waiters_are_served),
        CLEARED(connections_that_died_idle_are_replaced_unseen),
        CLEARED(a_lost_transaction_is_unavailable_and_the_next_works),
        cmocka_unit_test(a_read_that_loses_its_connection_is_repeated),
        cmocka_unit_test(while_away_all_get_an_answer_at_once_and_it_recovers),
        CLEARED(acknowledged_rows_survive_kills_of_the_database),
    };
    return cmocka_run_group_tests(tests, make_tables, NULL);
}

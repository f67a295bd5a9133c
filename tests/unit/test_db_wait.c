/* A database that stops answering without closing its connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "pg_fixture.h"
#include "storage/db/db_wait.h"
#include "tx_scope.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

/* ---- a relay to the database that passes on so many bytes of its answers ---- */

enum { PAIRS = 16, NO_END = INT32_MAX };

struct relay {
    int listener, port, pairs_n;
    int pairs[PAIRS][2]; /* client, database */
    _Atomic int left;    /* bytes of answers until it stops; then it reads nothing, either */
    _Atomic bool stop;
    bool offers_tls; /* accepts TLS itself, and sends no more */
    pthread_t thread;
};

/* The unix socket of the embedded cluster. */
static int connect_to_database(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    PQconninfoOption *options = PQconninfoParse(pg_uri(), NULL), *o = options;
    for (; strcmp(o->keyword, "host") != 0; o++)
        ;
    snprintf(to.sun_path, sizeof to.sun_path, "%s/.s.PGSQL.5432", o->val);
    PQconninfoFree(options);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_return_code(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void take_client(struct relay *r)
{
    int *pair = r->pairs[r->pairs_n++];
    char request[8];
    assert_in_range(r->pairs_n, 1, PAIRS);
    pair[0] = accept(r->listener, NULL, NULL);
    pair[1] = connect_to_database();
    if (r->offers_tls && recv(pair[0], request, sizeof request, MSG_WAITALL) > 0)
        send(pair[0], "S", 1, MSG_NOSIGNAL);
}

/* Passes on the data of one end. When one end is closed, the other is closed too. */
static void hand_over(struct relay *r, int *pair, int from)
{
    char bytes[65536];
    size_t most = sizeof bytes;
    if (from == 1 && (size_t)r->left < most)
        most = (size_t)r->left;
    ssize_t n = recv(pair[from], bytes, most, 0);
    if (n > 0 && from == 1 && r->left != NO_END)
        r->left -= (int)n;
    for (ssize_t sent = 0, k; n > 0 && sent < n; sent += k)
        if ((k = send(pair[!from], bytes + sent, (size_t)(n - sent), MSG_NOSIGNAL)) < 0)
            n = 0;
    for (int i = 0; n <= 0 && i < 2; i++) {
        close(pair[i]);
        pair[i] = -1;
    }
}

static void *relay(void *what)
{
    struct relay *r = what;
    while (!r->stop) {
        struct pollfd p[1 + 2 * PAIRS] = {{.fd = r->listener, .events = POLLIN}};
        int n = r->pairs_n;
        for (int i = 0; i < 2 * n; i++)
            p[1 + i] =
                (struct pollfd){.fd = r->left ? r->pairs[i / 2][i % 2] : -1, .events = POLLIN};
        poll(p, (nfds_t)(1 + 2 * n), 5);
        if (p[0].revents)
            take_client(r);
        for (int i = 0; i < 2 * n; i++)
            if (p[1 + i].revents && r->left && r->pairs[i / 2][i % 2] >= 0)
                hand_over(r, r->pairs[i / 2], i % 2);
    }
    return NULL;
}

static void relay_start(struct relay *r, int left, bool offers_tls)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    *r = (struct relay){.left = left, .offers_tls = offers_tls};
    r->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_return_code(bind(r->listener, (struct sockaddr *)&at, n), 0);
    assert_return_code(listen(r->listener, 64), 0);
    getsockname(r->listener, (struct sockaddr *)&at, &n);
    r->port = ntohs(at.sin_port);
    pthread_create(&r->thread, NULL, relay, r);
}

static void relay_stop(struct relay *r)
{
    r->stop = true;
    pthread_join(r->thread, NULL);
    for (int i = 0; i < 2 * r->pairs_n; i++)
        if (r->pairs[i / 2][i % 2] >= 0)
            close(r->pairs[i / 2][i % 2]);
    close(r->listener);
}

static const char *relay_uri(const struct relay *r, const char *more)
{
    static _Thread_local char uri[256];
    snprintf(uri, sizeof uri,
             "host=127.0.0.1 port=%d user=concorde dbname=concorde connect_timeout=2 %s", r->port,
             more);
    return uri;
}

/* Far beyond each limit, for slow machines; an endless wait fails all the same. */
enum { LIMIT_MS = 300, PATIENCE_MS = 15000 };

static void is_away(const struct err *e, int64_t started, int least_ms)
{
    assert_non_null(e);
    assert_int_equal(e->code, ERR_UNAVAILABLE);
    assert_true(e->retry_after_ms > 0);
    assert_in_range(mono_ms() - started, least_ms, PATIENCE_MS);
}

/* ---- connecting ---- */

struct attempt {
    const char *more; /* of the URI */
    int left;
    bool offers_tls;
    pthread_t thread;
    const struct err *e;
    struct err error;
    int64_t ms;
};

static void *connect_once(void *what)
{
    struct attempt *a = what;
    struct relay r;
    PGconn *pg = NULL;
    relay_start(&r, a->left, a->offers_tls);
    int64_t started = mono_ms();
    const struct err *e = db_connect(relay_uri(&r, a->more), &pg);
    a->ms = mono_ms() - started;
    a->e = e;
    if (e)
        a->error = *e;
    else
        PQfinish(pg);
    relay_stop(&r);
    return NULL;
}

static void connecting_ends_wherever_the_server_falls_silent(void **state)
{
    struct attempt attempts[] = {
        {.more = "sslmode=disable", .left = 0},                     /* the startup packet */
        {.more = "sslmode=prefer", .left = 0},                      /* the request for TLS */
        {.more = "sslmode=require", .offers_tls = true, .left = 0}, /* TLS's first message */
        {.more = "sslmode=disable", .left = 5},                     /* within its welcome */
        {.more = "sslmode=disable", .left = 300},
        {.more = "sslmode=disable", .left = 460}, /* within the session's settings, or before */
        {.more = "sslmode=disable", .left = NO_END},
    };
    enum { N = sizeof attempts / sizeof *attempts };
    pg_uri();
    for (int i = 0; i < N; i++)
        pthread_create(&attempts[i].thread, NULL, connect_once, &attempts[i]);
    for (int i = 0; i < N; i++) {
        pthread_join(attempts[i].thread, NULL);
        assert_true(attempts[i].ms < PATIENCE_MS);
        assert_int_equal(attempts[i].e == NULL, attempts[i].left == NO_END);
        if (attempts[i].e)
            assert_int_equal(attempts[i].error.code, ERR_UNAVAILABLE);
    }
}

/* ---- statements ---- */

static void a_statement_ends_wherever_the_server_falls_silent(void **state)
{
    static const int lefts[] = {0, 1, 40, 20000, 99000};
    for (size_t i = 0; i < sizeof lefts / sizeof *lefts; i++) {
        struct relay r;
        PGconn *pg;
        PGresult *result;
        relay_start(&r, NO_END, false);
        NO_ERR(db_connect(relay_uri(&r, ""), &pg));
        NO_ERR(db_ask(pg, "SELECT repeat('x', 100000)", PATIENCE_MS, "", &result));
        assert_int_equal(PQgetlength(result, 0, 0), 100000);
        PQclear(result);
        r.left = lefts[i];
        int64_t started = mono_ms();
        is_away(db_ask(pg, "SELECT repeat('x', 100000)", LIMIT_MS, "it", NULL), started, LIMIT_MS);
        started = mono_ms();
        PQfinish(pg);
        assert_true(mono_ms() - started < PATIENCE_MS);
        relay_stop(&r);
    }
}

static void sending_ends_when_nothing_is_read(void **state)
{
    enum { SIZE = 32 << 20 };
    struct relay r;
    PGconn *pg;
    char *sql = malloc(SIZE + 1);
    memset(sql, ' ', SIZE);
    sql[SIZE] = '\0';
    relay_start(&r, NO_END, false);
    NO_ERR(db_connect(relay_uri(&r, ""), &pg));
    r.left = 0;
    int64_t started = mono_ms();
    is_away(db_ask(pg, sql, LIMIT_MS, "it", NULL), started, LIMIT_MS);
    started = mono_ms();
    PQfinish(pg); /* sends Terminate after all of that */
    assert_true(mono_ms() - started < PATIENCE_MS);
    relay_stop(&r);
    free(sql);
}

/* ---- the pool ---- */

SQL(one_sql, "SELECT 1::int8")
SQL(sleep_sql, "SELECT pg_sleep($1::float8)::text")
SQL(echo_sql, "SELECT $1::bytea")

static int64_t metric(struct db *db, const char *name)
{
    buf_auto struct buf b = {0};
    db_add_metrics(db, &b);
    char line[128];
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(b.p, line);
    assert_non_null(at);
    return atoll(at + strlen(line));
}

static void large_values_are_read_in_many_parts(void **state)
{
    enum { SIZE = 24 << 20 };
    struct relay r;
    struct db *db;
    struct scope s;
    struct str back;
    relay_start(&r, NO_END, false);
    NO_ERR(db_open(relay_uri(&r, ""), 2, &db));
    scope_init(&s, db);
    char *bytes = malloc(SIZE);
    for (int i = 0; i < SIZE; i++)
        bytes[i] = (char)(i % 251);
    NO_ERR(
        db_one(&s.tx, &echo_sql, P(BYTES(((struct str){bytes, SIZE}))), NULL, R(BYTES_OUT(&back))));
    assert_int_equal(back.n, SIZE);
    assert_memory_equal(back.p, bytes, SIZE);
    free(bytes);
    scope_finish(&s);
    db_close(db);
    relay_stop(&r);
}

static void a_silent_database_is_asked_by_one_at_a_time(void **state)
{
    struct relay r;
    struct db *db;
    struct scope s;
    relay_start(&r, NO_END, false);
    NO_ERR(db_open(relay_uri(&r, "sslmode=disable"), 4, &db));
    scope_init(&s, db);
    NO_ERR(db_exec(&s.tx, &one_sql, NO_PARAMS, NULL));
    assert_int_equal(db_silence_ms(db), 0);
    int before = db_limit_statements(LIMIT_MS);
    r.left = 0;
    int64_t started = mono_ms();
    is_away(db_exec(&s.tx, &one_sql, NO_PARAMS, NULL), started, LIMIT_MS);
    for (int i = 0; i < 100; i++) /* the first wait shortly for the attempt to connect */
        is_away(i % 2 ? tx_begin(&s.tx) : db_exec(&s.tx, &one_sql, NO_PARAMS, NULL), started, 0);
    assert_int_equal(metric(db, "concorde_db_statement_timeouts_total"), 1);
    assert_int_equal(metric(db, "concorde_db_away"), 1);
    assert_true(db_silence_ms(db) >= LIMIT_MS);
    r.left = NO_END;
    db_limit_statements(PATIENCE_MS);
    while (db_exec(&s.tx, &one_sql, NO_PARAMS, NULL))
        assert_true(mono_ms() - started < 2 * PATIENCE_MS);
    assert_int_equal(metric(db, "concorde_db_away"), 0);
    assert_int_equal(db_silence_ms(db), 0);
    db_limit_statements(before);
    scope_finish(&s);
    db_close(db);
    relay_stop(&r);
}

static void a_transaction_of_a_silent_database_ends(void **state)
{
    struct relay r;
    struct db *db;
    struct scope s;
    struct rows one, two;
    relay_start(&r, NO_END, false);
    NO_ERR(db_open(relay_uri(&r, "sslmode=disable"), 4, &db));
    scope_init(&s, db);
    NO_ERR(tx_begin(&s.tx));
    NO_ERR(db_exec(&s.tx, &one_sql, NO_PARAMS, NULL));
    int before = db_limit_statements(LIMIT_MS);
    r.left = 0;
    int64_t started = mono_ms();
    const struct db_batch_query queries[] = {{&one_sql, NO_PARAMS, &one},
                                             {&one_sql, NO_PARAMS, &two}};
    is_away(db_query_many(&s.tx, queries, 2), started, LIMIT_MS);
    started = mono_ms();
    tx_rollback(&s.tx); /* without a query */
    assert_true(mono_ms() - started < PATIENCE_MS);
    assert_int_equal(metric(db, "concorde_db_away"), 1);
    assert_int_equal(metric(db, "concorde_db_statement_timeouts_total"), 1);
    db_limit_statements(before);
    scope_finish(&s);
    db_close(db);
    relay_stop(&r);
}

/* The others are served: one slow connection does not affect them. */
static void a_slow_statement_is_given_up_alone(void **state)
{
    struct scope s;
    scope_init(&s, pg_db());
    int before = db_limit_statements(LIMIT_MS);
    int64_t started = mono_ms();
    is_away(db_exec(&s.tx, &sleep_sql, P(DOUBLE(3600)), NULL), started, LIMIT_MS);
    db_limit_statements(before);
    for (int i = 0; i < 3; i++)
        NO_ERR(db_exec(&s.tx, &one_sql, NO_PARAMS, NULL));
    assert_int_equal(metric(pg_db(), "concorde_db_away"), 0);
    scope_finish(&s);
}

int main(void)
{
    if (getenv("CONCORDE_TEST_DATABASE"))
        return 0; /* the relay leads to the embedded cluster */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connecting_ends_wherever_the_server_falls_silent),
        cmocka_unit_test(a_statement_ends_wherever_the_server_falls_silent),
        cmocka_unit_test(sending_ends_when_nothing_is_read),
        cmocka_unit_test(large_values_are_read_in_many_parts),
        cmocka_unit_test(a_silent_database_is_asked_by_one_at_a_time),
        cmocka_unit_test(a_transaction_of_a_silent_database_ends),
        cmocka_unit_test(a_slow_statement_is_given_up_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

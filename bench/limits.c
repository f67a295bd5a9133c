/* The limits of the machine, measured in the same run, to compare all other figures with. */
#include "bench/bench.h"

#include "base/clock.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void limit_fsync(const struct bench *b)
{
    char page[8192] = {0};
    FILE *f = tmpfile();
    int n = 0;
    int64_t until = mono_us() + 2000000;
    for (; mono_us() < until; n++)
        if (pwrite(fileno(f), page, sizeof page, 0) < 0 || fdatasync(fileno(f)))
            exit(1);
    fclose(f);
    printf("| limit: fdatasync of 8 KiB | %.0f /s |\n", n / 2.0);
}

/* ---- a bare libmicrohttpd ---- */

static enum MHD_Result limits_answer(void *cls, struct MHD_Connection *c, const char *url,
                                     const char *method, const char *version, const char *data,
                                     size_t *data_n, void **state)
{
    static char seen[] = "{}";
    if (!*state || *data_n) {
        *state = seen;
        *data_n = 0;
        return MHD_YES;
    }
    struct MHD_Response *r = MHD_create_response_from_buffer(2, seen, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result ok = MHD_queue_response(c, 200, r);
    MHD_destroy_response(r);
    return ok;
}

static pid_t start_bare_server(int port)
{
    pid_t child = fork();
    if (child)
        return child;
    if (!MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, (uint16_t)port, NULL, NULL, limits_answer,
                          NULL, MHD_OPTION_CONNECTION_LIMIT, 256u, MHD_OPTION_END))
        _exit(1);
    for (;;)
        pause();
}

struct asking {
    struct engine *engine;
    int64_t until_us;
    size_t sent, answered;
};

static void limits_ask(struct asking *a, struct client *c);

static void on_answer(struct client *c, int status, struct str body)
{
    ((struct asking *)c->ctx)->answered++;
    limits_ask(c->ctx, c);
}

static void limits_ask(struct asking *a, struct client *c)
{
    if (mono_us() >= a->until_us)
        return;
    a->sent++;
    c->ctx = a;
    client_send(a->engine, c, "PUT", "/x", "{\"msgtype\":\"m.text\"}", on_answer);
}

static bool limits_all_answered(void *ctx)
{
    struct asking *a = ctx;
    return a->answered == a->sent && mono_us() >= a->until_us;
}

static void limit_http(const struct bench *b)
{
    enum { CLIENTS = 64 };
    int port = 20000 + getpid() % 20000;
    char address[32];
    pid_t child = start_bare_server(port);
    usleep(300000);
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    struct asking a = {.engine = engine_create(address), .until_us = mono_us() + 3000000};
    struct cpu before = cpu_read(child);
    for (int i = 0; i < CLIENTS; i++)
        limits_ask(&a, engine_connect(a.engine));
    engine_run(a.engine, limits_all_answered, &a, 0);
    struct cpu cpu = cpu_since(child, before);
    printf("| limit: bare libmicrohttpd reply, %d clients | %.0f /s | %.1f µs |\n", CLIENTS,
           (double)a.answered / 3, cpu.server / (double)a.answered * 1e6);
    engine_destroy(a.engine);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* ---- bare INSERTs into a table like events ---- */

static PGresult *limits_need(PGconn *pg, PGresult *r)
{
    ExecStatusType s = PQresultStatus(r);
    if (s != PGRES_COMMAND_OK && s != PGRES_TUPLES_OK) {
        fprintf(stderr, "%s", PQerrorMessage(pg));
        exit(1);
    }
    return r;
}

static void command(PGconn *pg, const char *text)
{
    PQclear(limits_need(pg, PQexec(pg, text)));
}

#define COLUMNS                                                                                    \
    "(position, room, sender, type, thread, notify_total, highlight_total, is_state, event_id, "   \
    "json)"
#define ROW                                                                                        \
    "nextval('bench_position'), 1, 1, 3, 0, 1, 0, false, sha256(random()::text::bytea), "          \
    "decode(repeat('7b', 700), 'hex')"
#define ONE "INSERT INTO bench_events " COLUMNS " VALUES (" ROW ")"
#define HUNDRED "INSERT INTO bench_events " COLUMNS " SELECT " ROW " FROM generate_series(1, 100)"

struct inserter {
    pthread_t thread;
    const char *uri, *statement;
    int64_t until_us;
    struct latencies latencies;
};

static void *limits_insert(void *arg)
{
    struct inserter *in = arg;
    PGconn *pg = PQconnectdb(in->uri);
    PQclear(limits_need(pg, PQprepare(pg, "i", in->statement, 0, NULL)));
    while (mono_us() < in->until_us) {
        int64_t from = mono_us();
        PQclear(limits_need(pg, PQexecPrepared(pg, "i", 0, NULL, NULL, NULL, 0)));
        latencies_add(&in->latencies, mono_us() - from);
    }
    PQfinish(pg);
    return NULL;
}

static void limit_insert(const struct bench *b, const char *name, const char *statement,
                         int connections, int rows)
{
    struct inserter in[32] = {0};
    struct latencies all = {0};
    struct cpu before = cpu_read(b->server);
    int64_t from = mono_us();
    for (int i = 0; i < connections; i++) {
        in[i].uri = b->database;
        in[i].statement = statement;
        in[i].until_us = from + (int64_t)(b->seconds * 1e6);
        pthread_create(&in[i].thread, NULL, limits_insert, &in[i]);
    }
    size_t n = 0;
    for (int i = 0; i < connections; i++) {
        pthread_join(in[i].thread, NULL);
        n += in[i].latencies.n;
        for (size_t j = 0; j < in[i].latencies.n; j++)
            latencies_add(&all, in[i].latencies.us[j]);
        latencies_finish(&in[i].latencies);
    }
    double seconds = (double)(mono_us() - from) / 1e6, inserted = (double)n * rows;
    struct cpu cpu = cpu_since(b->server, before);
    printf("| limit: %s | %.0f rows/s | p50 %.2f ms | postgres %.0f µs a row |\n", name,
           inserted / seconds, latencies_ms(&all, 0.5), cpu.postgres / inserted * 1e6);
    fflush(stdout);
    latencies_finish(&all);
}

void bench_limits(const struct bench *b)
{
    limit_fsync(b);
    limit_http(b);
    if (!b->database)
        return;
    PGconn *pg = PQconnectdb(b->database);
    command(pg, "DROP TABLE IF EXISTS bench_events");
    command(pg, "DROP SEQUENCE IF EXISTS bench_position");
    command(pg, "CREATE TABLE bench_events (LIKE events INCLUDING ALL)");
    command(pg, "CREATE SEQUENCE bench_position CACHE 100");
    limit_insert(b, "one connection, single-row commits", ONE, 1, 1);
    limit_insert(b, "32 connections, single-row commits", ONE, 32, 1);
    limit_insert(b, "one connection, batches of 100", HUNDRED, 1, 100);
    command(pg, "DROP TABLE bench_events");
    command(pg, "DROP SEQUENCE bench_position");
    PQfinish(pg);
}

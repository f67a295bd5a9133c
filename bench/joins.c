/* Benchmarks 6 and 7: changes of state. A crowd joins one room, and leaves it, beside messages into
 * one room in the same run; and rooms are made. Closed loop, each user does each thing once. */
#include "bench/bench.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum { CROWD = 2000, AT_ONCE = 64, ROOMS = 2000 };

struct doing {
    const struct bench *bench;
    struct engine *engine;
    const char *name;
    char path[3 * ID_SIZE]; /* with a place for a number, when messages are sent */
    const char *body;
    bool is_send;
    size_t wanted, started, answered;
    struct latencies latencies;
};

static void joins_start_next(struct doing *d, struct client *c);

static void on_reply(struct client *c, int status, struct str body)
{
    struct doing *d = c->ctx;
    if (status != 200) {
        fprintf(stderr, "%s: %d %.*s\n", d->name, status, STR_FMT(body));
        exit(1);
    }
    latencies_add(&d->latencies, mono_us() - c->sent_us);
    d->answered++;
    /* Messages come from the same few clients, everything else from each user once. */
    joins_start_next(d, d->is_send ? c : engine_client(d->engine, d->started % CROWD));
}

static void joins_start_next(struct doing *d, struct client *c)
{
    char path[sizeof d->path + 32];
    if (d->started == d->wanted)
        return;
    if (d->is_send)
        snprintf(path, sizeof path, "%s-%zu", d->path, d->started);
    else
        snprintf(path, sizeof path, "%s", d->path);
    d->started++;
    c->ctx = d;
    client_send(d->engine, c, d->is_send ? "PUT" : "POST", path, d->body, on_reply);
}

static bool joins_is_done(void *ctx)
{
    const struct doing *d = ctx;
    return d->answered == d->wanted;
}

static void joins_run(struct doing *d)
{
    struct cpu before = cpu_read(d->bench->server);
    int64_t from = mono_us();
    for (size_t i = 0; i < AT_ONCE; i++)
        joins_start_next(d, engine_client(d->engine, i));
    engine_run(d->engine, joins_is_done, d, 0);
    double seconds = (double)(mono_us() - from) / 1e6, n = (double)d->answered;
    struct cpu cpu = cpu_since(d->bench->server, before);
    printf("| %s | %.0f /s | p50 %.2f ms | p99 %.2f ms | server %.0f µs | postgres %.0f µs |\n",
           d->name, n / seconds, latencies_ms(&d->latencies, 0.5),
           latencies_ms(&d->latencies, 0.99), cpu.server / n * 1e6, cpu.postgres / n * 1e6);
    fflush(stdout);
    latencies_finish(&d->latencies);
}

static void run_in_room(const struct bench *b, struct engine *e, const char *room, const char *what,
                        const char *name)
{
    struct doing d = {.bench = b, .engine = e, .name = name, .body = "{}", .wanted = CROWD};
    char escaped[ID_SIZE * 3 / 2];
    path_escape(room, escaped, sizeof escaped);
    snprintf(d.path, sizeof d.path, "/_matrix/client/v3/rooms/%s/%s", escaped, what);
    joins_run(&d);
}

static void run_send(const struct bench *b, struct engine *e, const char *room)
{
    static int runs;
    struct doing d = {.bench = b,
                      .engine = e,
                      .name = "joins: send, 64 clients, 1 room",
                      .body = "{\"msgtype\":\"m.text\",\"body\":\"Good morning\"}",
                      .is_send = true,
                      .wanted = 3 * (size_t)CROWD};
    char escaped[ID_SIZE * 3 / 2];
    path_escape(room, escaped, sizeof escaped);
    snprintf(d.path, sizeof d.path, "/_matrix/client/v3/rooms/%s/send/m.room.message/run%d",
             escaped, runs++);
    joins_run(&d);
}

static void run_create(const struct bench *b, struct engine *e, const char *name)
{
    struct doing d = {.bench = b,
                      .engine = e,
                      .name = name,
                      .path = "/_matrix/client/v3/createRoom",
                      .body = "{\"preset\":\"private_chat\",\"name\":\"A room\",\"topic\":\"Of the "
                              "benchmark\"}",
                      .wanted = ROOMS};
    joins_run(&d);
}

void bench_create(const struct bench *b)
{
    struct engine *e = engine_create(b->address);
    setup_users(e, "maker", CROWD);
    run_create(b, e, "createRoom, warm-up");
    run_create(b, e, "createRoom, 8 events, 64 clients");
    engine_destroy(e);
}

void bench_joins(const struct bench *b)
{
    char talk[ID_SIZE], crowd[ID_SIZE];
    struct engine *e = engine_create(b->address);
    setup_users(e, "joiner", CROWD);
    setup_room(e, engine_client(e, 0), "talk", talk);
    setup_joins(e, 1, AT_ONCE - 1, talk);
    setup_users(e, "owner", 1); /* not one of the crowd */
    setup_room(e, engine_client(e, CROWD), "crowd", crowd);
    run_send(b, e, talk);
    run_in_room(b, e, crowd, "join", "joins: join, 64 clients, 1 room");
    run_in_room(b, e, crowd, "leave", "joins: leave, 64 clients, 1 room");
    run_send(b, e, talk);
    run_in_room(b, e, crowd, "join", "joins: join again");
    engine_destroy(e);
}

/* Benchmark 8: nodes that share a database. What a message costs in the node that takes it and in
 * those that follow; writers on all nodes, in many rooms and in one; how long a message takes from
 * one node to a /sync on another. */
#include "bench/bench.h"
#include "bench/load.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum { CLIENTS = 64, ROOMS = 32, PARKED = 500, WAKES = 500 };

struct stage {
    const struct bench *b;
    struct engine *engine;
    char rooms[ROOMS][ID_SIZE];
    size_t on_first, on_all; /* CLIENTS on the first node; CLIENTS on all of them in turn */
};

static void nodes_setup(struct stage *s)
{
    const struct bench *b = s->b;
    s->on_first = setup_users(s->engine, "first", CLIENTS);
    for (size_t i = 0; i < CLIENTS; i++) {
        engine_turn_to(s->engine, b->nodes[i % b->nodes_n].address);
        size_t at = setup_users(s->engine, "any", 1);
        s->on_all = i ? s->on_all : at;
    }
    for (size_t r = 0; r < ROOMS; r++) {
        setup_room(s->engine, engine_client(s->engine, s->on_first + r), "nodes", s->rooms[r]);
        setup_joins(s->engine, s->on_first + r + ROOMS, 1, s->rooms[r]);
        setup_joins(s->engine, s->on_all + r, 1, s->rooms[r]);
        setup_joins(s->engine, s->on_all + r + ROOMS, 1, s->rooms[r]);
    }
    setup_joins(s->engine, s->on_all + 1, ROOMS - 1, s->rooms[0]);
    setup_joins(s->engine, s->on_all + ROOMS + 1, ROOMS - 1, s->rooms[0]);
}

/* ---- messages ---- */

static void nodes_load(struct stage *s, const char *name, size_t first, size_t rooms_n)
{
    const struct bench *b = s->b;
    struct load l = {.engine = s->engine,
                     .rooms = s->rooms,
                     .rooms_n = rooms_n,
                     .first = first,
                     .clients_n = CLIENTS,
                     .seconds = b->seconds};
    struct cpu before[BENCH_NODES_MAX], used;
    double others = 0;
    for (size_t i = 0; i < b->nodes_n; i++)
        before[i] = cpu_read(b->nodes[i].pid);
    load_run(&l);
    double n = (double)l.answered;
    for (size_t i = 1; i < b->nodes_n; i++)
        others += cpu_since(b->nodes[i].pid, before[i]).server;
    used = cpu_since(b->server, before[0]);
    printf(
        "| %zu nodes, %s | %.0f /s | p50 %.2f ms | p99 %.2f ms | %zu failed | first node %.0f µs "
        "| each other %.1f µs | postgres %.0f µs |\n",
        b->nodes_n, name, n / l.seconds, latencies_ms(&l.latencies, 0.5),
        latencies_ms(&l.latencies, 0.99), l.failed, used.server / n * 1e6,
        b->nodes_n > 1 ? others / n / (double)(b->nodes_n - 1) * 1e6 : 0, used.postgres / n * 1e6);
    fflush(stdout);
    latencies_finish(&l.latencies);
}

/* ---- waiting readers ---- */

struct reader {
    char marker[64];
    int64_t received_us;
    bool keeps_parking, is_parked;
    struct engine *engine;
};

static void nodes_park(struct client *c);

static void nodes_on_sync(struct client *c, int status, struct str body)
{
    struct reader *r = c->ctx;
    if (status != 200) {
        fprintf(stderr, "sync: %d %.*s\n", status, STR_FMT(body));
        exit(1);
    }
    take_string(body, "next_batch", c->since, sizeof c->since);
    r->is_parked = false;
    if (r->marker[0] && memmem(body.p, body.n, r->marker, strlen(r->marker)))
        r->received_us = mono_us();
    if (r->keeps_parking)
        nodes_park(c);
}

static void nodes_park(struct client *c)
{
    struct reader *r = c->ctx;
    char path[256];
    snprintf(path, sizeof path, "/_matrix/client/v3/sync?timeout=%d%s%s", c->since[0] ? 600000 : 0,
             c->since[0] ? "&since=" : "", c->since);
    r->is_parked = true;
    client_send(r->engine, c, "GET", path, NULL, nodes_on_sync);
}

static bool nodes_has_synced(void *ctx)
{
    return !((struct reader *)ctx)->is_parked;
}

static bool nodes_has_received(void *ctx)
{
    return ((struct reader *)ctx)->received_us;
}

static bool nodes_never(void *ctx)
{
    return false;
}

static void nodes_begin(struct stage *s, struct client *c, struct reader *r)
{
    *r = (struct reader){.engine = s->engine};
    c->ctx = r;
    nodes_park(c);
    engine_run(s->engine, nodes_has_synced, r, 0);
    r->keeps_parking = true;
    nodes_park(c);
}

static void nodes_sent(struct client *c, int status, struct str body)
{
    if (status == 200)
        return;
    fprintf(stderr, "send: %d %.*s\n", status, STR_FMT(body));
    exit(1);
}

/* Not woken: no message is for them. On the last node. */
static void nodes_park_many(struct stage *s)
{
    static struct reader readers[PARKED];
    engine_turn_to(s->engine, s->b->nodes[s->b->nodes_n - 1].address);
    size_t first = setup_users(s->engine, "parked", PARKED);
    for (size_t i = 0; i < PARKED; i++)
        nodes_begin(s, engine_client(s->engine, first + i), &readers[i]);
}

/* From the first node to this one. */
static void nodes_latency(struct stage *s, size_t node)
{
    struct latencies all = {0};
    struct reader r;
    struct client *sender = engine_client(s->engine, s->on_first);
    engine_turn_to(s->engine, s->b->nodes[node].address);
    size_t at = setup_users(s->engine, "reader", 1);
    setup_joins(s->engine, at, 1, s->rooms[0]);
    struct client *reader = engine_client(s->engine, at);
    nodes_begin(s, reader, &r);
    engine_run(s->engine, nodes_never, NULL, 500);
    for (int i = 0; i < WAKES; i++) {
        snprintf(r.marker, sizeof r.marker, "wake-%d-%lld", i, (long long)mono_us());
        r.received_us = 0;
        int64_t from = mono_us();
        load_send(s->engine, sender, s->rooms[0], r.marker, nodes_sent);
        engine_run(s->engine, nodes_has_received, &r, 10000);
        if (!r.received_us) {
            fprintf(stderr, "%s was not received\n", r.marker);
            exit(1);
        }
        latencies_add(&all, r.received_us - from);
        engine_run(s->engine, nodes_never, NULL, 2);
    }
    r.keeps_parking = false;
    printf(
        "| %zu nodes, from a send on the first to a sync on node %zu | p50 %.2f ms | p99 %.2f ms "
        "|\n",
        s->b->nodes_n, node + 1, latencies_ms(&all, 0.5), latencies_ms(&all, 0.99));
    fflush(stdout);
    latencies_finish(&all);
}

void bench_nodes(const struct bench *b)
{
    static struct stage s;
    s = (struct stage){.b = b, .engine = engine_create(b->address)};
    nodes_setup(&s);
    nodes_load(&s, "64 clients on the first, 32 rooms", s.on_first, ROOMS);
    nodes_load(&s, "64 clients on all, 32 rooms", s.on_all, ROOMS);
    nodes_load(&s, "64 clients on all, 1 room", s.on_all, 1);
    for (size_t node = 0; node < b->nodes_n; node++)
        nodes_latency(&s, node);
    nodes_park_many(&s);
    nodes_load(&s, "the first again, 500 parked on the last", s.on_first, ROOMS);
    engine_destroy(s.engine);
}

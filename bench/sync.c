/* Benchmarks 2 and 3: users parked in /sync. */
#include "bench/bench.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

struct crowd {
    struct engine *engine;
    size_t first, n;
    size_t parked, received;
    bool keep_parking;
    const char *marker; /* a reply that counts must contain it */
};

static void sync_park(struct crowd *c, struct client *client);

static void on_sync(struct client *client, int status, struct str body)
{
    struct crowd *c = client->ctx;
    if (status != 200) {
        fprintf(stderr, "sync: %d %.*s\n", status, STR_FMT(body));
        exit(1);
    }
    take_string(body, "next_batch", client->since, sizeof client->since);
    if (c->marker && memmem(body.p, body.n, c->marker, strlen(c->marker)))
        c->received++;
    c->parked--;
    if (c->keep_parking)
        sync_park(c, client);
}

static void sync_park(struct crowd *c, struct client *client)
{
    char path[256];
    snprintf(path, sizeof path, "/_matrix/client/v3/sync?timeout=%d%s%s",
             client->since[0] ? 600000 : 0, client->since[0] ? "&since=" : "", client->since);
    client->ctx = c;
    c->parked++;
    client_send(c->engine, client, "GET", path, NULL, on_sync);
}

static bool none_parked(void *ctx)
{
    return ((struct crowd *)ctx)->parked == 0;
}

static bool never(void *ctx)
{
    return false;
}

static bool all_received(void *ctx)
{
    struct crowd *c = ctx;
    return c->received == c->n;
}

/* Each syncs once, some at a time. */
static void sync_once(struct crowd *c)
{
    enum { AT_ONCE = 64 };
    c->keep_parking = false;
    for (size_t i = 0; i < c->n; i += AT_ONCE) {
        for (size_t j = i; j < i + AT_ONCE && j < c->n; j++)
            sync_park(c, engine_client(c->engine, c->first + j));
        engine_run(c->engine, none_parked, c, 0);
    }
}

static void park_all(struct crowd *c)
{
    enum { AT_ONCE = 128 };
    c->keep_parking = true;
    for (size_t i = 0; i < c->n; i++) {
        sync_park(c, engine_client(c->engine, c->first + i));
        if (i % AT_ONCE == 0)
            engine_run(c->engine, never, c, 1);
    }
    engine_run(c->engine, never, c, 3000); /* until changes that came meanwhile have been sent */
}

static void send_marked(struct engine *e, struct client *sender, const char *room,
                        const char *marker)
{
    char path[512], escaped[ID_SIZE * 3 / 2], body[256];
    path_escape(room, escaped, sizeof escaped);
    snprintf(path, sizeof path, "/_matrix/client/v3/rooms/%s/send/m.room.message/%s", escaped,
             marker);
    snprintf(body, sizeof body, "{\"msgtype\":\"m.text\",\"body\":\"%s\"}", marker);
    client_call(e, sender, "PUT", path, body);
}

void bench_fanout(const struct bench *b)
{
    enum { MESSAGES = 10 };
    size_t members = b->scale ? b->scale : 1000;
    char room[ID_SIZE];
    struct engine *e = engine_create(b->address);
    struct client *sender = engine_client(e, setup_users(e, "speaker", 1));
    setup_room(e, sender, "fanout", room);
    struct crowd c = {.engine = e, .first = setup_users(e, "listener", members), .n = members};
    setup_joins(e, c.first, members, room);
    sync_once(&c);
    park_all(&c);
    struct latencies all = {0};
    struct cpu before = cpu_read(b->server);
    for (int i = 0; i < MESSAGES; i++) {
        char marker[64];
        snprintf(marker, sizeof marker, "fanout-%d-%lld", i, (long long)now_ms());
        c.received = 0;
        c.marker = marker;
        int64_t from = mono_us();
        send_marked(e, sender, room, marker);
        engine_run(e, all_received, &c, 10000);
        if (c.received != c.n) {
            fprintf(stderr, "only %zu of %zu were reached\n", c.received, c.n);
            exit(1);
        }
        latencies_add(&all, mono_us() - from);
        engine_run(e, never, &c, 1000);
    }
    struct cpu cpu = cpu_since(b->server, before);
    double n = (double)members * MESSAGES;
    printf("| fan-out, %zu members | all received p50 %.0f ms | worst %.0f ms | per delivery: "
           "server %.0f "
           "µs | postgres %.1f µs |\n",
           members, latencies_ms(&all, 0.5), latencies_ms(&all, 1), cpu.server / n * 1e6,
           cpu.postgres / n * 1e6);
    latencies_finish(&all);
    engine_destroy(e);
}

void bench_parked(const struct bench *b)
{
    enum { WAKES = 2000 };
    size_t n = b->scale ? b->scale : 10000;
    char room[ID_SIZE];
    struct engine *e = engine_create(b->address);
    struct client *sender = engine_client(e, setup_users(e, "waker", 1));
    setup_room(e, sender, "parked", room);
    long without = resident_kib(b->server);
    struct crowd c = {.engine = e, .first = setup_users(e, "parked", n), .n = n};
    setup_joins(e, c.first, 1, room);
    double signed_in = (double)(resident_kib(b->server) - without) / (double)n;
    sync_once(&c);
    double synced = (double)(resident_kib(b->server) - without) / (double)n;
    park_all(&c);
    double parked = (double)(resident_kib(b->server) - without) / (double)n;
    printf(
        "| parked, %zu users | %.1f KiB resident each, connection and account | signed in %.1f | "
        "synced once %.1f |\n",
        n, parked, signed_in, synced);
    /* One user is woken repeatedly while all others stay parked; the cost of sending alone is
     * measured before, without a listener. */
    struct client *quiet = sender;
    char other[ID_SIZE];
    setup_room(e, quiet, "unheard", other);
    struct cpu before = cpu_read(b->server);
    for (int i = 0; i < WAKES; i++) {
        char marker[64];
        snprintf(marker, sizeof marker, "unheard-%d-%lld", i, (long long)now_ms());
        send_marked(e, sender, other, marker);
    }
    struct cpu alone = cpu_since(b->server, before);
    c.n = 1;
    before = cpu_read(b->server);
    for (int i = 0; i < WAKES; i++) {
        char marker[64];
        snprintf(marker, sizeof marker, "woken-%d-%lld", i, (long long)now_ms());
        c.received = 0;
        c.marker = marker;
        send_marked(e, sender, room, marker);
        engine_run(e, all_received, &c, 5000);
    }
    struct cpu woken = cpu_since(b->server, before);
    printf("| parked, waking one of %zu | server %.0f µs | the same send with no request to wake "
           "%.0f µs "
           "|\n",
           n, (woken.server - alone.server) / WAKES * 1e6, alone.server / WAKES * 1e6);
    engine_destroy(e);
}

/* Benchmark 11: phones on a poor line. All are parked, half in /sync and half in sliding sync; at
 * random one loses its connection, and asks again from the same position on a new one. */
#include "bench/bench.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum { PHONES = 10000, AT_ONCE = 64, PAUSE_US = 500 };

struct reconnect {
    struct engine *engine;
    char (*positions)[128];
    size_t first, n, outstanding;
    bool is_parking; /* replies are not awaited: they come when the timeout passes */
    int64_t next_us, until_us;
    size_t done;
};

static bool reconnect_is_sliding(const struct client *c)
{
    return c->index % 2;
}

static void reconnect_on_sync(struct client *c, int status, struct str body)
{
    struct reconnect *r = c->ctx;
    if (status != 200) {
        fprintf(stderr, "sync: %d %.*s\n", status, STR_FMT(body));
        exit(1);
    }
    char *position = r->positions[(size_t)c->index - r->first];
    take_string(body, reconnect_is_sliding(c) ? "pos" : "next_batch", position,
                sizeof *r->positions);
    r->outstanding--;
}

static void reconnect_sync(struct reconnect *r, size_t i)
{
    struct client *c = engine_client(r->engine, r->first + i);
    bool sliding = reconnect_is_sliding(c);
    const char *position = r->positions[i];
    char path[512];
    snprintf(path, sizeof path, "%s?timeout=%d%s%s",
             sliding ? "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
                     : "/_matrix/client/v3/sync",
             r->is_parking ? 600000 : 0,
             !*position ? ""
             : sliding  ? "&pos="
                        : "&since=",
             position);
    c->ctx = r;
    r->outstanding++;
    client_send(r->engine, c, sliding ? "POST" : "GET", path,
                sliding ? "{\"conn_id\":\"main\",\"lists\":{\"all\":{\"ranges\":[[0,19]],"
                          "\"timeline_limit\":1,\"required_state\":[]}},\"extensions\":{"
                          "\"e2ee\":{\"enabled\":true},\"to_device\":{\"enabled\":true}}}"
                        : NULL,
                reconnect_on_sync);
}

static bool none_outstanding(void *ctx)
{
    return ((struct reconnect *)ctx)->outstanding == 0;
}

/* Twice: the second answer holds what the first one's request changed. */
static void reconnect_sync_all(struct reconnect *r)
{
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < r->n; i += AT_ONCE) {
            for (size_t j = i; j < i + AT_ONCE && j < r->n; j++)
                reconnect_sync(r, j);
            engine_run(r->engine, none_outstanding, r, 0);
        }
    r->is_parking = true;
    for (size_t i = 0; i < r->n; i++)
        reconnect_sync(r, i);
}

static bool reconnect_tick(void *ctx)
{
    struct reconnect *r = ctx;
    int64_t now = mono_us();
    for (; r->next_us <= now && now < r->until_us; r->next_us += PAUSE_US) {
        size_t i = (size_t)rand() % r->n;
        client_drop(r->engine, engine_client(r->engine, r->first + i));
        reconnect_sync(r, i);
        r->done++;
    }
    return now >= r->until_us;
}

static bool reconnect_is_late(void *ctx)
{
    return mono_us() >= ((struct reconnect *)ctx)->next_us;
}

void bench_reconnect(const struct bench *b)
{
    struct reconnect r = {.engine = engine_create(b->address), .n = b->scale ? b->scale : PHONES};
    char room[ID_SIZE];
    struct client *owner = engine_client(r.engine, setup_users(r.engine, "owner", 1));
    setup_room(r.engine, owner, "reconnect", room);
    r.first = setup_users(r.engine, "phone", r.n);
    setup_joins(r.engine, r.first, r.n, room);
    r.positions = mem_zalloc(r.n * sizeof *r.positions);
    reconnect_sync_all(&r);
    r.next_us = mono_us() + 3000000; /* all are parked by then */
    engine_run(r.engine, reconnect_is_late, &r, 0);
    long resident = resident_kib(b->server);
    struct cpu before = cpu_read(b->server);
    r.until_us = mono_us() + (int64_t)(b->seconds * 1e6);
    r.next_us = mono_us();
    engine_run(r.engine, reconnect_tick, &r, 0);
    struct cpu cpu = cpu_since(b->server, before);
    double n = (double)r.done;
    printf(
        "| reconnect, %zu phones | %.0f /s | server %.0f µs | postgres %.1f µs | %+ld KiB resident "
        "|\n",
        r.n, n / b->seconds, cpu.server / n * 1e6, cpu.postgres / n * 1e6,
        resident_kib(b->server) - resident);
    free(r.positions);
    engine_destroy(r.engine);
}

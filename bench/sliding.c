/* Benchmark 12: a user in very many rooms: the first answer of sliding sync, and what one new
 * message costs in it and in /sync. */
#include "bench/bench.h"

#include "base/clock.h"

#include <stdio.h>

enum { ROOMS = 3000, FIRST = 20, MESSAGES = 1000 };

struct sliding {
    struct engine *engine;
    struct client *client;
    char room[ID_SIZE];
    char pos[128], since[128];
    int messages;
};

static void sliding_ask(struct sliding *s, const char *conn_id)
{
    char path[256], body[512];
    snprintf(path, sizeof path,
             "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0%s%s",
             *s->pos ? "&pos=" : "", s->pos);
    snprintf(body, sizeof body,
             "{\"conn_id\":\"%s\",\"lists\":{\"all\":{\"ranges\":[[0,19]],\"timeline_limit\":1,"
             "\"required_state\":[[\"m.room.name\",\"\"],[\"m.room.encryption\",\"\"],"
             "[\"m.room.member\",\"$LAZY\"],[\"m.room.member\",\"$ME\"]]}}}",
             conn_id);
    take_string(client_call(s->engine, s->client, "POST", path, body), "pos", s->pos,
                sizeof s->pos);
}

static void sliding_ask_sync(struct sliding *s)
{
    char path[256];
    snprintf(path, sizeof path, "/_matrix/client/v3/sync?timeout=0%s%s", *s->since ? "&since=" : "",
             s->since);
    take_string(client_call(s->engine, s->client, "GET", path, NULL), "next_batch", s->since,
                sizeof s->since);
}

static void sliding_send(struct sliding *s)
{
    char path[512], room[ID_SIZE * 3 / 2];
    path_escape(s->room, room, sizeof room);
    snprintf(path, sizeof path, "/_matrix/client/v3/rooms/%s/send/m.room.message/s%d", room,
             s->messages++);
    client_call(s->engine, s->client, "PUT", path, "{\"msgtype\":\"m.text\",\"body\":\"One.\"}");
}

static void sliding_first(const struct bench *b, struct sliding *s)
{
    struct latencies all = {0};
    int64_t cold = 0;
    struct cpu before = cpu_read(b->server);
    for (int i = 0; i <= FIRST; i++) {
        char conn_id[32];
        int64_t from = mono_us();
        snprintf(conn_id, sizeof conn_id, "first%d", i);
        *s->pos = '\0';
        sliding_ask(s, conn_id);
        if (i) {
            latencies_add(&all, mono_us() - from);
        } else {
            cold = mono_us() - from;
            before = cpu_read(b->server);
        }
    }
    struct cpu cpu = cpu_since(b->server, before);
    printf("| sliding, the first answer | the very first %.1f ms | p50 %.1f ms | worst %.1f ms | "
           "server %.1f ms | postgres %.1f ms |\n",
           (double)cold / 1000, latencies_ms(&all, 0.5), latencies_ms(&all, 1),
           cpu.server / FIRST * 1e3, cpu.postgres / FIRST * 1e3);
    latencies_finish(&all);
}

/* CPU of the server in µs for a message and what follows it. */
static double sliding_cost(const struct bench *b, struct sliding *s, void (*then)(struct sliding *))
{
    if (then)
        then(s);
    struct cpu before = cpu_read(b->server);
    for (int i = 0; i < MESSAGES; i++) {
        sliding_send(s);
        if (then)
            then(s);
    }
    return cpu_since(b->server, before).server / MESSAGES * 1e6;
}

static void sliding_ask_main(struct sliding *s)
{
    sliding_ask(s, "main");
}

void bench_sliding(const struct bench *b)
{
    size_t rooms = b->scale ? b->scale : ROOMS;
    struct sliding s = {.engine = engine_create(b->address)};
    s.client = engine_client(s.engine, setup_users(s.engine, "reader", 1));
    for (size_t i = 0; i < rooms; i++)
        setup_room(s.engine, s.client, "room", s.room);
    sliding_first(b, &s);
    *s.pos = '\0';
    double alone = sliding_cost(b, &s, NULL);
    double sliding = sliding_cost(b, &s, sliding_ask_main);
    double sync = sliding_cost(b, &s, sliding_ask_sync);
    printf(
        "| sliding, one new message, %zu rooms | %.0f µs | /sync %.0f µs | the message alone %.0f "
        "µs |\n",
        rooms, sliding - alone, sync - alone, alone);
    engine_destroy(s.engine);
}

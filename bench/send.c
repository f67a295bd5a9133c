/* Benchmark 1: durable messages. Closed loop: each client sends its next message when the last one
 * was answered. */
#include "bench/bench.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

struct sending {
    struct engine *engine;
    char (*rooms)[ID_SIZE];
    size_t rooms_n, clients_n;
    size_t wanted, sent, answered; /* wanted 0: until the time is up */
    int64_t until_us;
    struct latencies latencies;
};

static void send_next(struct sending *s, struct client *c);

static void on_sent(struct client *c, int status, struct str body)
{
    struct sending *s = c->ctx;
    if (status != 200) {
        fprintf(stderr, "send: %d %.*s\n", status, STR_FMT(body));
        exit(1);
    }
    latencies_add(&s->latencies, mono_us() - c->sent_us);
    s->answered++;
    send_next(s, c);
}

static void send_next(struct sending *s, struct client *c)
{
    if (s->wanted ? s->sent == s->wanted : mono_us() >= s->until_us)
        return;
    char path[512], room[ID_SIZE * 3 / 2], body[512];
    path_escape(s->rooms[(size_t)c->index % s->rooms_n], room, sizeof room);
    snprintf(path, sizeof path, "/_matrix/client/v3/rooms/%s/send/m.room.message/b%lld-%zu", room,
             (long long)s->until_us, s->sent);
    snprintf(body, sizeof body,
             "{\"msgtype\":\"m.text\",\"body\":\"Message %zu of the benchmark, about as long as "
             "what people write to each other in a working day.\"}",
             s->sent);
    s->sent++;
    c->ctx = s;
    client_send(s->engine, c, "PUT", path, body, on_sent);
}

static bool send_all_answered(void *ctx)
{
    struct sending *s = ctx;
    return s->answered == s->sent && (s->wanted ? s->sent == s->wanted : mono_us() >= s->until_us);
}

static void send_run(const struct bench *b, struct engine *e, char (*rooms)[ID_SIZE],
                     size_t rooms_n, size_t clients_n, size_t wanted, const char *name)
{
    struct sending s = {.engine = e,
                        .rooms = rooms,
                        .rooms_n = rooms_n,
                        .clients_n = clients_n,
                        .wanted = wanted,
                        .until_us = mono_us() + (int64_t)(b->seconds * 1e6)};
    struct cpu before = cpu_read(b->server);
    int64_t from = mono_us();
    for (size_t i = 0; i < clients_n; i++)
        send_next(&s, engine_client(e, i));
    engine_run(e, send_all_answered, &s, 0);
    double seconds = (double)(mono_us() - from) / 1e6;
    struct cpu cpu = cpu_since(b->server, before);
    double n = (double)s.answered;
    printf(
        "| send, %s | %.0f /s | p50 %.2f ms | p99 %.2f ms | server %.0f µs | postgres %.0f µs |\n",
        name, n / seconds, latencies_ms(&s.latencies, 0.5), latencies_ms(&s.latencies, 0.99),
        cpu.server / n * 1e6, cpu.postgres / n * 1e6);
    fflush(stdout);
    latencies_finish(&s.latencies);
}

void bench_send(const struct bench *b)
{
    enum { CLIENTS = 64, ROOMS = 32, SEQUENTIAL = 2000 };
    static char rooms[ROOMS][ID_SIZE];
    struct engine *e = engine_create(b->address);
    setup_users(e, "sender", CLIENTS);
    for (size_t r = 0; r < ROOMS; r++) {
        setup_room(e, engine_client(e, r), "send", rooms[r]);
        setup_joins(e, r + ROOMS, 1, rooms[r]);
    }
    send_run(b, e, rooms, ROOMS, CLIENTS, 2000, "warm-up");
    send_run(b, e, rooms, ROOMS, 1, SEQUENTIAL, "1 client");
    send_run(b, e, rooms, ROOMS, 10, 10 * SEQUENTIAL, "10 clients");
    send_run(b, e, rooms, ROOMS, CLIENTS, 0, "64 clients, 32 rooms");
    setup_joins(e, 1, ROOMS - 1, rooms[0]);
    send_run(b, e, rooms, 1, ROOMS, 0, "32 clients, 1 room");
    engine_destroy(e);
}

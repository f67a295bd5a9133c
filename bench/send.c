/* Benchmark 1: durable messages. */
#include "bench/bench.h"
#include "bench/load.h"

#include <stdio.h>
#include <stdlib.h>

static void send_run(const struct bench *b, struct engine *e, char (*rooms)[ID_SIZE],
                     size_t rooms_n, size_t clients_n, size_t wanted, const char *name)
{
    struct load l = {.engine = e,
                     .rooms = rooms,
                     .rooms_n = rooms_n,
                     .clients_n = clients_n,
                     .wanted = wanted,
                     .seconds = b->seconds};
    struct cpu before = cpu_read(b->server);
    load_run(&l);
    struct cpu cpu = cpu_since(b->server, before);
    double n = (double)l.answered;
    if (l.failed)
        exit(1);
    printf(
        "| send, %s | %.0f /s | p50 %.2f ms | p99 %.2f ms | server %.0f µs | postgres %.0f µs |\n",
        name, n / l.seconds, latencies_ms(&l.latencies, 0.5), latencies_ms(&l.latencies, 0.99),
        cpu.server / n * 1e6, cpu.postgres / n * 1e6);
    fflush(stdout);
    latencies_finish(&l.latencies);
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

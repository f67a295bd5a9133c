/* Benchmark 9: one message in a room of many members, all of which have a phone. */
#include "base/clock.h"
#include "bench/bench.h"
#include "bench/gateway.h"
#include "bench/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool push_have_arrived(void *ctx)
{
    return gateway_received() >= *(const long long *)ctx;
}

static void push_on_sent(struct client *c, int status, struct str body)
{
    if (status == 200)
        return;
    fprintf(stderr, "push: %d %.*s\n", status, STR_FMT(body));
    exit(1);
}

static void push_run(const struct bench *b, struct engine *e, const char *room, size_t phones,
                     const char *name)
{
    char txn[64];
    int64_t began = mono_us();
    struct cpu before = cpu_read(b->server);
    long long wanted = gateway_received() + (long long)phones;
    snprintf(txn, sizeof txn, "push-%lld", (long long)began);
    load_send(e, engine_client(e, 0), room, txn, push_on_sent);
    engine_run(e, push_have_arrived, &wanted, 120 * 1000);
    while (!push_have_arrived(&wanted) && mono_us() - began < 120 * 1000000LL)
        usleep(1000);
    double s = (double)(mono_us() - began) / 1e6;
    struct cpu cpu = cpu_since(b->server, before);
    if (!push_have_arrived(&wanted))
        fprintf(stderr, "push: %lld of %lld arrived\n", gateway_received(), wanted);
    printf("| push, %zu phones, %s | %.0f /s | %.2f s | server %.0f µs | postgres %.0f µs | |\n",
           phones, name, (double)phones / s, s, cpu.server / (double)phones * 1e6,
           cpu.postgres / (double)phones * 1e6);
    fflush(stdout);
}

void bench_push(const struct bench *b)
{
    enum { MEMBERS = 10000, PHONES = 3000 };
    static char room[ID_SIZE];
    size_t members = b->scale ? b->scale : MEMBERS;
    size_t phones = members < PHONES ? members - 1 : PHONES;
    struct engine *e = engine_create(b->address);
    gateway_start(b->gateway);
    setup_users(e, "phone", members);
    setup_room(e, engine_client(e, 0), "push", room);
    setup_joins(e, 1, members - 1, room);
    setup_pushers(e, 1, phones);
    push_run(b, e, room, phones, "first message");
    for (int i = 0; i < 3; i++)
        push_run(b, e, room, phones, i ? i > 1 ? "fourth" : "third" : "second");
    engine_destroy(e);
}

/* Benchmark 9: one message in a room of many members, all of which have a phone. The push gateway
 * is here. */
#include "base/clock.h"
#include "base/thread.h"
#include "bench/bench.h"
#include "bench/load.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_llong pushes;

/* ---- the gateway ---- */

/* A whole request is in the buffer: returns its length; 0: not yet. */
static size_t push_request_size(const char *in, size_t n)
{
    const char *end = memmem(in, n, "\r\n\r\n", 4);
    const char *length = end ? memmem(in, (size_t)(end - in), "Content-Length: ", 16) : NULL;
    size_t size = length ? (size_t)(end + 4 - in) + strtoul(length + 16, NULL, 10) : 0;
    return size <= n ? size : 0;
}

static void *push_serve_connection(void *of)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                 "Content-Length: 15\r\n\r\n{\"rejected\":[]}";
    int fd = (int)(intptr_t)of;
    char in[64 * 1024];
    size_t n = 0, size;
    for (ssize_t got; (got = read(fd, in + n, sizeof in - n)) > 0;) {
        n += (size_t)got;
        if (!(size = push_request_size(in, n)))
            continue;
        n = 0; /* requests are not pipelined */
        atomic_fetch_add(&pushes, 1);
        if (write(fd, answer, sizeof answer - 1) < 0)
            break;
    }
    close(fd);
    return NULL;
}

static void *push_serve_gateway(void *of)
{
    int listener = (int)(intptr_t)of;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
        pthread_t thread;
        if (!thread_start(&thread, "gateway", push_serve_connection, (void *)(intptr_t)fd))
            exit(1);
        pthread_detach(thread);
    }
    return NULL;
}

static void push_start_gateway(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    pthread_t thread;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 128) ||
        !thread_start(&thread, "gateway", push_serve_gateway, (void *)(intptr_t)listener)) {
        perror("the gateway");
        exit(1);
    }
    pthread_detach(thread);
}

/* ---- the measurement ---- */

static bool push_have_arrived(void *ctx)
{
    return atomic_load(&pushes) >= *(const long long *)ctx;
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
    long long wanted = atomic_load(&pushes) + (long long)phones;
    snprintf(txn, sizeof txn, "push-%lld", (long long)began);
    load_send(e, engine_client(e, 0), room, txn, push_on_sent);
    engine_run(e, push_have_arrived, &wanted, 120 * 1000);
    while (!push_have_arrived(&wanted) && mono_us() - began < 120 * 1000000LL)
        usleep(1000);
    double s = (double)(mono_us() - began) / 1e6;
    struct cpu cpu = cpu_since(b->server, before);
    if (!push_have_arrived(&wanted))
        fprintf(stderr, "push: %lld of %lld arrived\n", atomic_load(&pushes), wanted);
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
    push_start_gateway(b->gateway);
    setup_users(e, "phone", members);
    setup_room(e, engine_client(e, 0), "push", room);
    setup_joins(e, 1, members - 1, room);
    setup_pushers(e, 1, phones);
    push_run(b, e, room, phones, "first message");
    for (int i = 0; i < 3; i++)
        push_run(b, e, room, phones, i ? i > 1 ? "fourth" : "third" : "second");
    engine_destroy(e);
}

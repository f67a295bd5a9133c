/* Benchmarks 4 and 5: a large account, and a large room. */
#include "bench/bench.h"

#include "base/clock.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void timed_sync(const struct bench *b, struct engine *e, struct client *c, const char *name,
                       const char *filter)
{
    char path[512];
    snprintf(path, sizeof path, "/_matrix/client/v3/sync?timeout=0%s%s", filter ? "&filter=" : "",
             filter ? filter : "");
    long before = resident_kib(b->server);
    reset_peak(b->server);
    struct cpu cpu_before = cpu_read(b->server);
    int64_t from = mono_us();
    struct str body = client_call(e, c, "GET", path, NULL);
    double ms = (double)(mono_us() - from) / 1000;
    struct cpu cpu = cpu_since(b->server, cpu_before);
    printf("| initial sync, %s | %.0f ms | %.1f MiB of reply | %.1f MiB more memory at the peak | "
           "server %.0f ms | postgres %.0f ms |\n",
           name, ms, (double)body.n / 1048576,
           (double)(resident_peak_kib(b->server) - before) / 1024, cpu.server * 1e3,
           cpu.postgres * 1e3);
    fflush(stdout);
}

#define LAZY                                                                                       \
    "%7B%22room%22:%7B%22state%22:%7B%22lazy_load_members%22:true%7D,%22timeline%22:%7B%22lazy_"   \
    "load_members%22:true%7D%7D%7D"

void bench_initial(const struct bench *b)
{
    size_t members = b->scale ? b->scale : 300, rooms = members;
    struct engine *e = engine_create(b->address);
    size_t first = setup_users(e, "member", members);
    for (size_t r = 0; r < rooms; r++) {
        char room[ID_SIZE], name[32];
        snprintf(name, sizeof name, "room %zu", r);
        setup_room(e, engine_client(e, first + r % members), name, room);
        setup_joins(e, first, members, room);
    }
    struct client *reader = engine_client(e, first);
    char name[96];
    for (int again = 0; again < 2; again++) {
        const char *state = again ? "again" : "first";
        snprintf(name, sizeof name, "%zu rooms of %zu, lazy, %s", rooms, members, state);
        timed_sync(b, e, reader, name, LAZY);
        snprintf(name, sizeof name, "%zu rooms of %zu, entire, %s", rooms, members, state);
        timed_sync(b, e, reader, name, NULL);
    }
    engine_destroy(e);
}

/* ---- a room of ten thousand ---- */

static void send_to(struct engine *e, struct client *c, const char *room, int n,
                    struct latencies *l)
{
    for (int i = 0; i < n; i++) {
        char path[512], escaped[ID_SIZE * 3 / 2];
        path_escape(room, escaped, sizeof escaped);
        snprintf(path, sizeof path, "/_matrix/client/v3/rooms/%s/send/m.room.message/r%lld-%d",
                 escaped, (long long)mono_us(), i);
        int64_t from = mono_us();
        client_call(e, c, "PUT", path, "{\"msgtype\":\"m.text\",\"body\":\"To all of you\"}");
        latencies_add(l, mono_us() - from);
    }
}

/* PostgreSQL's processes report their counts at the end of a transaction, at most once a second: so
 * one more message is sent after a pause. The caller allows for it. */
static long count_rows(PGconn *pg, struct engine *e, struct client *c, const char *room)
{
    struct latencies l = {0};
    sleep(2);
    send_to(e, c, room, 1, &l);
    latencies_finish(&l);
    sleep(1);
    PGresult *r = PQexec(pg, "SELECT sum(n_tup_ins + n_tup_upd) FROM pg_stat_user_tables");
    long n = PQntuples(r) ? atol(PQgetvalue(r, 0, 0)) : -1;
    PQclear(r);
    return n;
}

static void measure_room(const struct bench *b, PGconn *pg, struct engine *e, struct client *c,
                         const char *room, size_t members)
{
    enum { SENDS = 200 };
    struct latencies l = {0};
    send_to(e, c, room, 50, &l);
    latencies_finish(&l);
    long rows = pg ? count_rows(pg, e, c, room) : 0;
    send_to(e, c, room, SENDS, &l);
    rows = pg ? count_rows(pg, e, c, room) - rows : 0;
    printf("| send to a room of %zu | p50 %.2f ms | p99 %.2f ms | %.2f rows written |\n", members,
           latencies_ms(&l, 0.5), latencies_ms(&l, 0.99), (double)rows / (SENDS + 1));
    fflush(stdout);
    latencies_finish(&l);
}

void bench_bigroom(const struct bench *b)
{
    size_t members = b->scale ? b->scale : 10000;
    char small[ID_SIZE], big[ID_SIZE];
    PGconn *pg = b->database ? PQconnectdb(b->database) : NULL;
    struct engine *e = engine_create(b->address);
    size_t first = setup_users(e, "crowd", members);
    struct client *sender = engine_client(e, first);
    setup_room(e, sender, "two", small);
    setup_joins(e, first + 1, 1, small);
    setup_room(e, sender, "all", big);
    int64_t from = mono_us();
    setup_joins(e, first + 1, members - 1, big);
    printf("| joining %zu members | %.0f /s |\n", members - 1,
           (double)(members - 1) / ((double)(mono_us() - from) / 1e6));
    for (int round = 0; round < 2; round++) {
        measure_room(b, pg, e, sender, small, 2);
        measure_room(b, pg, e, sender, big, members);
    }
    PQfinish(pg);
    engine_destroy(e);
}

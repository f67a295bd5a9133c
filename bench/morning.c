/* Benchmark 10: a morning. Accounts come online one after the other, half with /sync and half with
 * sliding sync as phones do, read, and write to their teams and departments. Behind a reverse
 * proxy: what is not a sync goes through few connections that all accounts share. */
#include "bench/bench.h"
#include "bench/gateway.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ACCOUNTS = 5000,
    AWAY_EACH = 5, /* so many accounts that come, one that stays away, with a pusher */
    TEAM = 20,
    DEPARTMENT = 200,
    PROXIED = 256,          /* connections for all that is not a sync */
    ARRIVALS_US = 60000000, /* all are online after this */
    LATER_US = 30000000,    /* and go on for this long */
    PAUSE_US = 30000000,    /* between two messages of an account */
    DEPARTMENT_EACH = 10,   /* so many messages of an account, one to its department */
};

struct account {
    struct client *client; /* syncs */
    bool is_phone;         /* sliding sync */
    bool is_online, has_synced, has_unread;
    char pos[128], to_device[64];
    int64_t next_send_us;
    size_t sends;
};

struct place {
    char room[ID_SIZE];
    char last_event[128];
};

struct morning {
    struct engine *engine;
    struct account *accounts;
    struct place *teams, *departments;
    size_t n, arrived, proxies, busy;
    size_t first_proxy;
    struct proxied *idle; /* a list */
    int64_t from_us;
    bool is_over;
    struct latencies sends, receipts, first_sync, first_sliding;
    size_t replies, refused;
};

/* A connection of the proxy, and the request on it. */
struct proxied {
    struct client *client;
    struct proxied *next;
    struct morning *morning;
    struct place *place;
    struct latencies *latencies;
};

static const char sliding_lists[] =
    "\"conn_id\":\"room-list\",\"lists\":{\"all_rooms\":{\"ranges\":[[0,19]],\"timeline_limit\":1,"
    "\"required_state\":[[\"m.room.name\",\"\"],[\"m.room.encryption\",\"\"],[\"m.room.create\","
    "\"\"],"
    "[\"m.room.member\",\"$LAZY\"],[\"m.room.member\",\"$ME\"]]}}";

static void morning_sync(struct morning *m, struct account *a);

static struct account *account_of(struct morning *m, const struct client *c)
{
    return &m->accounts[(size_t)c->index - (size_t)m->accounts[0].client->index];
}

static void morning_on_sync(struct client *c, int status, struct str body)
{
    struct morning *m = c->ctx;
    struct account *a = account_of(m, c);
    m->replies++;
    if (status != 200) {
        fprintf(stderr, "sync: %d %.*s\n", status, STR_FMT(body));
        exit(1);
    }
    if (!a->has_synced)
        latencies_add(a->is_phone ? &m->first_sliding : &m->first_sync, mono_us() - c->sent_us);
    else if (memmem(body.p, body.n, "m.room.encrypted", 16))
        a->has_unread = true;
    a->has_synced = true;
    take_string(body, a->is_phone ? "pos" : "next_batch", a->pos, sizeof a->pos);
    if (a->is_phone)
        take_string(body, "next_batch", a->to_device, sizeof a->to_device);
    morning_sync(m, a);
}

static void morning_sync(struct morning *m, struct account *a)
{
    char path[512], body[1024];
    if (m->is_over)
        return;
    const char *timeout = a->has_synced ? "30000" : "0";
    if (a->is_phone) {
        snprintf(path, sizeof path,
                 "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=%s%s%s",
                 timeout, a->has_synced ? "&pos=" : "", a->pos);
        snprintf(body, sizeof body,
                 "{%s,\"extensions\":{\"to_device\":{\"enabled\":true%s%s%s},\"e2ee\":{\"enabled\":"
                 "true},\"account_data\":{\"enabled\":true},\"receipts\":{\"enabled\":true},"
                 "\"typing\":{\"enabled\":true}}}",
                 sliding_lists, a->has_synced ? ",\"since\":\"" : "", a->to_device,
                 a->has_synced ? "\"" : "");
    } else {
        snprintf(path, sizeof path,
                 "/_matrix/client/v3/sync?timeout=%s&filter=%%7B%%22room%%22:%%7B%%22state%%22:%%7B"
                 "%%22lazy_load_members%%22:true%%7D%%7D%%7D%s%s",
                 timeout, a->has_synced ? "&since=" : "", a->pos);
    }
    a->client->ctx = m;
    client_send(m->engine, a->client, a->is_phone ? "POST" : "GET", path, a->is_phone ? body : NULL,
                morning_on_sync);
}

static void morning_on_done(struct client *c, int status, struct str body)
{
    struct proxied *p = c->ctx;
    struct morning *m = p->morning;
    latencies_add(p->latencies, mono_us() - c->sent_us);
    if (status != 200 && m->refused++ < 3)
        fprintf(stderr, "%d %.*s\n", status, STR_FMT(body));
    if (status == 200 && p->place)
        take_string(body, "event_id", p->place->last_event, sizeof p->place->last_event);
    p->next = m->idle;
    m->idle = p;
    m->busy--;
}

/* place: where the reply's event is; NULL: it has none. No request if all connections are busy: the
 * account tries again at the next tick. */
static bool morning_request(struct morning *m, const struct account *a, const char *method,
                            const char *path, const char *body, struct place *place,
                            struct latencies *latencies)
{
    struct proxied *p = m->idle;
    if (!p)
        return false;
    m->idle = p->next;
    m->busy++;
    p->place = place;
    p->latencies = latencies;
    snprintf(p->client->token, sizeof p->client->token, "%s", a->client->token);
    client_send(m->engine, p->client, method, path, body, morning_on_done);
    return true;
}

static struct place *team_of(const struct morning *m, const struct account *a)
{
    return &m->teams[(size_t)(a - m->accounts) / TEAM];
}

static void account_write(struct morning *m, struct account *a, int64_t now)
{
    size_t i = (size_t)(a - m->accounts);
    bool to_all = a->sends % DEPARTMENT_EACH == i % DEPARTMENT_EACH;
    struct place *place = to_all ? &m->departments[i / DEPARTMENT] : team_of(m, a);
    char path[2 * ID_SIZE], room[ID_SIZE * 3 / 2], body[768];
    path_escape(place->room, room, sizeof room);
    snprintf(path, sizeof path, "/_matrix/client/v3/rooms/%s/send/m.room.encrypted/m%zu-%lld", room,
             a->sends, (long long)m->from_us);
    snprintf(body, sizeof body,
             "{\"algorithm\":\"m.megolm.v1.aes-sha2\",\"session_id\":\"benchmark\",\"ciphertext\":"
             "\"%0400d\"}",
             (int)i);
    if (!morning_request(m, a, "PUT", path, body, place, &m->sends))
        return;
    a->sends++;
    a->next_send_us = now + PAUSE_US;
}

static void account_read(struct morning *m, struct account *a)
{
    const struct place *place = team_of(m, a);
    char path[1024], room[ID_SIZE * 3 / 2], event[ID_SIZE];
    if (!*place->last_event)
        return;
    path_escape(place->room, room, sizeof room);
    path_escape(place->last_event, event, sizeof event);
    snprintf(path, sizeof path, "/_matrix/client/v3/rooms/%s/receipt/m.read/%s", room, event);
    if (morning_request(m, a, "POST", path, "{}", NULL, &m->receipts))
        a->has_unread = false;
}

/* Each turn of the loop: who comes online, who writes, who reads. People read when they write. */
static bool morning_tick(void *ctx)
{
    struct morning *m = ctx;
    int64_t now = mono_us(), passed = now - m->from_us;
    while (m->arrived < m->n && passed >= (int64_t)m->arrived * (ARRIVALS_US / (int64_t)m->n)) {
        struct account *a = &m->accounts[m->arrived++];
        a->is_online = true;
        a->next_send_us = now + PAUSE_US * (int64_t)(m->arrived % 64) / 64;
        morning_sync(m, a);
    }
    for (size_t i = 0; i < m->arrived; i++) {
        struct account *a = &m->accounts[i];
        if (!a->has_synced || now < a->next_send_us)
            continue;
        if (a->has_unread)
            account_read(m, a);
        account_write(m, a, now);
    }
    m->is_over = passed >= ARRIVALS_US + LATER_US;
    return m->is_over && !m->busy;
}

/* A room for each `size` accounts in turn. */
static struct place *morning_places(struct engine *e, const struct morning *m, size_t size,
                                    const char *name)
{
    size_t first = (size_t)m->accounts[0].client->index;
    struct place *places = mem_zalloc((m->n / size + 1) * sizeof *places);
    for (size_t i = 0; i < m->n; i += size) {
        size_t n = m->n - i < size ? m->n - i : size;
        setup_room(e, engine_client(e, first + i), name, places[i / size].room);
        setup_joins(e, first + i + 1, n - 1, places[i / size].room);
    }
    return places;
}

/* Each team has some who stay away. */
static void morning_setup_away(struct morning *m)
{
    enum { AWAY = TEAM / AWAY_EACH };
    size_t teams = (m->n + TEAM - 1) / TEAM;
    size_t first = setup_users(m->engine, "away", teams * AWAY);
    for (size_t i = 0; i < teams; i++)
        setup_joins(m->engine, first + i * AWAY, AWAY, m->teams[i].room);
    setup_pushers(m->engine, first, teams * AWAY);
}

static void morning_setup(struct morning *m, bool has_gateway)
{
    struct engine *e = m->engine;
    size_t first = setup_users(e, "official", m->n);
    setup_keys(e, first, m->n);
    m->accounts = mem_zalloc(m->n * sizeof *m->accounts);
    for (size_t i = 0; i < m->n; i++)
        m->accounts[i] = (struct account){.client = engine_client(e, first + i), .is_phone = i % 2};
    m->teams = morning_places(e, m, TEAM, "team");
    m->departments = morning_places(e, m, DEPARTMENT, "department");
    if (has_gateway)
        morning_setup_away(m);
    for (size_t i = 0; i < PROXIED; i++) {
        struct proxied *p = mem_zalloc(sizeof *p);
        *p = (struct proxied){.client = engine_connect(e), .next = m->idle, .morning = m};
        p->client->ctx = p;
        m->idle = p;
    }
}

static void morning_finish(struct morning *m)
{
    for (struct proxied *p = m->idle, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    latencies_finish(&m->sends);
    latencies_finish(&m->receipts);
    latencies_finish(&m->first_sync);
    latencies_finish(&m->first_sliding);
    free(m->accounts);
    free(m->teams);
    free(m->departments);
    engine_destroy(m->engine);
}

static void morning_print(const char *what, struct latencies *l)
{
    printf("| morning, %s | %zu | p50 %.1f ms | p99 %.1f ms | worst %.0f ms |\n", what, l->n,
           latencies_ms(l, 0.5), latencies_ms(l, 0.99), latencies_ms(l, 1));
}

void bench_morning(const struct bench *b)
{
    struct morning m = {.engine = engine_create(b->address), .n = b->scale ? b->scale : ACCOUNTS};
    long empty = resident_kib(b->server);
    if (b->gateway)
        gateway_start(b->gateway);
    morning_setup(&m, b->gateway);
    long signed_in = resident_kib(b->server);
    struct cpu before = cpu_read(b->server);
    m.from_us = mono_us();
    engine_run(m.engine, morning_tick, &m, 0);
    struct cpu cpu = cpu_since(b->server, before);
    double n = (double)m.n;
    morning_print("sends", &m.sends);
    morning_print("receipts", &m.receipts);
    morning_print("first /sync", &m.first_sync);
    morning_print("first sliding sync", &m.first_sliding);
    printf("| morning, %zu accounts | %zu replies to syncs | %zu refused | %lld pushes | CPU of 90 "
           "s: server %.1f "
           "s | postgres %.1f s | KiB an account: signed in %.1f, online %.1f |\n",
           m.n, m.replies, m.refused, gateway_received(), cpu.server, cpu.postgres,
           (double)(signed_in - empty) / n, (double)(resident_kib(b->server) - empty) / n);
    morning_finish(&m);
}

#include "http/connections.h"

#include "base/clock.h"
#include "base/mem.h"
#include "http/internal.h"

enum {
    /* The share of a loop's connections to close at once, to be worth a walk over all of them. */
    DISPLACED_SHARE = 64,
    /* Connections that have waited nearly as long as the longest, within this share of its time,
     * are closed too. */
    LONG_SHARE = 4,
    /* The share of connections to keep free: without one, a client waits in the kernel's queue,
     * behind those who open as many as they can. */
    FREE_SHARE = 16
};

void connections_init(struct connections *c, int of_address_max)
{
    lock_init(&c->lock, RANK_LEAF);
    c->of_address_max = of_address_max;
}

void connections_finish(struct connections *c)
{
    for (struct map_slot *slot = NULL; (slot = map_next(&c->by_address, slot));)
        free(slot->value);
    map_finish(&c->by_address);
    lock_finish(&c->lock);
}

/* 0: not bounded. */
static uint64_t connections_key_of(const struct http_server *s, const struct newcomer *n)
{
    struct address a;
    if (!address_of_socket((const struct sockaddr *)&n->address, &a) ||
        address_is_within(s->proxies, &a))
        return 0;
    struct str subscriber = address_subscriber(&a);
    uint64_t key = hash_bytes(subscriber.p, subscriber.n);
    return key ? key : 1;
}

static int *count_locked(struct connections *c, uint64_t key)
{
    int *n = map_get_int(&c->by_address, (int64_t)key);
    if (!n) {
        n = mem_zalloc(sizeof *n);
        map_put_int(&c->by_address, (int64_t)key, n);
    }
    return n;
}

enum connection_verdict { TAKEN, TAKEN_AT_BOUND, REFUSED_AT_BOUND, REFUSED_WHILE_SHORT };

/* Whether an address has as many as if all addresses had equally many. */
static bool connections_has_its_share_locked(const struct connections *c,
                                             const struct http_server *s, int n)
{
    int share = s->connections_max / (int)c->by_address.n;
    return n >= (share > 1 ? share : 1);
}

/* A few more than the bound are accepted, while displaced ones close. */
static enum connection_verdict judge_locked(const struct connections *c,
                                            const struct http_server *s, int n)
{
    int max = c->of_address_max;
    if (n >= max + max / DISPLACED_SHARE + 1)
        return REFUSED_AT_BOUND;
    if (connections_are_short(s) && connections_has_its_share_locked(c, s, n))
        return REFUSED_WHILE_SHORT;
    return n >= max ? TAKEN_AT_BOUND : TAKEN;
}

static enum connection_verdict connections_take_one(struct http_server *s, uint64_t key)
{
    struct connections *c = &s->connections;
    LOCKED(&c->lock);
    int *n = count_locked(c, key);
    enum connection_verdict v = judge_locked(c, s, *n);
    if (v == TAKEN || v == TAKEN_AT_BOUND)
        ++*n;
    else
        c->refused++;
    return v;
}

static void ask_loops(struct http_server *s, uint64_t key)
{
    for (int i = 0; i < s->loops_n; i++) {
        atomic_store(&s->loops[i].displace, key);
        loop_notify(&s->loops[i]);
    }
}

bool connections_add(struct http_server *s, struct newcomer *n)
{
    n->key = connections_key_of(s, n);
    enum connection_verdict v = n->key ? connections_take_one(s, n->key) : TAKEN;
    if (v == TAKEN_AT_BOUND || v == REFUSED_AT_BOUND)
        ask_loops(s, n->key);
    return v == TAKEN || v == TAKEN_AT_BOUND;
}

static void connections_give_back(struct connections *c, uint64_t key)
{
    LOCKED(&c->lock);
    int *n = map_get_int(&c->by_address, (int64_t)key);
    if (--*n == 0) {
        map_remove_int(&c->by_address, (int64_t)key);
        free(n);
    }
}

void connections_remove(struct http_server *s, struct loop *l, uint64_t key)
{
    if (key)
        connections_give_back(&s->connections, key);
    atomic_fetch_sub(&l->connections_n, 1);
    if (atomic_fetch_sub(&s->connections_n, 1) == s->connections_max)
        loop_notify(&s->loops[0]); /* it may accept again */
}

static uint64_t heaviest(struct connections *c)
{
    uint64_t key = 0;
    int most = 0;
    LOCKED(&c->lock);
    for (struct map_slot *slot = NULL; (slot = map_next(&c->by_address, slot));) {
        int n = *(int *)slot->value;
        if (n > most) {
            most = n;
            key = slot->id;
        }
    }
    return key;
}

bool connections_are_short(const struct http_server *s)
{
    return atomic_load(&s->connections_n) >= s->connections_max - s->connections_max / FREE_SHARE;
}

void connections_make_room(struct http_server *s)
{
    int64_t now = mono_unmoved_ms();
    if (!connections_are_short(s) || now < s->made_room_ms + MAKE_ROOM_MS)
        return;
    s->made_room_ms = now;
    uint64_t key = heaviest(&s->connections);
    if (key)
        ask_loops(s, key);
}

static bool is_waiting(const struct exchange *ex, uint64_t key, int64_t now)
{
    return ex->key == key && (ex->phase == PHASE_HEAD || ex->phase == PHASE_BODY) &&
           now - ex->phase_since_ms >= DISPLACED_MS;
}

/* About how long the longest-waiting connections have waited for (the rest of) a request. */
static int64_t long_since_ms(const struct loop *l, uint64_t key, int64_t now)
{
    int64_t oldest = now;
    for (const struct exchange *ex = l->connections; ex; ex = ex->after)
        if (is_waiting(ex, key, now) && ex->phase_since_ms < oldest)
            oldest = ex->phase_since_ms;
    return oldest + (now - oldest) / LONG_SHARE;
}

static bool is_over_bound(struct connections *c, uint64_t key)
{
    LOCKED(&c->lock);
    const int *n = map_get_int(&c->by_address, (int64_t)key);
    return n && *n > c->of_address_max;
}

static unsigned long close_longest(struct loop *l, uint64_t key, int64_t now)
{
    int64_t until = long_since_ms(l, key, now);
    unsigned long n = 0, n_max = (unsigned long)atomic_load(&l->connections_n) / DISPLACED_SHARE;
    for (struct exchange *ex = l->connections; ex && n <= n_max; ex = ex->after) {
        if (is_waiting(ex, key, now) && ex->phase_since_ms <= until) {
            shutdown(ex->fd, SHUT_RDWR); /* libmicrohttpd sees it closed */
            n++;
        }
    }
    return n;
}

void connections_displace(struct loop *l)
{
    unsigned long long key = atomic_load(&l->displace);
    int64_t now = mono_unmoved_ms();
    if (!key || now < l->displace_due_ms)
        return;
    struct connections *c = &l->server->connections;
    unsigned long n = close_longest(l, key, now);
    if (!n && is_over_bound(c, key)) { /* all are new */
        l->displace_due_ms = now + DISPLACED_MS;
        return;
    }
    l->displace_due_ms = 0;
    atomic_compare_exchange_strong(&l->displace, &key, 0);
    LOCKED(&c->lock);
    c->displaced += n;
}

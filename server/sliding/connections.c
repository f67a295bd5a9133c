#include "server/sliding/connections.h"

#include "base/clock.h"
#include "base/mem.h"
#include "server/server.h"
#include "server/sliding/order.h"
#include "storage/devices/sliding_connections.h"

struct connection {
    struct cache_entry entry;                /* by user, device and conn_id */
    struct sliding_state *newest, *previous; /* previous NULL: none */
    struct sliding_orders *orders;           /* NULL: none */
    int64_t started_us;                      /* of the newest request */
    int64_t touched_ms;                      /* its row says that it was used then */
    char key[];
};

struct sliding {
    struct cache cache;
};

static void connection_destroy(struct cache_entry *entry)
{
    struct connection *c = (struct connection *)entry;
    sliding_state_unref(c->newest);
    sliding_state_unref(c->previous);
    sliding_orders_destroy(c->orders);
    free(c);
}

static const struct cache_kind connections_kind = {
    .name = "sliding", .rank = RANK_CACHE, .share = 8, .destroy = connection_destroy};

struct sliding *sliding_create(struct cache_budget *b)
{
    struct sliding *s = mem_zalloc(sizeof *s);
    cache_init(&s->cache, b, &connections_kind, NULL);
    return s;
}

void sliding_destroy(struct sliding *s)
{
    if (!s)
        return;
    cache_finish(&s->cache);
    free(s);
}

/* ---- entries ---- */

static struct str connection_key(struct arena *a, const struct sliding_caller *caller)
{
    buf_auto struct buf b = {0};
    buf_add(&b, &caller->user, sizeof caller->user);
    buf_add(&b, &caller->device, sizeof caller->device);
    buf_add_text(&b, caller->conn_id);
    return (struct str){str_dup(a, buf_str(&b)), b.n};
}

static size_t connection_bytes(const struct connection *c)
{
    return sizeof *c + c->entry.key.n + (c->newest ? c->newest->bytes : 0) +
           (c->previous ? c->previous->bytes : 0) +
           (c->orders ? sliding_orders_bytes(c->orders) : 0);
}

static struct connection *connection_entry_locked(struct cache *cache, struct str key)
{
    struct connection *c = cache_find_locked(cache, key);
    if (c)
        return c;
    c = mem_zalloc(sizeof *c + key.n);
    memcpy(c->key, key.p, key.n);
    c->entry.key = (struct str){c->key, key.n};
    c->entry.bytes = connection_bytes(c);
    cache_add_locked(cache, &c->entry);
    return c;
}

/* The new states' references are given to the entry. */
static void connection_set_locked(struct cache *cache, struct connection *c,
                                  struct sliding_state *newest, struct sliding_state *previous)
{
    sliding_state_unref(c->newest);
    sliding_state_unref(c->previous);
    c->newest = newest;
    c->previous = previous;
    cache_resize_locked(cache, &c->entry, connection_bytes(c));
}

static void state_release(void *state)
{
    sliding_state_unref(state);
}

static const struct sliding_state *state_keep(struct arena *a, struct sliding_state *own)
{
    arena_defer(a, state_release, own);
    return own;
}

/* ---- finding ---- */

static struct sliding_state *connection_state_of(const struct connection *c, int64_t number)
{
    if (c->newest && c->newest->number == number)
        return sliding_state_ref(c->newest);
    if (c->previous && c->previous->number == number)
        return sliding_state_ref(c->previous);
    return NULL;
}

/* Looks in memory. */
static struct sliding_state *connection_look_up(struct job *job,
                                                const struct sliding_caller *caller, int64_t number,
                                                bool *ret_is_superseded)
{
    struct cache *cache = &job->server->sliding->cache;
    CACHE_LOCKED(cache);
    struct connection *c = cache_find_locked(cache, connection_key(job->arena, caller));
    *ret_is_superseded = c && c->started_us > caller->started_us;
    cache_count_locked(cache, c ? &c->entry : NULL);
    if (!c || *ret_is_superseded)
        return NULL;
    c->started_us = caller->started_us;
    if (now_ms() - c->touched_ms > DAY_MS)
        return NULL; /* loading it counts as a use */
    return connection_state_of(c, number);
}

static const struct err *connection_load(struct job *job, const struct sliding_caller *caller,
                                         int64_t number, const struct sliding_state **ret)
{
    struct sliding_row row;
    TRY(sliding_connections_load(job_tx(job), caller->device, caller->conn_id, now_ms(), &row));
    if (!row.number || (row.number != number && row.previous_number != number))
        return err(ERR_UNKNOWN_POS, "This connection has expired: begin a new one");
    struct sliding_state *newest = sliding_state_decode(row.number, row.state), *previous = NULL;
    if (row.previous_number)
        previous = sliding_state_decode(row.previous_number, row.previous);
    struct cache *cache = &job->server->sliding->cache;
    CACHE_LOCKED(cache);
    struct connection *c = connection_entry_locked(cache, connection_key(job->arena, caller));
    connection_set_locked(cache, c, newest, previous);
    c->started_us = caller->started_us;
    c->touched_ms = now_ms();
    struct sliding_state *found = connection_state_of(c, number);
    if (!found)
        return err(ERR_UNKNOWN_POS, "This connection cannot be read: begin a new one");
    *ret = state_keep(job->arena, found);
    return NULL;
}

const struct err *connection_find(struct job *job, const struct sliding_caller *caller,
                                  int64_t number, const struct sliding_state **ret,
                                  bool *ret_is_superseded)
{
    static const struct sliding_state empty = {0};
    *ret = &empty;
    struct sliding_state *found = connection_look_up(job, caller, number, ret_is_superseded);
    if (found)
        *ret = state_keep(job->arena, found);
    if (found || *ret_is_superseded || !number)
        return NULL;
    return connection_load(job, caller, number, ret);
}

/* ---- storing ---- */

const struct err *connection_store(struct job *job, const struct sliding_caller *caller,
                                   const struct sliding_state *base,
                                   const struct sliding_state *state)
{
    buf_auto struct buf now = {0}, before = {0};
    sliding_state_encode(state, &now);
    if (base->number)
        sliding_state_encode(base, &before);
    if (now.n > SLIDING_STATE_BYTES_MAX)
        return err(ERR_UNKNOWN_POS, "This connection has grown too large: begin a new one");
    const struct sliding_row row = {state->number, buf_str(&now), base->number, buf_str(&before)};
    TRY(sliding_connections_store(job_tx(job), caller->device, caller->conn_id, &row, now_ms()));
    struct cache *cache = &job->server->sliding->cache;
    CACHE_LOCKED(cache);
    struct connection *c = connection_entry_locked(cache, connection_key(job->arena, caller));
    connection_set_locked(cache, c, sliding_state_ref(state),
                          base->number ? sliding_state_ref(base) : NULL);
    if (c->started_us < caller->started_us)
        c->started_us = caller->started_us;
    c->touched_ms = now_ms();
    return NULL;
}

/* ---- lists ---- */

struct sliding_orders *connection_take_orders(struct job *job, const struct sliding_caller *caller)
{
    struct cache *cache = &job->server->sliding->cache;
    CACHE_LOCKED(cache);
    struct connection *c = cache_peek_locked(cache, connection_key(job->arena, caller));
    struct sliding_orders *orders = c ? c->orders : NULL;
    if (!orders)
        return NULL;
    c->orders = NULL;
    cache_resize_locked(cache, &c->entry, connection_bytes(c));
    return orders;
}

void connection_give_orders(struct job *job, const struct sliding_caller *caller,
                            struct sliding_orders *orders)
{
    struct cache *cache = &job->server->sliding->cache;
    struct sliding_orders *surplus = orders;
    cache_lock(cache);
    struct connection *c = cache_peek_locked(cache, connection_key(job->arena, caller));
    if (c && c->started_us <= caller->started_us) {
        surplus = c->orders;
        c->orders = orders;
        cache_resize_locked(cache, &c->entry, connection_bytes(c));
    }
    cache_unlock(cache);
    sliding_orders_destroy(surplus);
}

#include "base/cache.h"

#include "base/mem.h"

#include <assert.h>

enum {
    CACHES_MAX = 64,
    KEPT_SHARE = 32,                       /* a cache keeps this part of the budget */
    OVERHEAD = 2 * sizeof(struct map_slot) /* of an entry in the map, which is half full */
};

struct cache_budget {
    size_t bytes_max;
    struct lock lock; /* of the list; held while evicting from several caches */
    struct cache *caches[CACHES_MAX];
    size_t caches_n;
    atomic_size_t bytes;
    _Atomic uint64_t puts; /* the clock of use: what happens between two puts is one time */
};

/* ---- keys ---- */

static int64_t cache_id_of(struct str key)
{
    int64_t id;
    assert(key.n == sizeof id);
    memcpy(&id, key.p, sizeof id);
    return id;
}

static struct cache_entry *cache_map_get(const struct cache *c, struct str key)
{
    return c->kind->by_id ? map_get_int(&c->entries, cache_id_of(key)) : map_get(&c->entries, key);
}

static void cache_map_put(struct cache *c, struct cache_entry *e)
{
    if (c->kind->by_id)
        map_put_int(&c->entries, cache_id_of(e->key), e);
    else if (e->key.n)
        map_put(&c->entries, e->key, e);
}

static void cache_map_remove(struct cache *c, const struct cache_entry *e)
{
    if (c->kind->by_id)
        map_remove_int(&c->entries, cache_id_of(e->key));
    else if (e->key.n)
        map_remove(&c->entries, e->key);
}

/* ---- the order of use ---- */

static void cache_note_oldest_locked(struct cache *c)
{
    uint64_t used = c->oldest ? c->oldest->used : UINT64_MAX;
    atomic_store_explicit(&c->used, used, memory_order_relaxed);
}

static void cache_unlink_locked(struct cache *c, struct cache_entry *e)
{
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
    if (!e->older)
        cache_note_oldest_locked(c);
}

static void cache_link_locked(struct cache *c, struct cache_entry *e)
{
    e->used = atomic_load_explicit(&c->budget->puts, memory_order_relaxed);
    e->newer = NULL;
    e->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
    if (!e->older)
        cache_note_oldest_locked(c);
}

static void cache_move_locked(struct cache *c, struct cache_entry *e)
{
    cache_unlink_locked(c, e);
    cache_link_locked(c, e);
}

/* ---- bytes ---- */

static void cache_charge_locked(struct cache *c, size_t bytes)
{
    atomic_fetch_add_explicit(&c->bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->budget->bytes, bytes, memory_order_relaxed);
    c->grew = true;
}

static void cache_uncharge_locked(struct cache *c, size_t bytes)
{
    atomic_fetch_sub_explicit(&c->bytes, bytes, memory_order_relaxed);
    atomic_fetch_sub_explicit(&c->budget->bytes, bytes, memory_order_relaxed);
}

static size_t cache_bytes(const struct cache *c)
{
    return atomic_load_explicit(&c->bytes, memory_order_relaxed);
}

size_t cache_bytes_max(const struct cache *c)
{
    return c->bytes_max;
}

size_t cache_budget_bytes(const struct cache_budget *b)
{
    return atomic_load_explicit(&b->bytes, memory_order_relaxed);
}

static bool cache_budget_is_over(const struct cache_budget *b)
{
    return cache_budget_bytes(b) > b->bytes_max;
}

void cache_resize_locked(struct cache *c, struct cache_entry *e, size_t bytes)
{
    if (bytes > e->bytes)
        cache_charge_locked(c, bytes - e->bytes);
    else if (bytes < e->bytes)
        cache_uncharge_locked(c, e->bytes - bytes);
    e->bytes = bytes;
}

/* ---- references ---- */

void cache_ref_locked(struct cache_entry *e)
{
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
}

void cache_unref(struct cache_entry *e)
{
    if (atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1)
        e->kind->destroy(e);
}

static void cache_release(void *entry)
{
    cache_unref(entry);
}

void cache_hold_locked(struct cache *c, struct arena *a, struct cache_entry *e)
{
    e->kind = c->kind;
    cache_ref_locked(e);
    arena_defer(a, cache_release, e);
}

/* Only the cache itself refers to it: more references are made under the lock only. */
static bool cache_is_unused_locked(const struct cache_entry *e)
{
    return !e->pinned && atomic_load_explicit(&e->refs, memory_order_acquire) == 1;
}

static void cache_destroy_all(struct cache_entry *dead)
{
    for (struct cache_entry *e = dead, *next; e; e = next) {
        next = e->older;
        e->kind->destroy(e);
    }
}

/* ---- entries ---- */

void cache_add_locked(struct cache *c, struct cache_entry *e)
{
    assert(!e->is_in);
    cache_map_put(c, e);
    atomic_fetch_add_explicit(&c->budget->puts, 1, memory_order_relaxed);
    e->kind = c->kind;
    e->is_in = true;
    c->n++;
    cache_ref_locked(e);
    cache_link_locked(c, e);
    cache_charge_locked(c, e->bytes + OVERHEAD);
}

static void cache_remove_locked(struct cache *c, struct cache_entry *e)
{
    assert(e->is_in);
    cache_map_remove(c, e);
    cache_unlink_locked(c, e);
    cache_uncharge_locked(c, e->bytes + OVERHEAD);
    e->is_in = false;
    c->n--;
    if (c->kind->left)
        c->kind->left(c->owner, e);
}

void cache_drop_locked(struct cache *c, struct cache_entry *e)
{
    cache_remove_locked(c, e);
    if (atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) > 1)
        return;
    e->older = c->dead;
    c->dead = e;
}

void cache_replace_locked(struct cache *c, struct cache_entry *e)
{
    struct cache_entry *before = cache_map_get(c, e->key);
    if (before)
        cache_drop_locked(c, before);
    cache_add_locked(c, e);
}

void cache_take_locked(struct cache *c, struct cache_entry *e)
{
    assert(cache_is_unused_locked(e));
    cache_remove_locked(c, e);
    atomic_store_explicit(&e->refs, 0, memory_order_relaxed);
}

void *cache_next_locked(const struct cache *c, const struct cache_entry *after)
{
    return after ? after->older : c->newest;
}

void cache_use_locked(struct cache *c, struct cache_entry *e)
{
    if (e != c->newest || e == c->oldest)
        cache_move_locked(c, e);
    else
        e->used = atomic_load_explicit(&c->budget->puts, memory_order_relaxed);
}

void cache_count_locked(struct cache *c, struct cache_entry *e)
{
    *(e ? &c->hits : &c->misses) += 1;
    if (e)
        cache_use_locked(c, e);
}

void *cache_peek_locked(const struct cache *c, struct str key)
{
    return cache_map_get(c, key);
}

void *cache_find_locked(struct cache *c, struct str key)
{
    struct cache_entry *e = cache_map_get(c, key);
    cache_count_locked(c, e);
    return e;
}

uint64_t cache_epoch_locked(const struct cache *c)
{
    return c->epoch;
}

void cache_move_epoch_locked(struct cache *c)
{
    c->epoch++;
}

void cache_forget_locked(struct cache *c, struct str key)
{
    struct cache_entry *e = cache_map_get(c, key);
    c->epoch++;
    if (e)
        cache_drop_locked(c, e);
}

void cache_forget_all_locked(struct cache *c)
{
    c->epoch++;
    while (c->oldest)
        cache_drop_locked(c, c->oldest);
}

/* ---- eviction ---- */

/* An entry in use counts as just used. */
static bool cache_evict_oldest_locked(struct cache *c)
{
    struct cache_entry *e = c->oldest;
    if (!cache_is_unused_locked(e)) {
        cache_move_locked(c, e);
        return false;
    }
    c->evictions++;
    cache_drop_locked(c, e);
    return true;
}

enum { IN_USE_MAX = 64 }; /* entries in use that are looked at before giving up */

/* Down to the share of the cache. */
static void cache_shrink_locked(struct cache *c)
{
    for (int in_use = 0; c->oldest && cache_bytes(c) > c->bytes_max && in_use < IN_USE_MAX;)
        in_use += !cache_evict_oldest_locked(c);
}

/* Evicts entries that were not used since `until`. False if none could be evicted. */
static bool cache_trim_locked(struct cache *c, uint64_t until)
{
    bool evicted = false;
    for (int in_use = 0; c->oldest && c->oldest->used <= until && in_use < IN_USE_MAX;) {
        if (cache_bytes(c) <= c->bytes_kept || !cache_budget_is_over(c->budget))
            break;
        bool did = cache_evict_oldest_locked(c);
        evicted = evicted || did;
        in_use += !did;
    }
    return evicted;
}

/* Of the caches that may give up something, the one with the oldest entry, and how old the oldest
 * entry of the others is. */
static size_t cache_budget_choose(const struct cache_budget *b, const bool *skip,
                                  uint64_t *ret_until)
{
    size_t chosen = CACHES_MAX;
    uint64_t least = UINT64_MAX, second = UINT64_MAX;
    for (size_t i = 0; i < b->caches_n; i++) {
        const struct cache *c = b->caches[i];
        uint64_t used = atomic_load_explicit(&c->used, memory_order_relaxed);
        if (skip[i] || used == UINT64_MAX || cache_bytes(c) <= c->bytes_kept)
            continue;
        if (used < least) {
            second = least;
            least = used;
            chosen = i;
        } else if (used < second) {
            second = used;
        }
    }
    *ret_until = second;
    return chosen;
}

/* The caller may hold any lock: the locks of the caches are only tried. If another thread is
 * evicting, it goes on until the budget is kept. */
static void cache_budget_trim(struct cache_budget *b)
{
    bool skip[CACHES_MAX] = {false};
    struct cache_entry *dead = NULL;
    if (!lock_try(&b->lock))
        return;
    while (cache_budget_is_over(b)) {
        uint64_t until;
        size_t i = cache_budget_choose(b, skip, &until);
        if (i == CACHES_MAX)
            break;
        struct cache *c = b->caches[i];
        if (!lock_try(&c->lock)) {
            skip[i] = true;
            continue;
        }
        skip[i] = !cache_trim_locked(c, until);
        while (c->dead) {
            struct cache_entry *e = c->dead;
            c->dead = e->older;
            e->older = dead;
            dead = e;
        }
        lock_release(&c->lock);
    }
    lock_release(&b->lock);
    cache_destroy_all(dead);
}

/* ---- whole operations ---- */

void cache_lock(struct cache *c)
{
    lock_take(&c->lock);
}

void cache_unlock(struct cache *c)
{
    bool grew = c->grew;
    c->grew = false;
    if (grew && cache_bytes(c) > c->bytes_max)
        cache_shrink_locked(c);
    struct cache_entry *dead = c->dead;
    c->dead = NULL;
    lock_release(&c->lock);
    cache_destroy_all(dead);
    if (grew && cache_budget_is_over(c->budget))
        cache_budget_trim(c->budget);
}

void *cache_get(struct cache *c, struct arena *a, struct str key, uint64_t *ret_epoch)
{
    CACHE_LOCKED(c);
    struct cache_entry *e = cache_find_locked(c, key);
    if (e)
        cache_hold_locked(c, a, e);
    else
        *ret_epoch = c->epoch;
    return e;
}

void *cache_put(struct cache *c, struct arena *a, struct cache_entry *e, uint64_t epoch)
{
    CACHE_LOCKED(c);
    struct cache_entry *there = cache_map_get(c, e->key);
    if (there) {
        e->kind = c->kind;
        e->older = c->dead;
        c->dead = e;
        e = there;
    } else if (c->epoch == epoch) {
        cache_add_locked(c, e);
    }
    cache_hold_locked(c, a, e);
    return e;
}

void cache_forget_all(struct cache *c)
{
    CACHE_LOCKED(c);
    cache_forget_all_locked(c);
}

/* ---- life ---- */

void cache_init(struct cache *c, struct cache_budget *b, const struct cache_kind *kind, void *owner)
{
    size_t parts = kind->parts ? kind->parts : 1;
    *c = (struct cache){.kind = kind,
                        .budget = b,
                        .owner = owner,
                        .bytes_max = b->bytes_max / (kind->share ? kind->share : 1) / parts,
                        .bytes_kept = b->bytes_max / KEPT_SHARE / parts,
                        .used = UINT64_MAX};
    lock_init(&c->lock, kind->rank);
    LOCKED(&b->lock);
    assert(b->caches_n < CACHES_MAX);
    b->caches[b->caches_n++] = c;
}

void cache_finish(struct cache *c)
{
    struct cache_budget *b = c->budget;
    lock_take(&b->lock);
    for (size_t i = 0; i < b->caches_n; i++)
        if (b->caches[i] == c)
            b->caches[i--] = b->caches[--b->caches_n];
    lock_release(&b->lock);
    cache_forget_all(c);
    map_finish(&c->entries);
    lock_finish(&c->lock);
}

struct cache_budget *cache_budget_create(size_t bytes_max)
{
    struct cache_budget *b = mem_zalloc(sizeof *b);
    b->bytes_max = bytes_max;
    lock_init(&b->lock, RANK_LEAF);
    return b;
}

void cache_budget_destroy(struct cache_budget *b)
{
    if (!b)
        return;
    assert(!b->caches_n);
    lock_finish(&b->lock);
    free(b);
}

/* ---- metrics ---- */

struct cache_numbers {
    size_t entries, bytes;
    int64_t hits, misses, evictions;
};

static const struct cache_metric {
    const char *name, *type, *help;
} cache_metrics[] = {
    {"entries", "gauge", "Entries in memory."},
    {"bytes", "gauge", "Memory of these entries."},
    {"hits_total", "counter", "Look-ups that found the entry in memory."},
    {"misses_total", "counter", "Look-ups that did not."},
    {"evictions_total", "counter", "Entries removed from memory to make room."},
};

static int64_t cache_metric_of(const struct cache_numbers *s, size_t metric)
{
    const int64_t values[] = {(int64_t)s->entries, (int64_t)s->bytes, s->hits, s->misses,
                              s->evictions};
    return values[metric];
}

/* Caches of one kind count as one. */
static void cache_budget_sum(struct cache_budget *b, const struct cache_kind *kind,
                             struct cache_numbers *ret)
{
    *ret = (struct cache_numbers){0};
    for (size_t i = 0; i < b->caches_n; i++) {
        struct cache *c = b->caches[i];
        if (c->kind != kind)
            continue;
        LOCKED(&c->lock);
        ret->entries += c->n;
        ret->bytes += cache_bytes(c);
        ret->hits += c->hits;
        ret->misses += c->misses;
        ret->evictions += c->evictions;
    }
}

static bool cache_budget_is_first(const struct cache_budget *b, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (b->caches[k]->kind == b->caches[i]->kind)
            return false;
    return true;
}

void cache_budget_add_metrics(struct cache_budget *b, struct buf *out)
{
    buf_printf(out,
               "# HELP concorde_caches_max_bytes Memory that all caches together may use.\n"
               "# TYPE concorde_caches_max_bytes gauge\nconcorde_caches_max_bytes %zu\n",
               b->bytes_max);
    struct cache_numbers numbers[CACHES_MAX];
    for (size_t i = 0; i < b->caches_n; i++)
        cache_budget_sum(b, b->caches[i]->kind, &numbers[i]);
    for (size_t m = 0; m < sizeof cache_metrics / sizeof *cache_metrics; m++) {
        const struct cache_metric *metric = &cache_metrics[m];
        buf_printf(out, "# HELP concorde_cache_%s %s\n# TYPE concorde_cache_%s %s\n", metric->name,
                   metric->help, metric->name, metric->type);
        for (size_t i = 0; i < b->caches_n; i++)
            if (cache_budget_is_first(b, i))
                buf_printf(out, "concorde_cache_%s{cache=\"%s\"} %lld\n", metric->name,
                           b->caches[i]->kind->name, (long long)cache_metric_of(&numbers[i], m));
    }
}

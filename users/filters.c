#include "users/filters.h"

#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"
#include "storage/users/filters.h"

#include <inttypes.h>

enum {
    KEY_MAX = 4096, /* longer inline filters are parsed each time */
    BYTES_MAX = 16 << 20
};

struct entry {
    struct str key;      /* "user:id", or the inline JSON itself, which begins with a brace */
    struct arena *arena; /* holds the key, the entry and what the filter refers to */
    struct filter filter;
    struct entry *newer, *older;
    size_t bytes;
    int refs; /* jobs that use it, and the cache while it holds it */
};

struct filter_cache {
    struct lock lock;
    struct map entries;
    struct entry *newest, *oldest;
    size_t max, bytes;
};

struct filter_cache *filter_cache_create(size_t entries)
{
    struct filter_cache *c = mem_zalloc(sizeof *c);
    lock_init(&c->lock, RANK_CACHE);
    c->max = entries;
    return c;
}

static void filters_unref_locked(struct entry *e)
{
    if (--e->refs == 0)
        arena_destroy(e->arena);
}

static void filters_unlink_locked(struct filter_cache *c, struct entry *e)
{
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void filters_link_newest_locked(struct filter_cache *c, struct entry *e)
{
    e->newer = NULL;
    e->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static void filters_drop_oldest_locked(struct filter_cache *c)
{
    struct entry *e = c->oldest;
    filters_unlink_locked(c, e);
    map_remove(&c->entries, e->key);
    c->bytes -= e->bytes;
    filters_unref_locked(e);
}

void filter_cache_destroy(struct filter_cache *c)
{
    if (!c)
        return;
    while (c->oldest)
        filters_drop_oldest_locked(c);
    map_finish(&c->entries);
    lock_finish(&c->lock);
    free(c);
}

struct held {
    struct filter_cache *cache;
    struct entry *entry;
};

static void filters_release(void *what)
{
    struct held *h = what;
    LOCKED(&h->cache->lock);
    filters_unref_locked(h->entry);
}

/* Lends the entry's filter to the job. */
static void filters_hold_locked(struct job *job, struct filter_cache *c, struct entry *e,
                                struct filter *ret)
{
    e->refs++;
    struct held *h = arena_alloc(job->arena, sizeof *h);
    *h = (struct held){c, e};
    arena_defer(job->arena, filters_release, h);
    *ret = e->filter;
}

static bool filters_find(struct job *job, struct str key, struct filter *ret)
{
    struct filter_cache *c = job->node->filters;
    LOCKED(&c->lock);
    struct entry *e = map_get(&c->entries, key);
    if (!e)
        return false;
    filters_unlink_locked(c, e);
    filters_link_newest_locked(c, e);
    filters_hold_locked(job, c, e, ret);
    return true;
}

static void filters_put(struct job *job, struct entry *e, struct filter *ret)
{
    struct filter_cache *c = job->node->filters;
    LOCKED(&c->lock);
    struct entry *there = map_get(&c->entries, e->key);
    if (there) { /* another request was first */
        filters_hold_locked(job, c, there, ret);
        arena_destroy(e->arena);
        return;
    }
    e->bytes = arena_bytes(e->arena);
    c->bytes += e->bytes;
    while (c->oldest && (c->entries.n >= c->max || c->bytes > BYTES_MAX))
        filters_drop_oldest_locked(c);
    e->refs = 1;
    map_put(&c->entries, e->key, e);
    filters_link_newest_locked(c, e);
    filters_hold_locked(job, c, e, ret);
}

static const struct err *filters_parse(struct arena *a, struct str json, struct filter *ret)
{
    json_t *tree;
    TRY(json_read_to_keep(a, json, &tree));
    return filter_parse(a, tree, ret);
}

static const struct err *filters_load(struct job *job, struct str key, struct str json,
                                      struct filter *ret)
{
    if (key.n > KEY_MAX)
        return filters_parse(job->arena, json, ret);
    struct arena *own = arena_create();
    struct entry *e = arena_alloc(own, sizeof *e);
    e->arena = own;
    e->key = (struct str){str_dup(own, key), key.n};
    const struct err *bad = filters_parse(own, json, &e->filter);
    if (bad) {
        arena_destroy(own);
        return bad;
    }
    filters_put(job, e, ret);
    return NULL;
}

/* An unknown filter is an invalid parameter of the request that names it. */
static const struct err *load_stored(struct job *job, int64_t user, const char *param,
                                     struct filter *ret)
{
    int64_t id;
    struct str json = {0};
    if (!str_to_int64(str_of(param), &id))
        return err(ERR_INVALID_PARAM, "No such filter");
    struct str key = str_of(arena_printf(job->arena, "%" PRId64 ":%" PRId64, user, id));
    if (filters_find(job, key, ret))
        return NULL;
    TRY(filters_get(job_tx(job), user, id, &json));
    if (!json.p)
        return err(ERR_INVALID_PARAM, "No such filter");
    return filters_load(job, key, json, ret);
}

const struct err *filter_load(struct job *job, int64_t user, const char *param, struct filter *ret)
{
    if (!param || !*param)
        return filter_parse(job->arena, NULL, ret);
    if (*param != '{')
        return load_stored(job, user, param, ret);
    struct str json = str_of(param);
    return json.n <= KEY_MAX && filters_find(job, json, ret) ? NULL
                                                             : filters_load(job, json, json, ret);
}

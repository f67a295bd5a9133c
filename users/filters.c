#include "users/filters.h"
#include "users/users.h"

#include "base/cache.h"
#include "base/mem.h"
#include "storage/users/filters.h"

#include <inttypes.h>

enum { KEY_MAX = 4096 /* longer inline filters are parsed each time */ };

struct filter_entry {
    struct cache_entry entry; /* key: "user:id", or the inline JSON, which begins with a brace */
    struct arena *arena;      /* holds the key, the entry and what the filter refers to */
    struct filter filter;
};

struct filter_cache {
    struct cache cache;
};

static void filters_destroy(struct cache_entry *e)
{
    arena_destroy(((struct filter_entry *)e)->arena);
}

static const struct cache_kind filters_kind = {
    .name = "filters", .rank = RANK_CACHE, .share = 16, .destroy = filters_destroy};

struct filter_cache *filter_cache_create(struct cache_budget *b)
{
    struct filter_cache *c = mem_zalloc(sizeof *c);
    cache_init(&c->cache, b, &filters_kind, NULL);
    return c;
}

void filter_cache_destroy(struct filter_cache *c)
{
    if (!c)
        return;
    cache_finish(&c->cache);
    free(c);
}

static bool filters_find(struct job *job, struct str key, struct filter *ret)
{
    uint64_t epoch;
    const struct filter_entry *e = cache_get(&job->users->filters->cache, job->arena, key, &epoch);
    if (e)
        *ret = e->filter;
    return e;
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
    struct filter_entry *e = arena_alloc(own, sizeof *e);
    e->arena = own;
    e->entry.key = (struct str){str_dup(own, key), key.n};
    const struct err *bad = filters_parse(own, json, &e->filter);
    if (bad) {
        arena_destroy(own);
        return bad;
    }
    e->entry.bytes = arena_bytes(own);
    e = cache_put(&job->users->filters->cache, job->arena, &e->entry, 0); /* filters never change */
    *ret = e->filter;
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

#include "server/sliding/requests.h"

#include "base/mem.h"

enum { KEY_MAX = 16 * 1024 /* larger bodies are parsed each time */ };

struct request_entry {
    struct cache_entry entry; /* key: the form, and the body */
    struct arena *arena;      /* holds the key, the entry and what the request consists of */
    struct sliding_request request;
};

struct sliding_requests {
    struct cache cache;
};

static void request_entry_destroy(struct cache_entry *e)
{
    arena_destroy(((struct request_entry *)e)->arena);
}

static const struct cache_kind requests_kind = {
    .name = "requests", .rank = RANK_CACHE, .share = 32, .destroy = request_entry_destroy};

struct sliding_requests *sliding_requests_create(struct cache_budget *b)
{
    struct sliding_requests *r = mem_zalloc(sizeof *r);
    cache_init(&r->cache, b, &requests_kind, NULL);
    return r;
}

void sliding_requests_destroy(struct sliding_requests *r)
{
    if (!r)
        return;
    cache_finish(&r->cache);
    free(r);
}

static const struct err *requests_parse_new(struct sliding_requests *r, struct arena *a,
                                            struct str key, struct str body, bool is_accepted,
                                            struct sliding_request *ret)
{
    json_t *tree;
    TRY(json_read(a, body, &tree));
    struct arena *own = arena_create();
    struct request_entry *e = arena_alloc(own, sizeof *e);
    e->arena = own;
    e->entry.key = (struct str){str_dup(own, key), key.n};
    const struct err *bad = sliding_request_parse(own, tree, is_accepted, &e->request);
    if (bad) {
        arena_destroy(own);
        return bad;
    }
    e->entry.bytes = arena_bytes(own);
    e = cache_put(&r->cache, a, &e->entry, 0); /* what bytes mean never changes */
    *ret = e->request;
    return NULL;
}

const struct err *sliding_requests_parse(struct sliding_requests *r, struct arena *a,
                                         struct str body, bool is_accepted,
                                         struct sliding_request *ret)
{
    uint64_t epoch;
    json_t *tree;
    if (!body.n)
        body = STR("{}");
    if (body.n > KEY_MAX) {
        TRY(json_read(a, body, &tree));
        return sliding_request_parse(a, tree, is_accepted, ret);
    }
    char *text = arena_alloc(a, body.n + 1);
    text[0] = is_accepted ? 'a' : 'd';
    memcpy(text + 1, body.p, body.n);
    struct str key = {text, body.n + 1};
    const struct request_entry *e = cache_get(&r->cache, a, key, &epoch);
    if (!e)
        return requests_parse_new(r, a, key, body, is_accepted, ret);
    *ret = e->request;
    return NULL;
}

#include "rooms/write/txn.h"
#include "rooms/rooms.h"

#include "base/cache.h"
#include "base/mem.h"
#include "base/sha256.h"

struct txn_entry {
    struct cache_entry entry;
    unsigned char key[8 + TXN_KEY_BYTES]; /* device, then the transaction's key */
    char event_id[];
};

struct txn_memory {
    struct cache cache;
};

static void txn_destroy(struct cache_entry *e)
{
    free(e);
}

static const struct cache_kind txn_kind = {
    .name = "transactions", .rank = RANK_CACHE, .share = 16, .destroy = txn_destroy};

struct txn_memory *txn_memory_create(struct cache_budget *b)
{
    struct txn_memory *m = mem_zalloc(sizeof *m);
    cache_init(&m->cache, b, &txn_kind, NULL);
    return m;
}

void txn_memory_destroy(struct txn_memory *m)
{
    if (!m)
        return;
    cache_finish(&m->cache);
    free(m);
}

struct str txn_key(struct arena *a, const struct new_event *e)
{
    unsigned char hash[SHA256_BYTES];
    const struct str parts[] = {str_of(e->txn_scope), {"", 1}, str_of(e->client_txn)};
    sha256_parts(parts, sizeof parts / sizeof *parts, hash);
    return (struct str){arena_memdup(a, hash, TXN_KEY_BYTES), TXN_KEY_BYTES};
}

static struct str full_key(unsigned char *into, int64_t device, struct str key)
{
    memcpy(into, &device, sizeof device);
    memcpy(into + sizeof device, key.p, TXN_KEY_BYTES);
    return (struct str){(const char *)into, sizeof device + TXN_KEY_BYTES};
}

const char *txn_recent(struct job *job, int64_t device, struct str key)
{
    struct cache *c = &job->rooms->txns->cache;
    unsigned char bytes[8 + TXN_KEY_BYTES];
    CACHE_LOCKED(c);
    const struct txn_entry *e = cache_find_locked(c, full_key(bytes, device, key));
    return e ? arena_strdup(job->arena, e->event_id) : NULL;
}

void txn_remember(struct txn_memory *m, int64_t device, struct str key, const char *event_id)
{
    size_t n = strlen(event_id) + 1;
    struct txn_entry *e = mem_alloc(sizeof *e + n);
    e->entry = (struct cache_entry){.key = full_key(e->key, device, key), .bytes = sizeof *e + n};
    memcpy(e->event_id, event_id, n);
    CACHE_LOCKED(&m->cache);
    cache_replace_locked(&m->cache, &e->entry);
}

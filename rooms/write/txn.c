#include "rooms/write/txn.h"

#include "base/mem.h"
#include "base/sha256.h"

struct remembered {
    unsigned char key[8 + TXN_KEY_BYTES]; /* device, then the transaction's key */
    char *event_id;
};

/* A ring: the newest replaces the oldest. */
struct txn_memory {
    struct lock lock;
    struct map by_key;
    struct remembered *ring;
    size_t size, next;
};

struct txn_memory *txn_memory_create(size_t entries)
{
    struct txn_memory *m = mem_zalloc(sizeof *m);
    lock_init(&m->lock, RANK_CACHE);
    m->ring = mem_zalloc(entries * sizeof *m->ring);
    m->size = entries;
    return m;
}

void txn_memory_destroy(struct txn_memory *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->size; i++)
        free(m->ring[i].event_id);
    free(m->ring);
    map_finish(&m->by_key);
    lock_finish(&m->lock);
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
    struct txn_memory *m = job->node->txns;
    unsigned char bytes[8 + TXN_KEY_BYTES];
    LOCKED(&m->lock);
    const struct remembered *r = map_get(&m->by_key, full_key(bytes, device, key));
    return r ? arena_strdup(job->arena, r->event_id) : NULL;
}

void txn_remember(struct txn_memory *m, int64_t device, struct str key, const char *event_id)
{
    LOCKED(&m->lock);
    struct remembered *r = &m->ring[m->next];
    struct str full = {(const char *)r->key, sizeof r->key};
    if (r->event_id && map_get(&m->by_key, full) == r)
        map_remove(&m->by_key, full);
    free(r->event_id);
    full_key(r->key, device, key);
    r->event_id = mem_strdup(event_id);
    map_remove(&m->by_key, full);
    map_put(&m->by_key, full, r);
    m->next = (m->next + 1) % m->size;
}

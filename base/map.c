#include "base/map.h"

#include "base/mem.h"

#include <pthread.h>
#include <sodium.h>

static unsigned char seed[crypto_shorthash_KEYBYTES];
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
    randombytes_buf(seed, sizeof seed);
}

uint64_t hash_bytes(const void *bytes, size_t n)
{
    pthread_once(&seed_once, make_seed);
    uint64_t h;
    crypto_shorthash((unsigned char *)&h, bytes, n, seed);
    return h;
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0x9e3779b97f4a7c15u;
    return x ^ x >> 29;
}

static bool map_same_key(const struct map_slot *s, uint64_t id, struct str key)
{
    return s->id == id && str_eq(s->key, key);
}

/* The slot that holds the key, or the empty one where it belongs. The table is never full. */
static struct map_slot *map_find(const struct map *m, uint64_t id, struct str key)
{
    size_t mask = m->size - 1;
    size_t i = mix(id) & mask;
    while (m->slots[i].value && !map_same_key(&m->slots[i], id, key))
        i = (i + 1) & mask;
    return &m->slots[i];
}

static void map_grow(struct map *m)
{
    struct map old = *m;
    m->size = old.size ? old.size * 2 : 8;
    m->slots = mem_zalloc(m->size * sizeof *m->slots);
    for (size_t i = 0; i < old.size; i++)
        if (old.slots[i].value)
            *map_find(m, old.slots[i].id, old.slots[i].key) = old.slots[i];
    free(old.slots);
}

static void *base_map_put(struct map *m, uint64_t id, struct str key, void *value)
{
    if ((m->n + 1) * 4 > m->size * 3)
        map_grow(m);
    struct map_slot *s = map_find(m, id, key);
    void *before = s->value;
    if (!before)
        m->n++;
    *s = (struct map_slot){key, id, value};
    return before;
}

static void *base_map_get(const struct map *m, uint64_t id, struct str key)
{
    return m->size ? map_find(m, id, key)->value : NULL;
}

/* Removal closes the gap by moving later entries of the same run back (no tombstones). */
static void *map_take(struct map *m, uint64_t id, struct str key)
{
    if (!m->size)
        return NULL;
    struct map_slot *s = map_find(m, id, key);
    void *before = s->value;
    if (!before)
        return NULL;
    size_t mask = m->size - 1, hole = (size_t)(s - m->slots), i = hole;
    for (;;) {
        i = (i + 1) & mask;
        if (!m->slots[i].value)
            break;
        size_t home = mix(m->slots[i].id) & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct map_slot){0};
    m->n--;
    return before;
}

void map_finish(struct map *m)
{
    free(m->slots);
    *m = (struct map){0};
}

void *map_get_int(const struct map *m, int64_t key)
{
    return base_map_get(m, (uint64_t)key, (struct str){0});
}

void *map_put_int(struct map *m, int64_t key, void *value)
{
    return base_map_put(m, (uint64_t)key, (struct str){0}, value);
}

void *map_remove_int(struct map *m, int64_t key)
{
    return map_take(m, (uint64_t)key, (struct str){0});
}

void *map_get(const struct map *m, struct str key)
{
    return m->size ? base_map_get(m, hash_bytes(key.p, key.n), key) : NULL;
}

void *map_put(struct map *m, struct str key, void *value)
{
    return base_map_put(m, hash_bytes(key.p, key.n), key, value);
}

void *map_remove(struct map *m, struct str key)
{
    return m->size ? map_take(m, hash_bytes(key.p, key.n), key) : NULL;
}

struct map_slot *map_next(const struct map *m, struct map_slot *after)
{
    for (size_t i = after ? (size_t)(after - m->slots) + 1 : 0; i < m->size; i++)
        if (m->slots[i].value)
            return &m->slots[i];
    return NULL;
}

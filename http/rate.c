#include "http/rate.h"

#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"

/* No bucket refills slower than one token a week. */
enum { WEEK_S = 7 * 24 * 3600 };
static const int64_t token_us_max = WEEK_S * 1000000LL;

enum { SETS = 8192, WAYS = 8, LOCKS = 16 };

struct bucket {
    uint64_t key;    /* keyed hash of kind and caller: two callers never meet in practice */
    int64_t full_us; /* when it will be full again; in the past: full, so unused */
};

struct rate_table {
    struct lock locks[LOCKS]; /* each guards every LOCKS-th set */
    struct bucket buckets[SETS][WAYS];
};

struct rate_table *rate_table_create(void)
{
    struct rate_table *t = mem_zalloc(sizeof *t);
    for (int i = 0; i < LOCKS; i++)
        lock_init(&t->locks[i], RANK_RATE);
    return t;
}

void rate_table_destroy(struct rate_table *t)
{
    if (!t)
        return;
    for (int i = 0; i < LOCKS; i++)
        lock_finish(&t->locks[i]);
    free(t);
}

static uint64_t bucket_key(enum route_rate kind, struct str key)
{
    uint64_t parts[2] = {(uint64_t)kind, hash_bytes(key.p, key.n)};
    return hash_bytes(parts, sizeof parts);
}

/* The caller's bucket, or the fullest of the set, which is then the caller's. */
static struct bucket *find_bucket(struct bucket *set, uint64_t key)
{
    struct bucket *fullest = &set[0];
    for (int i = 0; i < WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (set[i].full_us < fullest->full_us)
            fullest = &set[i];
    }
    *fullest = (struct bucket){.key = key};
    return fullest;
}

static int64_t token_us(const struct rate_limit *limit)
{
    double token = 1e6 / limit->per_second;
    return token < token_us_max ? (int64_t)token : token_us_max;
}

/* Returns the microseconds to wait; unless `must`, none are taken then. */
static int64_t http_rate_take(struct rate_table *t, enum route_rate kind, struct str key,
                              const struct rate_limit *limit, int n, int64_t now_us, bool must)
{
    int64_t token = token_us(limit), burst = limit->burst > 0 ? limit->burst : 1;
    uint64_t hash = bucket_key(kind, key);
    size_t set = hash % SETS;
    LOCKED(&t->locks[set % LOCKS]);
    struct bucket *b = find_bucket(t->buckets[set], hash);
    int64_t from = b->full_us > now_us ? b->full_us : now_us;
    int64_t wait_us = from + token - burst * token - now_us;
    if (wait_us > 0 && !must)
        return wait_us;
    b->full_us = from + n * token;
    return 0;
}

int rate_take(struct rate_table *t, enum route_rate kind, struct str key,
              const struct rate_limit *limit, int n, int64_t now_us)
{
    if (limit->per_second <= 0)
        return 0;
    return (int)((http_rate_take(t, kind, key, limit, n, now_us, false) + 999) / 1000);
}

void rate_owe(struct rate_table *t, enum route_rate kind, struct str key,
              const struct rate_limit *limit, int n, int64_t now_us)
{
    if (limit->per_second > 0)
        http_rate_take(t, kind, key, limit, n, now_us, true);
}

void rate_give_back(struct rate_table *t, enum route_rate kind, struct str key,
                    const struct rate_limit *limit, int n, int64_t now_us)
{
    if (limit->per_second > 0)
        http_rate_take(t, kind, key, limit, -n, now_us, true);
}

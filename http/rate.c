#include "http/rate.h"

#include "base/lock.h"
#include "base/mem.h"
#include "base/sodium.h"

#include <inttypes.h>
#include <sodium.h>

/* No bucket refills slower than one token a week. */
enum { WEEK_S = 7 * 24 * 3600 };
static const int64_t token_us_max = WEEK_S * 1000000LL;

enum {
    SETS = 8192,
    WAYS = 8,
    STRIPES = 16,
    EXCHANGED_PART = 8, /* of a burst */
    DUE_MAX = 128       /* buckets of a stripe */
};

struct bucket {
    uint64_t key;     /* keyed hash of kind and caller: two callers never meet in practice */
    int64_t full_us;  /* when it will be full again; in the past: full, so unused */
    int64_t taken_us; /* taken here and not exchanged, as the time in which it is refilled */
    bool is_due;      /* in the list of its stripe */
};

/* What one lock guards: every STRIPES-th set, and which of its buckets are to be exchanged. */
struct stripe {
    struct lock lock;
    uint64_t due[DUE_MAX]; /* keys; beyond, a bucket waits until more is taken from it */
    int due_n;
};

struct rate_table {
    unsigned char secret[RATE_SECRET_BYTES];
    uint64_t check; /* of the secret */
    uint64_t id;    /* of this table, at random */
    struct stripe stripes[STRIPES];
    struct bucket buckets[SETS][WAYS];
};

_Static_assert(RATE_SECRET_BYTES == crypto_shorthash_KEYBYTES, "the key of the hash");

static uint64_t rate_hash(const struct rate_table *t, const void *bytes, size_t n)
{
    uint64_t hash;
    _Static_assert(sizeof hash == crypto_shorthash_BYTES, "the size of the hash");
    crypto_shorthash((unsigned char *)&hash, bytes, n, t->secret);
    return hash;
}

struct rate_table *rate_table_create(const unsigned char *secret)
{
    struct rate_table *t = mem_zalloc(sizeof *t);
    sodium_begin();
    randombytes_buf(&t->id, sizeof t->id);
    if (secret)
        memcpy(t->secret, secret, sizeof t->secret);
    else
        randombytes_buf(t->secret, sizeof t->secret);
    t->check = rate_hash(t, "", 0);
    for (int i = 0; i < STRIPES; i++)
        lock_init(&t->stripes[i].lock, RANK_RATE);
    return t;
}

void rate_table_destroy(struct rate_table *t)
{
    if (!t)
        return;
    for (int i = 0; i < STRIPES; i++)
        lock_finish(&t->stripes[i].lock);
    free(t);
}

static uint64_t bucket_key(const struct rate_table *t, enum route_rate kind, struct str key)
{
    uint64_t parts[2] = {(uint64_t)kind, rate_hash(t, key.p, key.n)};
    return rate_hash(t, parts, sizeof parts);
}

static struct stripe *stripe_of(struct rate_table *t, uint64_t key)
{
    return &t->stripes[key % SETS % STRIPES];
}

/* NULL: it has lost its place. */
static struct bucket *known_bucket_locked(struct rate_table *t, uint64_t key)
{
    struct bucket *set = t->buckets[key % SETS];
    for (int i = 0; i < WAYS; i++)
        if (set[i].key == key)
            return &set[i];
    return NULL;
}

/* The caller's bucket, or the fullest of the set, which is then the caller's. */
static struct bucket *find_bucket_locked(struct rate_table *t, uint64_t key)
{
    struct bucket *b = known_bucket_locked(t, key), *set = t->buckets[key % SETS];
    if (b)
        return b;
    b = &set[0];
    for (int i = 1; i < WAYS; i++)
        if (set[i].full_us < b->full_us)
            b = &set[i];
    *b = (struct bucket){.key = key};
    return b;
}

static void fill_locked(struct bucket *b, int64_t us, int64_t now_us)
{
    if (b->full_us <= now_us) { /* it is full: what was taken from it before is paid off */
        b->full_us = now_us;
        b->taken_us = 0;
    }
    b->full_us += us;
}

static int64_t token_us(const struct rate_limit *limit)
{
    double token = 1e6 / limit->per_second;
    return token < token_us_max ? (int64_t)token : token_us_max;
}

static void note_taken_locked(struct stripe *s, struct bucket *b, int64_t us, int64_t burst_us)
{
    b->taken_us += us;
    int64_t taken = b->taken_us < 0 ? -b->taken_us : b->taken_us;
    if (b->is_due || taken < burst_us / EXCHANGED_PART || s->due_n == DUE_MAX)
        return;
    b->is_due = true;
    s->due[s->due_n++] = b->key;
}

/* Returns the microseconds to wait; unless `must`, none are taken then. */
static int64_t http_rate_take(struct rate_table *t, enum route_rate kind, struct str key,
                              const struct rate_limit *limit, int n, int64_t now_us, bool must)
{
    int64_t token = token_us(limit), burst = limit->burst > 0 ? limit->burst : 1;
    uint64_t hash = bucket_key(t, kind, key);
    struct stripe *s = stripe_of(t, hash);
    LOCKED(&s->lock);
    struct bucket *b = find_bucket_locked(t, hash);
    int64_t from = b->full_us > now_us ? b->full_us : now_us;
    int64_t wait_us = from + token - burst * token - now_us;
    if (wait_us > 0 && !must)
        return wait_us;
    fill_locked(b, n * token, now_us);
    note_taken_locked(s, b, n * token, burst * token);
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

/* ---- between nodes ---- */

/* "FORMAT CHECK TABLE KEY:US KEY:US ...": the numbers hexadecimal, US decimal. */
enum { FORMAT = 1, ENTRY_BYTES_MAX = 1 + 16 + 1 + 20 };

static int64_t within_a_week(int64_t us)
{
    return us > token_us_max ? token_us_max : us < -token_us_max ? -token_us_max : us;
}

/* The list is taken from its end, while there is space. */
static void take_due_locked(struct rate_table *t, struct stripe *s, int64_t now_us,
                            size_t bytes_max, struct buf *out)
{
    while (s->due_n && out->n + ENTRY_BYTES_MAX <= bytes_max) {
        uint64_t key = s->due[--s->due_n];
        struct bucket *b = known_bucket_locked(t, key);
        if (!b)
            continue;
        if (b->full_us > now_us && b->taken_us)
            buf_printf(out, " %" PRIx64 ":%" PRId64, key, within_a_week(b->taken_us));
        b->is_due = false;
        b->taken_us = 0;
    }
}

bool rate_exchange_take(struct rate_table *t, int64_t now_us, struct buf *out)
{
    size_t before = out->n, bytes_max = before + RATE_EXCHANGE_BYTES_MAX;
    buf_printf(out, "%d %" PRIx64 " %" PRIx64, FORMAT, t->check, t->id);
    size_t head = out->n;
    int first = (int)randombytes_uniform(STRIPES); /* so that none waits for ever */
    for (int i = 0; i < STRIPES; i++) {
        struct stripe *s = &t->stripes[(first + i) % STRIPES];
        LOCKED(&s->lock);
        take_due_locked(t, s, now_us, bytes_max, out);
    }
    if (out->n > head)
        return true;
    out->n = before;
    return false;
}

static void apply_one(struct rate_table *t, uint64_t key, int64_t us, int64_t now_us)
{
    struct stripe *s = stripe_of(t, key);
    LOCKED(&s->lock);
    fill_locked(find_bucket_locked(t, key), us, now_us);
}

static bool rate_read_hex(struct str *text, uint64_t *ret)
{
    size_t n = 0;
    uint64_t value = 0;
    for (; n < text->n && n < 16; n++) {
        char c = text->p[n];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            break;
        value = value << 4 | (uint64_t)digit;
    }
    *text = (struct str){text->p + n, text->n - n};
    *ret = value;
    return n > 0;
}

static bool rate_read_char(struct str *text, char c)
{
    if (!text->n || *text->p != c)
        return false;
    *text = (struct str){text->p + 1, text->n - 1};
    return true;
}

static bool rate_read_us(struct str *text, int64_t *ret)
{
    const char *end = text->n ? memchr(text->p, ' ', text->n) : NULL;
    size_t n = end ? (size_t)(end - text->p) : text->n;
    int64_t us;
    if (!str_to_int64((struct str){text->p, n}, &us) || us != within_a_week(us))
        return false;
    *text = (struct str){text->p + n, text->n - n};
    *ret = us;
    return true;
}

void rate_exchange_apply(struct rate_table *t, struct str text, int64_t now_us)
{
    uint64_t format, check, id, key;
    int64_t us;
    if (!rate_read_hex(&text, &format) || format != FORMAT || !rate_read_char(&text, ' ') ||
        !rate_read_hex(&text, &check) || check != t->check || !rate_read_char(&text, ' ') ||
        !rate_read_hex(&text, &id) || id == t->id)
        return;
    while (rate_read_char(&text, ' ') && rate_read_hex(&text, &key) && rate_read_char(&text, ':') &&
           rate_read_us(&text, &us))
        apply_one(t, key, us, now_us);
}

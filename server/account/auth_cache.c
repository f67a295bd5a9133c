#include "server/account/auth_cache.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"

enum { SHARDS = 16 };

struct entry {
    struct token_hash hash;
    struct token_owner owner; /* device_id: behind the entry */
    int64_t noted_ts;         /* when the device's use was last recorded */
    struct entry *newer, *older;
    struct entry *next_of_user, **link_of_user;
};

struct shard {
    struct lock lock;
    struct map entries, users; /* hash -> entry; user -> the user's first entry here */
    struct entry *newest, *oldest;
    uint64_t epoch; /* grows whenever something is forgotten */
    int64_t hits, misses;
};

struct auth_cache {
    struct shard shards[SHARDS];
    size_t shard_max;
};

struct auth_cache *auth_cache_create(size_t entries_max)
{
    struct auth_cache *c = mem_zalloc(sizeof *c);
    c->shard_max = entries_max / SHARDS + 1;
    for (int i = 0; i < SHARDS; i++)
        lock_init(&c->shards[i].lock, RANK_CACHE);
    return c;
}

static struct shard *shard_of(struct auth_cache *c, const struct token_hash *hash)
{
    return &c->shards[hash->bytes[0] % SHARDS];
}

/* ---- one shard, locked ---- */

static void auth_cache_link_newest(struct shard *s, struct entry *e)
{
    e->newer = NULL;
    e->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
}

static void unlink_entry(struct shard *s, struct entry *e)
{
    *(e->newer ? &e->newer->older : &s->newest) = e->older;
    *(e->older ? &e->older->newer : &s->oldest) = e->newer;
}

/* The map holds the first entry of a user, whose own link is NULL. */
static void link_user(struct shard *s, struct entry *e)
{
    struct entry *first = map_put_int(&s->users, e->owner.user, e);
    e->next_of_user = first;
    e->link_of_user = NULL;
    if (first)
        first->link_of_user = &e->next_of_user;
}

static void unlink_user(struct shard *s, struct entry *e)
{
    if (e->next_of_user)
        e->next_of_user->link_of_user = e->link_of_user;
    if (e->link_of_user)
        *e->link_of_user = e->next_of_user;
    else if (e->next_of_user)
        map_put_int(&s->users, e->owner.user, e->next_of_user);
    else
        map_remove_int(&s->users, e->owner.user);
}

static void remove_entry(struct shard *s, struct entry *e)
{
    map_remove(&s->entries, token_bytes(&e->hash));
    unlink_entry(s, e);
    unlink_user(s, e);
    free(e);
}

/* ---- the cache ---- */

void auth_cache_destroy(struct auth_cache *c)
{
    if (!c)
        return;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &c->shards[i];
        while (s->oldest)
            remove_entry(s, s->oldest);
        map_finish(&s->entries);
        map_finish(&s->users);
        lock_finish(&s->lock);
    }
    free(c);
}

void auth_cache_add_metrics(struct auth_cache *c, struct buf *out)
{
    int64_t hits = 0, misses = 0;
    size_t n = 0;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &c->shards[i];
        LOCKED(&s->lock);
        hits += s->hits;
        misses += s->misses;
        n += s->entries.n;
    }
    buf_printf(
        out,
        "# HELP concorde_token_cache_entries Sessions whose access tokens are known in memory.\n"
        "# TYPE concorde_token_cache_entries gauge\nconcorde_token_cache_entries %zu\n"
        "# HELP concorde_token_cache_hits_total Access tokens found in memory.\n"
        "# TYPE concorde_token_cache_hits_total counter\n"
        "concorde_token_cache_hits_total %lld\n"
        "# HELP concorde_token_cache_misses_total Access tokens looked up in the database.\n"
        "# TYPE concorde_token_cache_misses_total counter\n"
        "concorde_token_cache_misses_total %lld\n",
        n, (long long)hits, (long long)misses);
}

const char *auth_cache_user(struct auth_cache *c, const struct token_hash *hash)
{
    struct shard *s = shard_of(c, hash);
    LOCKED(&s->lock);
    const struct entry *e = map_get(&s->entries, token_bytes(hash));
    return e ? e->owner.user_id : NULL;
}

bool auth_cache_get(struct auth_cache *c, struct arena *a, const struct token_hash *hash,
                    int64_t now, struct auth_entry *ret, uint64_t *ret_epoch)
{
    struct shard *s = shard_of(c, hash);
    LOCKED(&s->lock);
    struct entry *e = map_get(&s->entries, token_bytes(hash));
    if (!e) {
        s->misses++;
        *ret_epoch = s->epoch;
        return false;
    }
    s->hits++;
    if (e != s->newest) {
        unlink_entry(s, e);
        auth_cache_link_newest(s, e);
    }
    const struct token_owner *o = &e->owner;
    *ret = (struct auth_entry){
        .caller = {.user = o->user,
                   .user_id = o->user_id,
                   .device = o->device,
                   .device_id = arena_strdup(a, o->device_id),
                   .is_admin = o->is_admin,
                   .is_guest = o->is_guest,
                   .is_suspended = o->suspended},
        .expires_ts = o->expires_ts,
        .locked = o->locked,
        .unseen = now - e->noted_ts >= AUTH_SEEN_EVERY_MS,
    };
    if (ret->unseen)
        e->noted_ts = now;
    return true;
}

void auth_cache_put(struct auth_cache *c, const struct token_hash *hash,
                    const struct token_owner *owner, uint64_t epoch)
{
    struct shard *s = shard_of(c, hash);
    LOCKED(&s->lock);
    if (s->epoch != epoch || map_get(&s->entries, token_bytes(hash)))
        return;
    if (s->entries.n >= c->shard_max)
        remove_entry(s, s->oldest);
    size_t n = strlen(owner->device_id) + 1;
    struct entry *e = mem_zalloc(sizeof *e + n);
    e->hash = *hash;
    e->owner = *owner;
    e->owner.device_id = memcpy(e + 1, owner->device_id, n);
    e->noted_ts = owner->last_seen_ts;
    map_put(&s->entries, token_bytes(&e->hash), e);
    auth_cache_link_newest(s, e);
    link_user(s, e);
}

void auth_cache_forget_user(struct auth_cache *c, int64_t user)
{
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &c->shards[i];
        LOCKED(&s->lock);
        s->epoch++;
        struct entry *e;
        while ((e = map_get_int(&s->users, user)))
            remove_entry(s, e);
    }
}

void auth_cache_forget_all(struct auth_cache *c)
{
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &c->shards[i];
        LOCKED(&s->lock);
        s->epoch++;
        while (s->oldest)
            remove_entry(s, s->oldest);
    }
}

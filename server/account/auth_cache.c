#include "server/account/auth_cache.h"

#include "base/cache.h"
#include "base/clock.h"
#include "base/mem.h"

enum { SHARDS = 16 };

struct token_entry {
    struct cache_entry entry;
    struct token_hash hash;
    struct token_owner owner; /* device_id: behind the entry */
    int64_t noted_ts;         /* when the device's use was last recorded */
    struct token_entry *next_of_user, **link_of_user;
};

struct shard {
    struct cache cache; /* by hash; its lock guards the users, too */
    struct map users;   /* users.id -> the user's first entry here */
};

struct auth_cache {
    struct shard shards[SHARDS];
};

/* ---- one shard ---- */

static struct shard *shard_of(struct auth_cache *c, const struct token_hash *hash)
{
    return &c->shards[hash->bytes[0] % SHARDS];
}

/* The map holds the first entry of a user, whose own link is NULL. */
static void link_user(struct shard *s, struct token_entry *e)
{
    struct token_entry *first = map_put_int(&s->users, e->owner.user, e);
    e->next_of_user = first;
    e->link_of_user = NULL;
    if (first)
        first->link_of_user = &e->next_of_user;
}

static void auth_cache_left(void *shard, struct cache_entry *entry)
{
    struct shard *s = shard;
    struct token_entry *e = (struct token_entry *)entry;
    if (e->next_of_user)
        e->next_of_user->link_of_user = e->link_of_user;
    if (e->link_of_user)
        *e->link_of_user = e->next_of_user;
    else if (e->next_of_user)
        map_put_int(&s->users, e->owner.user, e->next_of_user);
    else
        map_remove_int(&s->users, e->owner.user);
}

static void auth_cache_destroy_entry(struct cache_entry *e)
{
    free(e);
}

static const struct cache_kind token_kind = {.name = "tokens",
                                             .rank = RANK_CACHE,
                                             .share = 8,
                                             .parts = SHARDS,
                                             .left = auth_cache_left,
                                             .destroy = auth_cache_destroy_entry};

/* ---- the cache ---- */

struct auth_cache *auth_cache_create(struct cache_budget *b)
{
    struct auth_cache *c = mem_zalloc(sizeof *c);
    for (int i = 0; i < SHARDS; i++)
        cache_init(&c->shards[i].cache, b, &token_kind, &c->shards[i]);
    return c;
}

void auth_cache_destroy(struct auth_cache *c)
{
    if (!c)
        return;
    for (int i = 0; i < SHARDS; i++) {
        cache_finish(&c->shards[i].cache);
        map_finish(&c->shards[i].users);
    }
    free(c);
}

const char *auth_cache_user(struct auth_cache *c, const struct token_hash *hash)
{
    struct shard *s = shard_of(c, hash);
    CACHE_LOCKED(&s->cache);
    const struct token_entry *e = cache_peek_locked(&s->cache, token_bytes(hash));
    return e ? e->owner.user_id : NULL;
}

bool auth_cache_get(struct auth_cache *c, struct arena *a, const struct token_hash *hash,
                    int64_t now, struct auth_entry *ret, uint64_t *ret_epoch)
{
    struct shard *s = shard_of(c, hash);
    CACHE_LOCKED(&s->cache);
    struct token_entry *e = cache_find_locked(&s->cache, token_bytes(hash));
    if (!e) {
        *ret_epoch = cache_epoch_locked(&s->cache);
        return false;
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
    CACHE_LOCKED(&s->cache);
    if (cache_epoch_locked(&s->cache) != epoch || cache_peek_locked(&s->cache, token_bytes(hash)))
        return;
    size_t n = strlen(owner->device_id) + 1;
    struct token_entry *e = mem_zalloc(sizeof *e + n);
    e->entry.bytes = sizeof *e + n;
    e->entry.key = token_bytes(&e->hash);
    e->hash = *hash;
    e->owner = *owner;
    e->owner.device_id = memcpy(e + 1, owner->device_id, n);
    e->noted_ts = owner->last_seen_ts;
    cache_add_locked(&s->cache, &e->entry);
    link_user(s, e);
}

void auth_cache_forget_user(struct auth_cache *c, int64_t user)
{
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &c->shards[i];
        struct token_entry *e;
        CACHE_LOCKED(&s->cache);
        cache_move_epoch_locked(&s->cache);
        while ((e = map_get_int(&s->users, user)))
            cache_drop_locked(&s->cache, &e->entry);
    }
}

void auth_cache_forget_all(struct auth_cache *c)
{
    for (int i = 0; i < SHARDS; i++)
        cache_forget_all(&c->shards[i].cache);
}

#include "rooms/recent_rules.h"

void recent_rules_init(struct recent_rules *r)
{
    *r = (struct recent_rules){0};
    lock_init(&r->lock, RANK_LEAF);
}

void recent_rules_finish(struct recent_rules *r)
{
    map_finish(&r->newer);
    map_finish(&r->older);
    lock_finish(&r->lock);
}

static void age_locked(struct recent_rules *r)
{
    map_finish(&r->older);
    r->forgot = r->older_to;
    r->older = r->newer;
    r->older_to = r->newest;
    r->newer = (struct map){0};
}

void recent_rules_add(struct recent_rules *r, int64_t user, int64_t position)
{
    LOCKED(&r->lock);
    if (r->newer.n == RECENT_RULES_MIN && !map_get_int(&r->newer, user))
        age_locked(r);
    map_put_int(&r->newer, user, (void *)(intptr_t)position);
    r->newest = position;
}

int64_t recent_rules_newest(struct recent_rules *r)
{
    LOCKED(&r->lock);
    return r->newest;
}

bool recent_rules_has(struct recent_rules *r, int64_t user)
{
    LOCKED(&r->lock);
    return map_get_int(&r->newer, user) || map_get_int(&r->older, user);
}

static void each_of(const struct map *users, int64_t since, void (*fn)(void *ctx, int64_t user),
                    void *ctx)
{
    for (struct map_slot *s = NULL; (s = map_next(users, s));)
        if ((intptr_t)s->value > since)
            fn(ctx, (int64_t)s->id);
}

bool recent_rules_each(struct recent_rules *r, int64_t since, void (*fn)(void *ctx, int64_t user),
                       void *ctx)
{
    LOCKED(&r->lock);
    if (r->forgot > since)
        return false;
    if (r->newest <= since)
        return true;
    each_of(&r->older, since, fn, ctx);
    each_of(&r->newer, since, fn, ctx);
    return true;
}

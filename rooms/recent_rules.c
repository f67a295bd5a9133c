#include "rooms/recent_rules.h"

#include "base/mem.h"

#include <stdatomic.h>

/* The newest change of a user's rules. */
struct recent_change {
    int64_t user, position;
    struct recent_change *before, *after;
};

void recent_rules_init(struct recent_rules *r, int64_t position)
{
    *r = (struct recent_rules){.forgot = position, .newest = position};
    lock_init(&r->lock, RANK_LEAF);
}

static void recent_rules_clear_locked(struct recent_rules *r)
{
    for (struct map_slot *s = NULL; (s = map_next(&r->users, s));)
        free(s->value);
    map_finish(&r->users);
    r->first = r->last = NULL;
}

void recent_rules_finish(struct recent_rules *r)
{
    recent_rules_clear_locked(r);
    lock_finish(&r->lock);
}

static void recent_rules_unlink_locked(struct recent_rules *r, struct recent_change *c)
{
    *(c->before ? &c->before->after : &r->first) = c->after;
    *(c->after ? &c->after->before : &r->last) = c->before;
}

static void recent_rules_append_locked(struct recent_rules *r, struct recent_change *c)
{
    c->before = r->last;
    c->after = NULL;
    *(r->last ? &r->last->after : &r->first) = c;
    r->last = c;
}

/* The user's entry, in no place of the order: theirs, a dropped one, or a new one. */
static struct recent_change *recent_rules_take_locked(struct recent_rules *r, int64_t user)
{
    struct recent_change *c = map_get_int(&r->users, user);
    if (c) {
        recent_rules_unlink_locked(r, c);
        return c;
    }
    if (r->users.n == RECENT_RULES_MAX) {
        c = r->first;
        r->forgot = c->position;
        recent_rules_unlink_locked(r, c);
        map_remove_int(&r->users, c->user);
    } else {
        c = mem_alloc(sizeof *c);
    }
    map_put_int(&r->users, user, c);
    return c;
}

void recent_rules_add(struct recent_rules *r, int64_t user, int64_t position)
{
    LOCKED(&r->lock);
    struct recent_change *c = recent_rules_take_locked(r, user);
    c->user = user;
    c->position = position;
    recent_rules_append_locked(r, c);
    atomic_store(&r->newest, position);
}

void recent_rules_miss(struct recent_rules *r, int64_t position)
{
    LOCKED(&r->lock);
    recent_rules_clear_locked(r);
    r->forgot = position;
    atomic_store(&r->newest, position);
}

int64_t recent_rules_newest(struct recent_rules *r)
{
    return atomic_load(&r->newest);
}

bool recent_rules_each(struct recent_rules *r, int64_t since, void (*fn)(void *ctx, int64_t user),
                       void *ctx, int64_t *ret_until)
{
    LOCKED(&r->lock);
    if (r->forgot > since)
        return false;
    for (struct recent_change *c = r->last; c && c->position > since; c = c->before)
        fn(ctx, c->user);
    *ret_until = atomic_load(&r->newest);
    return true;
}

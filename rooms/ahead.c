#include "rooms/ahead.h"

#include "base/mem.h"
#include "rooms/room_internal.h"

static struct ahead *ahead_find(struct room *r, const char *type, const char *state_key)
{
    char key[ROOM_STATE_KEY_MAX];
    struct str k = room_state_key(type, state_key, key);
    return r->ahead.n && k.p ? map_get(&r->ahead, k) : NULL;
}

static void remove_change(struct room *r, struct ahead *a)
{
    map_remove(&r->ahead,
               (struct str){a->key, strlen(a->event->type) + 1 + strlen(a->event->state_key)});
    if (a->member.user)
        map_remove_int(&r->ahead_members, a->member.user);
    event_unref(a->event);
    free(a);
}

void ahead_put_locked(struct room *r, const struct event *e, const struct room_member *member)
{
    char key[ROOM_STATE_KEY_MAX];
    struct str k = room_state_key(e->type, e->state_key, key);
    struct ahead *before = ahead_find(r, e->type, e->state_key);
    if (before)
        remove_change(r, before);
    struct ahead *a = mem_zalloc(sizeof *a + k.n + 1);
    memcpy(a->key, k.p, k.n);
    a->event = event_ref(e);
    map_put(&r->ahead, (struct str){a->key, k.n}, a);
    if (!member)
        return;
    a->member = *member;
    map_put_int(&r->ahead_members, member->user, a);
    if (r->names)
        unread_member_changed_locked(r, &a->member, json_text(event_content(e), "displayname"));
}

void ahead_settle_locked(struct room *r, const struct event *e)
{
    struct ahead *a = ahead_find(r, e->type, e->state_key);
    if (a && strcmp(a->event->event_id, e->event_id) == 0)
        remove_change(r, a);
}

void ahead_finish(struct room *r)
{
    for (struct map_slot *s = NULL; (s = map_next(&r->ahead, s));) {
        struct ahead *a = s->value;
        event_unref(a->event);
        free(a);
    }
    map_finish(&r->ahead);
    map_finish(&r->ahead_members);
}

const struct ahead *ahead_find_locked(struct room *r, const char *type, const char *state_key)
{
    return ahead_find(r, type, state_key);
}

const struct room_member *ahead_member_locked(struct room *r, int64_t user)
{
    const struct ahead *a = r->ahead_members.n ? map_get_int(&r->ahead_members, user) : NULL;
    return a ? &a->member : map_get_int(&r->members, user);
}

void ahead_each_member_locked(struct room *r,
                              void (*each)(void *ctx, const struct room_member *member), void *ctx)
{
    for (struct map_slot *s = NULL; (s = map_next(&r->ahead_members, s));)
        each(ctx, &((const struct ahead *)s->value)->member);
}

static bool ahead_is_joined(const struct room_member *m)
{
    return m && m->membership == MEMBERSHIP_JOIN;
}

int64_t ahead_joined_locked(struct room *r)
{
    int64_t n = 0;
    for (struct map_slot *s = NULL; (s = map_next(&r->ahead_members, s));) {
        const struct room_member *m = &((const struct ahead *)s->value)->member;
        n += ahead_is_joined(m) - ahead_is_joined(map_get_int(&r->members, m->user));
    }
    return n;
}

void ahead_set_own_rules_locked(struct room *r, int64_t user)
{
    struct ahead *a = map_get_int(&r->ahead_members, user);
    if (a)
        a->member.has_own_rules = true;
}

#include "rooms/own_rules.h"

#include "rooms/ahead.h"
#include "rooms/recent_rules.h"
#include "rooms/room_cache.h"
#include "rooms/room_internal.h"
#include "rooms/rooms.h"

static void own_rules_set_locked(void *room, int64_t user)
{
    room_set_own_rules_locked(room, user, true);
    ahead_set_own_rules_locked(room, user);
}

struct users_in_room {
    int64_t *ids;
    size_t n;
};

static void own_rules_list_member(void *list, const struct room_member *m)
{
    struct users_in_room *users = list;
    if (m->is_local && m->membership == MEMBERSHIP_JOIN)
        users->ids[users->n++] = m->user;
}

static const struct err *own_rules_read_locked(struct job *job, struct room *r)
{
    const int64_t *with_rules;
    size_t n;
    struct users_in_room users = {
        arena_alloc_array(job->arena, r->members.n + r->ahead_members.n + 1, sizeof *users.ids), 0};
    for (struct map_slot *s = NULL; (s = map_next(&r->members, s));)
        own_rules_list_member(&users, s->value);
    ahead_each_member_locked(r, own_rules_list_member, &users);
    TRY(members_with_own_rules(job_tx(job), users.ids, users.n, &with_rules, &n));
    for (size_t i = 0; i < n; i++)
        own_rules_set_locked(r, with_rules[i]);
    return NULL;
}

const struct err *own_rules_follow_locked(struct job *job, struct room *r)
{
    struct recent_rules *recent = room_cache_recent_rules(job->rooms->cache);
    while (r->rules_seen != recent_rules_newest(recent)) {
        int64_t newest = recent_rules_newest(recent);
        if (recent_rules_each(recent, r->rules_seen, own_rules_set_locked, r, &r->rules_seen))
            return NULL;
        TRY(own_rules_read_locked(job, r));
        r->rules_seen = newest;
    }
    return NULL;
}

void own_rules_go_back_locked(struct room *r, int64_t position)
{
    if (r->rules_seen > position)
        r->rules_seen = position;
}

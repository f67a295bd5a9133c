/* What a phone shows on the app's icon: unread rooms or messages, and invites. Of each user only
 * the rooms with something unread are in memory. A room that changes is stale until its counts are
 * needed; they come from users/unread.h, in the usual case from memory. */
#include "server/push/push_internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "rooms/room_cache.h"
#include "users/unread.h"

void push_counts_touch_locked(struct push_user *u, int64_t room)
{
    struct push_count *c = map_get_int(&u->counts, room);
    if (!c) {
        c = mem_zalloc(sizeof *c);
        map_put_int(&u->counts, room, c);
    }
    c->is_stale = true;
    c->serial++;
}

void push_counts_destroy(struct push_user *u)
{
    for (struct map_slot *s = NULL; (s = map_next(&u->counts, s));)
        free(s->value);
    map_finish(&u->counts);
}

void push_counts_due_locked(struct pushes *p, struct push_user *u, bool is_sure)
{
    for (size_t i = 0; i < u->pushers_n; i++) {
        struct live_pusher *x = u->pushers[i];
        if (x->badge_due_mono || !x->has_counts || !x->is_enabled || (x->badge < 0 && !is_sure))
            continue;
        x->badge_due_mono = mono_ms() + PUSH_BADGE_MS;
        push_consider_locked(p, x);
    }
}

/* ---- the rooms from before ---- */

static const struct err *push_counts_begin(struct pushes *p, struct job *job, int64_t user)
{
    const int64_t *rooms;
    size_t n;
    {
        LOCKED(&p->lock);
        const struct push_user *u = map_get_int(&p->users, user);
        if (!u || u->has_counted)
            return NULL;
    }
    TRY(pushers_unread_rooms(job_tx(job), user, &rooms, &n));
    LOCKED(&p->lock);
    struct push_user *u = map_get_int(&p->users, user);
    for (size_t i = 0; u && i < n; i++)
        push_counts_touch_locked(u, rooms[i]);
    if (u)
        u->has_counted = true;
    return NULL;
}

/* ---- the stale ones ---- */

struct push_stale {
    int64_t room, n;
    unsigned serial;
};

static void push_counts_list_stale(struct pushes *p, struct arena *a, int64_t user,
                                   struct push_stale **ret, size_t *ret_n, const char **ret_id)
{
    LOCKED(&p->lock);
    const struct push_user *u = map_get_int(&p->users, user);
    *ret_n = 0;
    *ret_id = NULL;
    if (!u)
        return;
    *ret_id = arena_strdup(a, u->user_id);
    *ret = arena_alloc_array(a, u->counts.n + 1, sizeof **ret);
    for (struct map_slot *s = NULL; (s = map_next(&u->counts, s));) {
        const struct push_count *c = s->value;
        if (c->is_stale)
            (*ret)[(*ret_n)++] = (struct push_stale){.room = (int64_t)s->id, .serial = c->serial};
    }
}

static const struct err *push_counts_read(struct job *job, int64_t user, const char *user_id,
                                          struct push_stale *s)
{
    struct room *room;
    struct unread_counts counts;
    TRY(room_get_by_id(job, s->room, &room));
    enum membership m = room ? room_membership(room, user) : MEMBERSHIP_NONE;
    s->n = m == MEMBERSHIP_INVITE;
    if (m != MEMBERSHIP_JOIN)
        return NULL;
    TRY(unread_get(job, room, user, user_id, false, &counts));
    s->n = counts.notify;
    return NULL;
}

/* Those that became stale again meanwhile stay so. */
static int64_t push_counts_put_locked(struct pushes *p, int64_t user, const struct push_stale *list,
                                      size_t n)
{
    struct push_user *u = map_get_int(&p->users, user);
    bool rooms = p->node->config->push_count_rooms;
    int64_t sum = 0;
    for (size_t i = 0; u && i < n; i++) {
        struct push_count *c = map_get_int(&u->counts, list[i].room);
        if (!c)
            continue;
        c->n = list[i].n;
        c->is_stale = c->serial != list[i].serial;
        if (!c->n && !c->is_stale)
            free(map_remove_int(&u->counts, list[i].room));
    }
    for (struct map_slot *s = NULL; u && (s = map_next(&u->counts, s));) {
        const struct push_count *c = s->value;
        sum += rooms ? c->n > 0 : c->n;
    }
    return sum;
}

const struct err *push_counts_badge(struct pushes *p, struct job *job, int64_t user, int64_t *ret)
{
    struct push_stale *list = NULL;
    const char *user_id;
    size_t n;
    TRY(push_counts_begin(p, job, user));
    push_counts_list_stale(p, job->arena, user, &list, &n, &user_id);
    for (size_t i = 0; i < n; i++)
        TRY(push_counts_read(job, user, user_id, &list[i]));
    LOCKED(&p->lock);
    *ret = push_counts_put_locked(p, user, list, n);
    return NULL;
}

/* Which users an event notifies: the same evaluation as for unread counts, once for all users that
 * have no rules of their own and are not mentioned. */
#include "server/push/push_internal.h"

#include "base/mem.h"
#include "rooms/account_cache.h"
#include "rooms/read/erasure.h"
#include "rooms/room_cache.h"
#include "storage/db/intern.h"
#include "users/receipts.h"

enum { AT_ONCE = 64 /* users that are notified while the lock is held once */ };

/* A user to be notified. */
struct push_recipient {
    int64_t user;
    const struct push_outcome *outcome;
};

struct push_evaluation {
    struct pushes *pushes;
    struct job *job;
    const struct push_seen *seen;
    struct room *room;
    uint32_t slices;          /* whose users are looked at ... */
    struct live_pusher *only; /* ... or only this one's */
    struct push_outcomes outcomes;
    struct push_recipient *list;
    size_t n;
};

/* ---- what the event means for the users that it is about ---- */

static void push_evaluate_touch(struct pushes *p, int64_t user, int64_t room)
{
    LOCKED(&p->lock);
    struct push_user *u = map_get_int(&p->users, user);
    if (!u)
        return;
    push_counts_touch_locked(u, room);
    push_counts_due_locked(p, u, false);
}

/* A user who sends an event has read up to it. */
static void push_evaluate_author(struct pushes *p, const struct push_seen *s)
{
    LOCKED(&p->lock);
    struct push_user *u = map_get_int(&p->users, s->user);
    if (!u)
        return;
    for (size_t i = 0; i < u->pushers_n; i++)
        push_queue_read_locked(u->pushers[i], s->room, s->thread ? s->thread : RECEIPT_OF_MAIN,
                               s->position);
    push_counts_touch_locked(u, s->room);
    push_counts_due_locked(p, u, false);
}

/* Who was invited, joined or left has other counts. */
static const struct err *push_evaluate_member(struct pushes *p, struct job *job,
                                              const struct push_seen *s)
{
    int64_t user;
    if (!s->event->state_key || strcmp(s->event->type, "m.room.member") != 0)
        return NULL;
    TRY(intern_find(job->storage->intern, INTERN_USER, s->event->state_key, &user));
    if (user && map_get_int(&p->users, user))
        push_evaluate_touch(p, user, s->room);
    return NULL;
}

static void push_evaluate_redaction(struct pushes *p, const struct push_seen *s)
{
    LOCKED(&p->lock);
    struct push_notice *n = s->redacts ? map_get_int(&p->notices, s->redacts) : NULL;
    if (n)
        n->is_redacted = true;
}

/* ---- who is notified ---- */

static bool push_evaluate_wants(void *ctx, int64_t user)
{
    const struct push_evaluation *v = ctx;
    if (v->only)
        return user == v->only->user;
    const struct push_user *u = map_get_int(&v->pushes->users, user);
    return u && v->slices & UINT32_C(1) << u->slice;
}

static void push_evaluate_add(struct push_evaluation *v, int64_t user,
                              const struct push_outcome *outcome)
{
    v->list[v->n++] = (struct push_recipient){user, outcome};
}

/* Since before the event: so they may see it. */
static bool push_evaluate_is_member(const struct push_evaluation *v, const struct room_member *m)
{
    return m && m->membership == MEMBERSHIP_JOIN && m->is_local && m->user != v->seen->user &&
           m->position <= v->seen->position;
}

static void push_evaluate_consider_locked(struct push_evaluation *v, const struct room_member *m)
{
    if (push_evaluate_is_member(v, m) && push_evaluate_wants(v, m->user) &&
        !map_get_int(&v->outcomes.own, m->user))
        push_evaluate_add(v, m->user, &v->outcomes.base);
}

static void push_evaluate_everyone_locked(struct push_evaluation *v)
{
    const struct map *users = &v->pushes->users, *members = &v->room->members;
    if (v->only)
        push_evaluate_consider_locked(v, map_get_int(members, v->only->user));
    else if (users->n < members->n)
        for (struct map_slot *s = NULL; (s = map_next(users, s));)
            push_evaluate_consider_locked(v, map_get_int(members, (int64_t)s->id));
    else
        for (struct map_slot *s = NULL; (s = map_next(members, s));)
            push_evaluate_consider_locked(v, s->value);
}

/* An invited user is not a member yet. */
static bool push_evaluate_is_invited(const struct push_evaluation *v, const struct room_member *m)
{
    const struct event *e = v->seen->event;
    return m && m->membership == MEMBERSHIP_INVITE && m->event == v->seen->position &&
           e->state_key && strcmp(e->type, "m.room.member") == 0 &&
           strcmp(e->state_key, m->user_id) == 0;
}

static const struct err *push_evaluate_room_locked(struct push_evaluation *v)
{
    TRY(unread_evaluate_outcomes_locked(v->job, v->room, v->seen->event, v->seen->user,
                                        push_evaluate_wants, v, &v->outcomes));
    size_t cap = v->room->members.n + v->outcomes.own.n;
    v->list = arena_alloc_array(v->job->arena, cap + 1, sizeof *v->list);
    for (struct map_slot *s = NULL; (s = map_next(&v->outcomes.own, s));) {
        const struct room_member *m = map_get_int(&v->room->members, (int64_t)s->id);
        const struct push_outcome *o = s->value;
        if (o->notify && (push_evaluate_is_member(v, m) || push_evaluate_is_invited(v, m)))
            push_evaluate_add(v, m->user, o);
    }
    if (v->outcomes.base.notify)
        push_evaluate_everyone_locked(v);
    return NULL;
}

static bool push_evaluate_may_ignore(struct pushes *p, int64_t user)
{
    LOCKED(&p->lock);
    const struct push_user *u = map_get_int(&p->users, user);
    return u && u->may_ignore;
}

/* State events of ignored users are sent to clients, and count; but not their invites. */
static const struct err *push_evaluate_leave_out_ignoring(struct push_evaluation *v)
{
    const struct event *e = v->seen->event;
    bool is_shown = e->state_key && !v->seen->is_lost && event_membership(e) != MEMBERSHIP_INVITE;
    size_t kept = 0;
    for (size_t i = 0; i < v->n; i++) {
        struct ignored_list *ignored = NULL;
        if (!is_shown && push_evaluate_may_ignore(v->pushes, v->list[i].user))
            TRY(ignored_list_get(v->job, v->list[i].user, &ignored));
        if (!ignored || !ignored_list_has(ignored, v->seen->event->sender))
            v->list[kept++] = v->list[i];
    }
    v->n = kept;
    return NULL;
}

/* ---- handing it to the pushers ---- */

static void push_evaluate_notify_pusher_locked(struct push_evaluation *v, struct live_pusher *x,
                                               struct push_notice *n, const char *tweaks,
                                               bool is_loud)
{
    struct pushes *p = v->pushes;
    if (!x->is_enabled || n->position <= x->since || (x->behind && x != v->only))
        return;
    push_queue_add_locked(p, x, n, tweaks, is_loud);
    push_consider_locked(p, x);
}

static void push_evaluate_notify_locked(struct push_evaluation *v, const struct push_recipient *r,
                                        struct push_notice *n)
{
    struct push_user *u = map_get_int(&v->pushes->users, r->user);
    bool is_base = r->outcome == &v->outcomes.base;
    buf_auto struct buf tweaks = {0};
    if (!u)
        return;
    push_counts_touch_locked(u, n->room);
    if (!v->only && n->position <= v->pushes->slices[u->slice].from)
        return;
    if (!is_base)
        push_body_tweaks(r->outcome->actions, &tweaks);
    for (size_t i = 0; i < u->pushers_n; i++)
        if (!v->only || u->pushers[i] == v->only)
            push_evaluate_notify_pusher_locked(v, u->pushers[i], n, is_base ? NULL : tweaks.p,
                                               r->outcome->highlight || r->outcome->sound);
}

static const struct err *push_evaluate_notify(struct push_evaluation *v)
{
    struct pushes *p = v->pushes;
    struct push_notice *n = push_notice_create(v->seen);
    buf_auto struct buf tweaks = {0};
    size_t tweaks_n;
    const struct err *e = push_body_notice(p, v->job, v->room, v->seen->event, n);
    push_body_tweaks(v->outcomes.base.actions, &tweaks);
    n->tweaks = buf_steal(&tweaks, &tweaks_n);
    for (size_t at = 0; at < v->n && !e; at += AT_ONCE) {
        LOCKED(&p->lock);
        for (size_t i = at; i < v->n && i < at + AT_ONCE; i++)
            push_evaluate_notify_locked(v, &v->list[i], n);
    }
    LOCKED(&p->lock);
    push_notice_unref_locked(p, n);
    return e;
}

static const struct err *push_evaluate_run(struct push_evaluation *v)
{
    int64_t erased;
    TRY(room_get_by_id(v->job, v->seen->room, &v->room));
    if (!v->room || event_is_dummy(v->seen->event))
        return NULL;
    TRY(erasures_find(v->job, v->seen->event->sender, &erased));
    if (erased)
        return NULL;
    {
        LOCKED(&v->room->lock);
        TRY(push_evaluate_room_locked(v));
    }
    TRY(push_evaluate_leave_out_ignoring(v));
    return v->n ? push_evaluate_notify(v) : NULL;
}

const struct err *push_evaluate(struct pushes *p, struct job *job, const struct push_seen *s,
                                uint32_t slices)
{
    struct push_evaluation v = {.pushes = p, .job = job, .seen = s, .slices = slices};
    if (!p->users.n)
        return NULL;
    push_evaluate_redaction(p, s);
    TRY(push_evaluate_member(p, job, s));
    push_evaluate_author(p, s);
    const struct err *e = push_evaluate_run(&v);
    map_finish(&v.outcomes.own);
    return e;
}

const struct err *push_evaluate_for(struct pushes *p, struct job *job, const struct push_seen *s,
                                    struct live_pusher *x)
{
    struct push_evaluation v = {.pushes = p, .job = job, .seen = s, .only = x};
    const struct err *e = push_evaluate_run(&v);
    map_finish(&v.outcomes.own);
    return e;
}

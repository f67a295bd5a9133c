/* The feed listener, which notes what is to be looked at, and the work that looks at it, in the
 * order of the log. */
#include "server/push/push_internal.h"

#include "base/mem.h"

/* ---- what is noted ---- */

void push_seen_add_locked(struct pushes *p, const struct push_seen *s)
{
    struct push_seen *kept = mem_alloc(sizeof *kept);
    *kept = *s;
    kept->next = NULL;
    if (kept->event)
        event_ref(kept->event);
    *p->seen_last = kept;
    p->seen_last = &kept->next;
    p->seen_n++;
}

static void push_seen_destroy(struct push_seen *s)
{
    event_unref(s->event);
    free(s);
}

/* The front stays while it is looked at. */
void push_seen_clear_locked(struct pushes *p)
{
    struct push_seen **at = p->is_reading && p->seen ? &p->seen->next : &p->seen;
    for (struct push_seen *s = *at, *next; s; s = next) {
        next = s->next;
        p->seen_n--;
        push_seen_destroy(s);
    }
    *at = NULL;
    p->seen_last = at;
}

/* ---- the listener ---- */

/* All changes are looked at again, in the database. */
static void push_follow_miss_locked(struct pushes *p)
{
    push_seen_clear_locked(p);
    p->has_missed = true;
}

/* A change of pushers that is not looked at yet may bring the first user. */
static bool push_follow_has_users_locked(const struct pushes *p)
{
    return p->users.n || p->seen;
}

static void push_follow_event_locked(struct pushes *p, const struct change *c)
{
    const struct change_event *e = change_as_event(c);
    if (e->is_withheld || !push_follow_has_users_locked(p))
        return;
    push_seen_add_locked(p, &(struct push_seen){.kind = SEEN_EVENT,
                                                .position = c->position,
                                                .room = c->room,
                                                .user = c->user,
                                                .thread = e->thread,
                                                .redacts = e->redacts_position,
                                                .event = e->event,
                                                .is_lost = e->is_lost});
}

static void push_follow_change_locked(struct pushes *p, const struct change *c)
{
    if (c->kind == CHANGE_EVENT) {
        push_follow_event_locked(p, c);
    } else if (c->kind == CHANGE_RECEIPT) {
        if (map_get_int(&p->users, c->user))
            push_seen_add_locked(p, &(struct push_seen){.kind = SEEN_RECEIPT,
                                                        .position = c->position,
                                                        .room = c->room,
                                                        .user = c->user,
                                                        .thread = c->receipt.thread,
                                                        .read = c->receipt.event});
    } else if (c->kind == CHANGE_ACCOUNT) {
        if (p->slices[lease_slice_of_id(c->user)].state != SLICE_NONE)
            push_seen_add_locked(p, &(struct push_seen){.kind = SEEN_PUSHERS,
                                                        .position = c->position,
                                                        .user = c->user});
    } else if (c->kind == CHANGE_ACCOUNT_DATA && !c->room) {
        struct push_user *u = map_get_int(&p->users, c->user);
        if (u)
            u->may_ignore = true;
    }
}

void pushes_on_changes(void *ctx, const struct change *changes, size_t n)
{
    struct pushes *p = ctx;
    LOCKED(&p->lock);
    for (size_t i = 0; i < n; i++)
        push_follow_change_locked(p, &changes[i]);
    p->heard = n ? changes[n - 1].position : feed_newest(p->node->storage->feed);
    if (!n || p->seen_n > PUSH_SEEN_MAX)
        push_follow_miss_locked(p);
}

void pushes_on_settled(void *ctx)
{
    struct pushes *p = ctx;
    LOCKED(&p->lock);
    if (p->seen || p->has_missed)
        push_schedule(p, PUSH_FOLLOW, 0);
}

int64_t push_clear_position_locked(const struct pushes *p)
{
    return p->seen ? p->seen->position - 1 : p->heard;
}

/* ---- the work ---- */

static const struct err *push_follow_pushers(struct pushes *p, struct job *job, int64_t user)
{
    const struct pusher_row *rows;
    size_t n;
    TRY(pushers_of_user(job_tx(job), user, &rows, &n));
    LOCKED(&p->lock);
    if (p->slices[lease_slice_of_id(user)].state == SLICE_LOADED)
        push_table_put_locked(p, user, rows, n);
    return NULL;
}

static void push_follow_receipt(struct pushes *p, const struct push_seen *s)
{
    LOCKED(&p->lock);
    struct push_user *u = map_get_int(&p->users, s->user);
    if (!u)
        return;
    for (size_t i = 0; i < u->pushers_n; i++)
        push_queue_read_locked(u->pushers[i], s->room, s->thread, s->read);
    push_counts_touch_locked(u, s->room);
    push_counts_due_locked(p, u, true);
}

static const struct err *push_follow_look(struct pushes *p, const struct push_seen *s)
{
    arena_auto struct arena *a = arena_create();
    struct job job;
    const struct err *e = NULL;
    job_init(&job, p->node, a);
    if (s->kind == SEEN_PUSHERS)
        e = push_follow_pushers(p, &job, s->user);
    else if (s->kind == SEEN_RECEIPT)
        push_follow_receipt(p, s);
    else
        e = push_evaluate(p, &job, s, UINT32_MAX);
    job_finish(&job);
    return e;
}

static struct push_seen *push_follow_take(struct pushes *p)
{
    LOCKED(&p->lock);
    p->is_reading = p->seen != NULL;
    return p->seen;
}

static void push_follow_done(struct pushes *p, bool is_looked_at)
{
    LOCKED(&p->lock);
    struct push_seen *s = p->seen;
    p->is_reading = false;
    if (!is_looked_at)
        return;
    p->seen = s->next;
    if (!p->seen)
        p->seen_last = &p->seen;
    p->seen_n--;
    push_seen_destroy(s);
}

static bool push_follow_has_missed(struct pushes *p)
{
    LOCKED(&p->lock);
    return p->has_missed;
}

const struct err *push_follow(struct pushes *p)
{
    if (push_follow_has_missed(p)) /* what was sent is not sent again */
        TRY(push_save(p, PUSH_ALL_SLICES));
    TRY(push_slices_follow(p));
    for (struct push_seen *s; (s = push_follow_take(p));) {
        const struct err *e = push_follow_look(p, s);
        push_follow_done(p, !e);
        TRY(e);
    }
    return NULL;
}

/* What a pusher that is behind was not sent: the events that notified its user after its cursor,
 * the oldest first, at most PUSH_AGE_MS old. */
#include "server/push/push_internal.h"

#include "base/clock.h"
#include "rooms/account_cache.h"
#include "storage/rooms/events.h"
#include "storage/users/notifications.h"

enum { CATCH_UP_PAGE = 100, CATCH_UP_MAX = 1000 /* of more, only the newest are sent */ };

struct push_missed {
    int64_t *positions; /* newest first */
    size_t n;
};

static const struct err *push_catch_up_find(struct job *job, const struct live_pusher *x,
                                            int64_t after, int64_t until, struct push_missed *ret)
{
    const int64_t *ignored;
    size_t ignored_n;
    ret->positions = arena_alloc_array(job->arena, CATCH_UP_MAX + CATCH_UP_PAGE, sizeof(int64_t));
    TRY(ignored_user_ids(job, x->user, &ignored, &ignored_n));
    for (int64_t before = until + 1; before > after + 1 && ret->n < CATCH_UP_MAX;) {
        const struct notification *list;
        size_t n;
        int64_t floor;
        TRY(notifications_before(job_tx(job), x->user, before, false, CATCH_UP_PAGE, ignored,
                                 ignored_n, &list, &n, &floor));
        for (size_t i = 0; i < n && list[i].position > after; i++)
            ret->positions[ret->n++] = list[i].position;
        before = n == CATCH_UP_PAGE ? list[n - 1].position : floor ? floor + 1 : 0;
    }
    return NULL;
}

static const struct err *push_catch_up_one(struct pushes *p, struct job *job, struct live_pusher *x,
                                           int64_t position)
{
    const struct stored_event *e;
    TRY(events_get(job_tx(job), position, &e));
    if (!e || e->is_withheld || e->redacted_by ||
        now_ms() - e->event->origin_server_ts > PUSH_AGE_MS)
        return NULL;
    return push_evaluate_for(p, job,
                             &(struct push_seen){.kind = SEEN_EVENT,
                                                 .position = e->position,
                                                 .room = e->room,
                                                 .user = e->sender,
                                                 .thread = e->thread,
                                                 .event = e->event,
                                                 .is_looked_up = true},
                             x);
}

static bool push_catch_up_is_full(struct pushes *p, const struct live_pusher *x)
{
    LOCKED(&p->lock);
    return x->n == PUSH_QUEUE_MAX || x->behind;
}

static const struct err *push_catch_up_fill(struct pushes *p, struct job *job,
                                            struct live_pusher *x, int64_t until,
                                            int64_t *ret_reached, bool *ret_more)
{
    struct push_missed missed = {0};
    TRY(push_catch_up_find(job, x, x->catching_up, until, &missed));
    size_t left = missed.n;
    *ret_reached = x->catching_up;
    for (; left && !push_catch_up_is_full(p, x); left--) {
        *ret_reached = missed.positions[left - 1];
        TRY(push_catch_up_one(p, job, x, *ret_reached));
    }
    *ret_more = left > 0;
    return NULL;
}

/* Fills the empty queue. What comes meanwhile is added behind it, as if the pusher were not behind;
 * if not all finds space, that is looked up later, too. */
const struct err *push_catch_up(struct pushes *p, struct job *job, struct live_pusher *x)
{
    int64_t until, reached = 0;
    bool more = false;
    {
        LOCKED(&p->lock);
        x->catching_up = x->behind;
        x->behind = 0;
        until = push_clear_position_locked(p);
    }
    const struct err *e = push_catch_up_fill(p, job, x, until, &reached, &more);
    LOCKED(&p->lock);
    if (e)
        push_queue_cut_locked(p, x, x->catching_up);
    else if (more)
        push_queue_cut_locked(p, x, reached);
    x->catching_up = 0;
    push_note_dirty_locked(p, x);
    return e;
}

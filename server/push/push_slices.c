/* Which users this node sends to. A holder loads the pushers of its slices, and looks at the part
 * of the log that the one before it had not. */
#include "server/push/push_internal.h"

#include "base/log.h"
#include "storage/rooms/event_lookup.h"

#include <stdlib.h>

enum { REPLAY_PAGE = 200 };

bool push_slice_is_valid_locked(const struct pushes *p, int slice)
{
    const struct push_slice *s = &p->slices[slice];
    return s->state == SLICE_LOADED && s->fence && lease_fence(p->lease, slice) == s->fence;
}

/* ---- taking and losing ---- */

static void push_slices_taken(void *of, int slice)
{
    struct pushes *p = of;
    LOCKED(&p->lock);
    p->slices[slice] =
        (struct push_slice){.fence = lease_fence(p->lease, slice), .state = SLICE_WANTED};
    push_schedule(p, PUSH_FOLLOW, 0);
}

/* It may still be ours in the database: then the next holder begins where this node has ended. */
static void push_slices_lost(void *of, int slice)
{
    struct pushes *p = of;
    bool may_store;
    {
        LOCKED(&p->lock);
        may_store = !p->stopping && p->slices[slice].state == SLICE_LOADED;
    }
    const struct err *e = may_store ? push_save(p, slice) : NULL;
    if (e && e->code != ERR_LEASE_LOST)
        log_err(LOG_INFO, "storing how far users were notified that another node notifies", e);
    LOCKED(&p->lock);
    p->slices[slice] = (struct push_slice){.state = SLICE_LOST};
    push_schedule(p, PUSH_FOLLOW, 0);
}

void push_slices_init(struct pushes *p)
{
    p->lease = leases_add(p->node->storage->leases,
                          &(struct lease_job_settings){.name = "pushes",
                                                       .slices = LEASE_SLICES,
                                                       .of = p,
                                                       .on_taken = push_slices_taken,
                                                       .on_lost = push_slices_lost});
}

/* ---- loading ---- */

/* Returns the slices to be loaded. A slice that was taken again was lost before. */
static uint32_t push_slices_begin(struct pushes *p, int64_t fences[static LEASE_SLICES])
{
    LOCKED(&p->lock);
    uint32_t gone = 0, wanted = 0;
    for (int i = 0; i < LEASE_SLICES; i++) {
        struct push_slice *s = &p->slices[i];
        if (p->has_missed && s->state == SLICE_LOADED)
            s->state = SLICE_WANTED;
        fences[i] = s->fence;
        if (s->state == SLICE_LOST || s->state == SLICE_WANTED)
            gone |= UINT32_C(1) << i;
        if (s->state == SLICE_WANTED)
            wanted |= UINT32_C(1) << i;
        if (s->state == SLICE_LOST)
            s->state = SLICE_NONE;
    }
    if (gone)
        push_table_drop_slices_locked(p, gone);
    p->has_missed = false;
    return wanted;
}

struct push_load {
    uint32_t slices;
    int64_t fences[LEASE_SLICES], positions[LEASE_SLICES], ids[LEASE_SLICES];
    size_t n;
    const struct pusher_row *rows;
    size_t rows_n;
};

static int push_slices_compare(const void *a, const void *b)
{
    const struct pusher_row *x = a, *y = b;
    return x->user != y->user ? (x->user < y->user ? -1 : 1) : (x->id > y->id) - (x->id < y->id);
}

static const struct err *push_slices_read_rows(struct job *job, struct push_load *l)
{
    for (int i = 0; i < LEASE_SLICES; i++)
        if (l->slices & UINT32_C(1) << i)
            l->ids[l->n++] = i;
    TRY(push_slices_read(job_tx(job), l->positions));
    TRY(pushers_of_slices(job_tx(job), l->ids, l->n, &l->rows, &l->rows_n));
    if (l->rows_n)
        qsort((struct pusher_row *)l->rows, l->rows_n, sizeof *l->rows, push_slices_compare);
    return NULL;
}

/* Returns the position from which on the log is to be looked at. A slice that no node has held yet
 * begins here. */
static int64_t push_slices_install_locked(struct pushes *p, const struct push_load *l,
                                          int64_t until)
{
    int64_t from = until;
    for (size_t i = 0; i < l->n; i++) {
        struct push_slice *s = &p->slices[l->ids[i]];
        int64_t position = l->positions[l->ids[i]];
        if (s->state != SLICE_WANTED || s->fence != l->fences[l->ids[i]])
            continue;
        s->from = position ? position : until;
        if (s->from < until - PUSH_REPLAY_MAX)
            s->from = until - PUSH_REPLAY_MAX;
        s->saved = position;
        s->state = SLICE_LOADED;
        from = s->from < from ? s->from : from;
    }
    for (size_t i = 0, n; i < l->rows_n; i += n) {
        int64_t user = l->rows[i].user;
        for (n = 1; i + n < l->rows_n && l->rows[i + n].user == user;)
            n++;
        if (p->slices[lease_slice_of_id(user)].state == SLICE_LOADED)
            push_table_put_locked(p, user, &l->rows[i], n);
    }
    return from;
}

static const struct err *push_slices_replay_page(struct pushes *p, uint32_t slices, int64_t from,
                                                 int64_t until, int64_t *ret_next)
{
    arena_auto struct arena *a = arena_create();
    struct job job;
    const struct stored_event *events;
    size_t n = 0;
    job_init(&job, p->node, a);
    const struct err *e = events_of_log(job_tx(&job), from, until, REPLAY_PAGE, &events, &n);
    for (size_t i = 0; i < n && !e; i++) {
        const struct stored_event *x = &events[i];
        const struct push_seen seen = {.kind = SEEN_EVENT,
                                       .position = x->position,
                                       .room = x->room,
                                       .user = x->sender,
                                       .thread = x->thread,
                                       .event = x->event,
                                       .is_looked_up = true};
        if (!x->is_withheld && !x->redacted_by)
            e = push_evaluate(p, &job, &seen, slices);
    }
    *ret_next = n == REPLAY_PAGE ? events[n - 1].position : until;
    job_finish(&job);
    return e;
}

static const struct err *push_slices_load(struct pushes *p, struct push_load *l)
{
    arena_auto struct arena *a = arena_create();
    struct job job;
    int64_t until, from = 0;
    job_init(&job, p->node, a);
    const struct err *e = push_slices_read_rows(&job, l);
    if (!e) {
        LOCKED(&p->lock);
        until = push_clear_position_locked(p);
        from = push_slices_install_locked(p, l, until);
    }
    job_finish(&job);
    while (!e && from < until)
        e = push_slices_replay_page(p, l->slices, from, until, &from);
    return e;
}

const struct err *push_slices_follow(struct pushes *p)
{
    struct push_load load = {0};
    load.slices = push_slices_begin(p, load.fences);
    if (!load.slices)
        return NULL;
    const struct err *e = push_slices_load(p, &load);
    if (!e)
        return NULL;
    LOCKED(&p->lock); /* tried again, from the beginning */
    for (size_t i = 0; i < load.n; i++)
        if (p->slices[load.ids[i]].state == SLICE_LOADED)
            p->slices[load.ids[i]].state = SLICE_WANTED;
    return e;
}

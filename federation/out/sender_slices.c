#include "federation/out/sender_internal.h"

#include "base/clock.h"
#include "base/log.h"

enum { NO_HANDOVER_MS = 10 * 1000, SETTLE_STEP_US = 1000 };

/* ---- what is held ---- */

bool sender_slice_is_valid_locked(const struct sender *s, int slice)
{
    int64_t fence = s->slices[slice].fence;
    return fence && lease_fence(s->lease, slice) == fence;
}

bool sender_may_send(struct sender *s, const struct destination *d)
{
    LOCKED(&s->lock);
    return !d->is_dropped && sender_slice_is_valid_locked(s, d->slice);
}

void sender_slices_miss_locked(struct sender *s)
{
    for (int i = 0; i < LEASE_SLICES; i++)
        s->slices[i].has_scanned = false;
}

/* ---- taking and losing ---- */

/* Of a list of destinations, keeps those of other slices. */
static size_t sender_slices_leave_out(struct destination **list, size_t n, int slice)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (list[i]->slice != slice)
            list[kept++] = list[i];
    return kept;
}

/* What is known of its destinations is void. */
static void sender_slices_drop_locked(struct sender *s, int slice)
{
    struct map kept = {0};
    s->touched_n = sender_slices_leave_out(s->touched, s->touched_n, slice);
    s->dirty_n = sender_slices_leave_out(s->dirty, s->dirty_n, slice);
    for (struct map_slot *slot = NULL; (slot = map_next(&s->destinations, slot));) {
        struct destination *d = slot->value;
        d->is_dropped = d->slice == slice;
        if (!d->is_dropped)
            map_put(&kept, str_of(d->server), d);
        else if (!d->is_busy)
            sender_destination_destroy(d);
    }
    map_finish(&s->destinations);
    s->destinations = kept;
}

static void sender_slices_taken(void *of, int slice)
{
    struct sender *s = of;
    LOCKED(&s->lock);
    sender_slices_drop_locked(s, slice);
    s->slices[slice] = (struct sender_slice){.fence = lease_fence(s->lease, slice)};
    sender_keep(s, KEEPER_SCAN, 0);
}

/* Nothing is stored twice, nor while the database does not answer. */
static bool sender_slices_may_store(struct sender *s)
{
    LOCKED(&s->lock);
    return !s->stopping && mono_ms() >= s->no_handover_until;
}

/* It may still be ours in the database, and be given back there once this has returned: then the
 * next holder begins where this node has ended. */
static void sender_slices_store(struct sender *s, int slice)
{
    arena_auto struct arena *a = arena_create();
    struct job job;
    job_init(&job, s->node, a);
    const struct err *e = sender_save_slice(s, &job, slice);
    if (e && e->code != ERR_LEASE_LOST)
        log_err(LOG_INFO, "saving the cursors of servers that another node sends to", e);
    {
        LOCKED(&s->lock);
        if (e)
            s->no_handover_until = mono_ms() + NO_HANDOVER_MS;
    }
    job_finish(&job);
}

static void sender_slices_lost(void *of, int slice)
{
    struct sender *s = of;
    if (sender_slices_may_store(s))
        sender_slices_store(s, slice);
    LOCKED(&s->lock);
    s->slices[slice] = (struct sender_slice){0};
    sender_slices_drop_locked(s, slice);
}

void sender_slices_init(struct sender *s)
{
    s->lease = leases_add(s->node->storage->leases,
                          &(struct lease_job_settings){.name = "fed_sender",
                                                       .slices = LEASE_SLICES,
                                                       .of = s,
                                                       .on_taken = sender_slices_taken,
                                                       .on_lost = sender_slices_lost});
}

/* ---- handing over ---- */

static bool sender_slices_are_busy(struct sender *s)
{
    LOCKED(&s->lock);
    for (struct map_slot *slot = NULL; (slot = map_next(&s->destinations, slot));)
        if (((const struct destination *)slot->value)->is_busy)
            return true;
    return false;
}

void sender_slices_settle(struct sender *s, int within_ms)
{
    int64_t until = mono_ms() + within_ms;
    while (mono_ms() < until && sender_slices_are_busy(s))
        nanosleep(&(struct timespec){.tv_nsec = SETTLE_STEP_US * 1000}, NULL);
}

#include "rooms/accept/accept_internal.h"
#include "rooms/write/extremities.h"

struct room_intake {
    struct intake in;
    struct accept_room *room;
    const char *const *ids;
    size_t ids_n;
    bool queued;
};

/* ---- looking up ---- */

/* Looks up the events of rooms of one version, which have the same form of event ids. */
static const struct err *look_up_version(struct job *job, struct room_intake *all, size_t n,
                                         const struct room_version *v)
{
    size_t ids_n = 0, targets_n = 0, found_n, pending_n;
    const struct known_event *found;
    for (size_t i = 0; i < n; i++)
        if (all[i].in.room->version == v) {
            ids_n += all[i].ids_n;
            targets_n += all[i].in.n;
        }
    if (!ids_n)
        return NULL;
    const char **ids = arena_alloc_array(job->arena, ids_n, sizeof *ids);
    const char **targets = arena_alloc_array(job->arena, targets_n, sizeof *targets);
    const char *const *pending;
    ids_n = targets_n = 0;
    for (size_t i = 0; i < n; i++)
        if (all[i].in.room->version == v) {
            memcpy(ids + ids_n, all[i].ids, all[i].ids_n * sizeof *ids);
            ids_n += all[i].ids_n;
            for (size_t k = 0; k < all[i].in.n; k++)
                targets[targets_n++] = all[i].in.events[k].event->event_id;
        }
    TRY(events_find(job_tx(job), v, ids, ids_n, &found, &found_n));
    TRY(pending_redactions_find(job_tx(job), v, 0, targets, targets_n, &pending, &pending_n));
    for (size_t i = 0; i < n; i++)
        if (all[i].in.room->version == v && !pending_n) { /* else each room does its own look-up */
            all[i].in.lookup = lookup_create(job, v, all[i].in.room->id);
            lookup_fill(all[i].in.lookup, all[i].ids, all[i].ids_n, found, found_n);
        }
    return NULL;
}

static const struct err *look_up_all(struct job *job, struct room_intake *all, size_t n)
{
    for (const struct room_version *v = room_versions; v->id; v++)
        TRY(look_up_version(job, all, n, v));
    return NULL;
}

/* ---- building and storing ---- */

/* The order in which every thread locks several rooms. */
static int by_room(const void *left, const void *right)
{
    const struct room_intake *a = left, *b = right;
    return (a->in.room->id > b->in.room->id) - (a->in.room->id < b->in.room->id);
}

static const struct err *accept_many_begin(struct room_intake *r)
{
    bool fork;
    if (!r->in.lookup)
        return NULL;
    const struct err *e = accept_begin_usual(&r->in, 0, &r->room->taken, &fork, &r->queued);
    if (e)
        r->room->taken = 0;
    return e;
}

static const struct err *accept_many_end(struct room_intake *r)
{
    const struct err *e = r->queued ? accept_end(&r->in, 0, r->room->taken) : NULL;
    if (e)
        r->room->taken = 0;
    return e;
}

/* It is no failure if another writer was first: then no event of the room is taken. */
static void accept_many_note_failure(const struct err *e, struct err *failure, bool *failed)
{
    if (e && e->code != ERR_CONFLICT) {
        *failure = *e;
        *failed = true;
    }
}

static const struct err *accept_many_take_all(struct room_intake *all, size_t n)
{
    struct err failure;
    bool failed = false;
    for (size_t i = 0; i < n && !failed; i++)
        accept_many_note_failure(accept_many_begin(&all[i]), &failure, &failed);
    for (size_t i = 0; i < n; i++) /* queued writes are ended in any case */
        accept_many_note_failure(accept_many_end(&all[i]), &failure, &failed);
    for (size_t i = 0; i < n && !failed; i++)
        if (all[i].queued)
            extremities_gather(all[i].in.job, all[i].in.room);
    return failed ? err_copy(&failure) : NULL;
}

const struct err *rooms_accept_usual(struct job *job, struct accept_room *rooms, size_t n)
{
    struct room_intake *all = arena_alloc_array(job->arena, n + 1, sizeof *all);
    for (size_t i = 0; i < n; i++) {
        struct room_intake *r = &all[i];
        r->room = &rooms[i];
        r->room->taken = 0;
        accept_init(&r->in, job, rooms[i].room, rooms[i].events, rooms[i].n, rooms[i].outcomes);
        accept_wanted_ids(&r->in, 0, &r->ids, &r->ids_n);
    }
    TRY(look_up_all(job, all, n));
    qsort(all, n, sizeof *all, by_room);
    return accept_many_take_all(all, n);
}

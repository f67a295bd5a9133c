#include "rooms/accept/accept_internal.h"

#include "matrix/json_scan.h"
#include "rooms/accept/late_redactions.h"
#include "rooms/room_cache.h"
#include "rooms/room_internal.h"
#include "rooms/state/state_at.h"
#include "rooms/write/extremities.h"
#include "rooms/writer.h"
#include "storage/db/intern.h"
#include "storage/rooms/room_state.h"

#include <stdatomic.h>

/* Events are taken in runs, one write each. A usual event, whose state before it is the current
 * state, is checked from memory. An event of a fork ends the run and begins another with the events
 * that extend it. */
enum {
    NEW_EXTREMITIES_MAX = 50, /* of a run: then they are merged */
    FORK_MAX = 50             /* events of a fork in one write, during which other writers wait */
};

/* ---- the usual event ---- */

static bool accept_is_in(const char *const *ids, size_t n, const char *id)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(ids[i], id) == 0)
            return true;
    return false;
}

/* Is the state after that event the current state (with the drafted events)? False if that is not
 * certain. */
static const struct err *has_current_state(struct intake *in, const char *id, bool *ret)
{
    const struct draft *d = &in->w.draft;
    const struct draft_event *drafted = draft_find(d, id);
    const struct known_event *known;
    if (drafted) {
        *ret = drafted->at >= d->last_state_at;
        return NULL;
    }
    TRY(lookup_get(in->lookup, id, &known));
    *ret = known && !known->state_ref && !d->last_state_at &&
           known->e.position >= in->room->state_position;
    return NULL;
}

/* Is the state after its parents the current one, and need no states be resolved once it is added?
 */
static const struct err *is_usual(struct intake *in, const struct incoming *new, bool *ret)
{
    const struct draft *d = &in->w.draft;
    const struct event *e = new->event;
    size_t replaced = 0;
    *ret = false;
    if (new->state_ids || e->prev_n == 0)
        return NULL;
    for (size_t i = 0; i < d->extremities_n; i++)
        replaced += accept_is_in(e->prev_events, e->prev_n, d->extremities[i]);
    bool replaces_all = replaced == d->extremities_n, same = true;
    for (size_t i = 0; i < e->prev_n && same; i++)
        if (!replaces_all || !accept_is_in(d->extremities, d->extremities_n, e->prev_events[i]))
            TRY(has_current_state(in, e->prev_events[i], &same));
    if (!replaces_all && e->state_key)
        same = false;
    for (size_t i = 0; i < d->extremities_n && same && !replaces_all; i++)
        if (!accept_is_in(e->prev_events, e->prev_n, d->extremities[i]))
            TRY(has_current_state(in, d->extremities[i], &same));
    *ret = same;
    return NULL;
}

/* An event that refers to a drafted one finds it only when that is stored. */
static bool refers_to_drafted(struct intake *in, const struct event *e)
{
    if (e->redacts && draft_find(&in->w.draft, e->redacts))
        return true;
    struct str parent = json_scan_path(e->content, "m.relates_to", "event_id", NULL);
    const char *id = parent.p ? json_scan_string(in->job->arena, parent) : NULL;
    return id && draft_find(&in->w.draft, id);
}

/* Is it a redaction whose target is not stored? The target may be in the committer's queue, so a
 * yes is only certain when other writers are kept out. */
static const struct err *has_unknown_target(struct intake *in, const struct event *e, bool *ret)
{
    const struct known_event *target = NULL;
    if (e->redacts)
        TRY(lookup_get(in->lookup, e->redacts, &target));
    *ret = e->redacts && !target;
    return NULL;
}

/* The state before a usual event is the current one. */
static const struct err *accept_find_current_state(struct event_check *c)
{
    bool usual, unsure;
    if (refers_to_drafted(c->in, c->event)) {
        c->progress = CHECK_AFTER_COMMIT;
        return NULL;
    }
    TRY(has_unknown_target(c->in, c->event, &unsure));
    TRY(is_usual(c->in, &c->in->events[c->i], &usual));
    if (!usual || unsure)
        c->progress = CHECK_FORK;
    return NULL;
}

static bool is_stored_off_timeline(const struct event_check *c)
{
    return c->verdict == VERDICT_REJECTED || c->verdict == VERDICT_SOFT_FAILED;
}

/* ret: CHECK_CONCLUDED, or why the run ends before this event. */
static const struct err *accept_take_usual(struct intake *in, size_t i, enum check_progress *ret)
{
    struct event_check c = {.in = in,
                            .event = in->events[i].event,
                            .way = WAY_USUAL,
                            .i = i,
                            .find_state = accept_find_current_state};
    TRY(event_check_run(&c));
    *ret = c.progress;
    if (c.progress == CHECK_UNDECIDED) {
        *ret = CHECK_CONCLUDED;
        return accept_put(in, i, c.known ? c.known->e.position : 0, false, NULL);
    }
    if (c.progress != CHECK_CONCLUDED)
        return NULL;
    if (is_stored_off_timeline(&c) && in->w.draft.last_state_at) {
        *ret = CHECK_AFTER_COMMIT; /* the position of the state before it is not known yet */
        return NULL;
    }
    return accept_conclude(&c);
}

/* ---- a run ---- */

static const struct err *accept_begin(struct intake *in, enum write_turn turn)
{
    in->w = (struct room_write){
        .job = in->job, .room = in->room, .looked_up = &in->off_timeline_version};
    in->off_timeline_n = 0;
    return room_write_begin(&in->w, turn);
}

static bool accept_has_events(const struct intake *in)
{
    return in->w.draft.newest || in->off_timeline_n;
}

const struct err *accept_begin_usual(struct intake *in, size_t from, size_t *ret_next,
                                     bool *ret_fork, bool *ret_queued)
{
    const struct err *e = NULL;
    size_t i = from;
    enum check_progress progress = CHECK_CONCLUDED;
    *ret_next = from;
    *ret_fork = *ret_queued = false;
    TRY(accept_begin(in, WRITE_ALONE));
    size_t most = in->w.draft.extremities_n + NEW_EXTREMITIES_MAX;
    while (i < in->n && !e && in->w.draft.extremities_n < most) {
        e = accept_take_usual(in, i, &progress);
        if (progress != CHECK_CONCLUDED)
            break;
        i += !e;
    }
    *ret_next = i;
    *ret_fork = progress == CHECK_FORK;
    *ret_queued = !e && accept_has_events(in);
    if (*ret_queued)
        room_write_enqueue(&in->w);
    else
        room_write_abandon(&in->w);
    return e;
}

/* Waits for the write, and sets the positions of the outcomes. */
const struct err *accept_end(struct intake *in, size_t from, size_t to)
{
    int64_t last, changes = (int64_t)write_changes_n(in->w.write);
    TRY(room_write_finish(&in->w, &last));
    for (size_t i = from; i < to; i++)
        if (in->changes[i])
            in->outcomes[i].position = last - changes + in->changes[i];
    return NULL;
}

static size_t count_ids(const struct intake *in, size_t from)
{
    size_t n = 0;
    for (size_t i = from; i < in->n; i++)
        n += 2 + in->events[i].event->prev_n + in->events[i].event->auth_n;
    return n;
}

static size_t list_ids(const struct intake *in, size_t from, const char **ids)
{
    size_t n = 0;
    for (size_t i = from; i < in->n; i++) {
        const struct event *e = in->events[i].event;
        ids[n++] = e->event_id;
        if (e->redacts)
            ids[n++] = e->redacts;
        for (size_t k = 0; k < e->prev_n; k++)
            ids[n++] = e->prev_events[k];
        for (size_t k = 0; k < e->auth_n; k++)
            ids[n++] = e->auth_events[k];
    }
    return n;
}

/* Is events[i - 1] the only parent of events[i]? False if one is a redaction: their order matters,
 * so that they need separate writes. */
static bool extends_previous(const struct intake *in, size_t i)
{
    const struct incoming *before = &in->events[i - 1], *new = &in->events[i];
    return !new->state_ids &&new->event->prev_n == 1 && !new->event->redacts &&
           !before->event->redacts &&strcmp(new->event->prev_events[0], before->event->event_id) ==
               0;
}

static size_t end_of_fork(const struct intake *in, size_t from)
{
    size_t to = from + 1;
    while (to < in->all_n && to < from + FORK_MAX && extends_previous(in, to))
        to++;
    return to;
}

/* How many different states the events have before them: another one after each state event. */
static size_t count_states(const struct intake *in, size_t from, size_t to)
{
    size_t n = 1;
    for (size_t i = from; i + 1 < to; i++)
        n += in->events[i].event->state_key != NULL;
    return n;
}

/* Looks up all ids that these events of a fork need, with other writers kept out, since earlier
 * look-ups may be outdated. */
static const struct err *look_up_fork(struct intake *in, size_t from, size_t to)
{
    struct intake some = {.events = in->events, .n = to};
    struct arena *a = in->job->arena;
    size_t n = count_ids(&some, from) + in->w.draft.extremities_n + 1;
    const char **ids = arena_alloc_array(a, n + 1, sizeof *ids);
    n = list_ids(&some, from, ids);
    for (size_t k = 0; k < in->w.draft.extremities_n; k++)
        ids[n++] = in->w.draft.extremities[k];
    if (in->room->version->room_id_is_create_hash)
        ids[n++] = arena_printf(a, "$%s", in->room->room_id + 1);
    if (!in->seen_quiet || in->seen_head != in->room->head_version) /* it may be outdated */
        in->lookup = lookup_create(in->job, in->room->version, in->room->id);
    return lookup_load(in->lookup, ids, n);
}

/* Takes an event that extends the previous ones. ret_taken false: it begins the next run. */
static const struct err *take_next_of_fork(struct intake *in, size_t i, struct fork *f,
                                           bool *ret_taken)
{
    const struct known_event *known;
    *ret_taken = false;
    if (!f->can_grow || refers_to_drafted(in, in->events[i].event))
        return NULL;
    TRY(lookup_get(in->lookup, in->events[i].event->event_id, &known));
    return known ? NULL : accept_go_on_fork(in, i, f, ret_taken);
}

static const struct err *take_fork(struct intake *in, size_t from, size_t *ret_next)
{
    struct fork f = {0};
    bool taken = true;
    size_t to = end_of_fork(in, from), i = from + 1;
    in->refs_more = count_states(in, from, to);
    TRY(look_up_fork(in, from, to));
    TRY(accept_on_fork(in, from, &f));
    for (; i < to && taken; i += taken)
        TRY(take_next_of_fork(in, i, &f, &taken));
    *ret_next = i;
    return NULL;
}

/* Takes events of a fork, with other writers kept out. The states around the first are read from
 * the database. */
static const struct err *run_fork(struct intake *in, size_t from, size_t *ret_next)
{
    size_t next;
    in->was_fork = true;
    TRY(accept_begin(in, WRITE_EXCLUSIVE));
    in->w.is_off_timeline = in->events[from].event->redacts != NULL;
    const struct err *e = take_fork(in, from, &next);
    if (e || !accept_has_events(in)) {
        room_write_abandon(&in->w);
    } else {
        room_write_enqueue(&in->w);
        e = accept_end(in, from, next);
    }
    if (!e)
        *ret_next = next;
    return e;
}

/* ret_next is set only when all before it are stored: if another writer was first, the run is tried
 * again. */
static const struct err *accept_run(struct intake *in, size_t from, size_t *ret_next)
{
    size_t next;
    bool fork, queued;
    in->was_fork = false;
    TRY(accept_begin_usual(in, from, &next, &fork, &queued));
    if (queued)
        TRY(accept_end(in, from, next));
    *ret_next = next;
    if (!fork || next != from)
        return NULL; /* the next run begins with it */
    if (in->leaves_large && in->room->has_large_conflict) {
        accept_leave_large(in, from);
        *ret_next = from + 1;
        return NULL;
    }
    return run_fork(in, from, ret_next);
}

/* ---- all of them ---- */

/* For all remaining events; valid until another redaction is stored off the timeline. */
static const struct err *accept_look_up_redactions(struct intake *in, size_t from)
{
    uint64_t version = atomic_load(&in->room->off_timeline_version);
    if (in->has_redactions && in->off_timeline_version == version)
        return NULL;
    in->off_timeline_version = version;
    const struct event **events = arena_alloc_array(in->job->arena, in->all_n + 1, sizeof *events);
    for (size_t i = from; i < in->all_n; i++)
        events[i - from] = in->events[i].event;
    TRY(late_redactions_of(in->job, in->room, events, in->all_n - from, in->left + from,
                           in->redactions + from));
    in->has_redactions = true;
    return NULL;
}

void accept_wanted_ids(struct intake *in, size_t from, const char *const **ret, size_t *ret_n)
{
    struct arena *a = in->job->arena;
    struct room *room = in->room;
    LOCKED(&room->lock);
    const char **ids =
        arena_alloc_array(a, count_ids(in, from) + room->extremities_n + 2, sizeof *ids);
    size_t n = list_ids(in, from, ids);
    const struct event *first = in->events[from].event; /* a usual event cites them all */
    for (size_t i = 0; i < room->extremities_n; i++)
        if (!accept_is_in(first->prev_events, first->prev_n, room->extremities[i]))
            ids[n++] = arena_strdup(a, room->extremities[i]);
    if (room->version->room_id_is_create_hash)
        ids[n++] = arena_printf(a, "$%s", room->room_id + 1);
    in->seen_head = room->head_version;
    in->seen_quiet = !room->waiting;
    *ret = ids;
    *ret_n = n;
}

/* Looks up the events, those they cite, and the room's extremities in one query; the current state
 * is in memory. */
static const struct err *accept_look_up(struct intake *in, size_t from)
{
    const char *const *ids;
    size_t n;
    accept_wanted_ids(in, from, &ids, &n);
    memset(in->changes, 0, in->all_n * sizeof *in->changes);
    in->lookup = lookup_create(in->job, in->room->version, in->room->id);
    TRY(lookup_load(in->lookup, ids, n));
    return accept_look_up_redactions(in, from);
}

void accept_init(struct intake *in, struct job *job, struct room *room,
                 const struct incoming *events, size_t n, struct accept_outcome *outcomes)
{
    *in = (struct intake){.job = job,
                          .room = room,
                          .events = events,
                          .outcomes = outcomes,
                          .n = n,
                          .all_n = n,
                          .off_timeline_version = atomic_load(&room->off_timeline_version)};
    in->changes = arena_alloc_array(job->arena, n + 1, sizeof *in->changes);
    in->left = arena_alloc_array(job->arena, n + 1, sizeof *in->left);
    in->redactions = arena_alloc_array(job->arena, n + 1, sizeof *in->redactions);
}

static const struct err *accept_all(struct intake *in)
{
    struct retry retry = {0};
    size_t n = in->n, ahead = n;
    for (size_t next = 0; next < n;) {
        in->n = n - next < ahead ? n : next + ahead;
        TRY(accept_look_up(in, next));
        const struct err *e = accept_run(in, next, &next);
        if (!e) {
            retry.attempts = 0;
            extremities_gather(in->job, in->room);
            /* An event after one of a fork is mostly of the fork, too, and does its own look-up. */
            ahead = in->was_fork ? 1 : n;
            continue;
        }
        if (!writer_retry(&retry, in->job, &in->room, &e))
            return e;
        in->has_redactions = false;
    }
    return NULL;
}

const struct err *room_accept(struct job *job, struct room *room, const struct incoming *events,
                              size_t n, struct accept_outcome *ret)
{
    struct intake in;
    accept_init(&in, job, room, events, n, ret);
    return accept_all(&in);
}

const struct err *room_accept_unless_large(struct job *job, struct room *room,
                                           const struct incoming *events, size_t n,
                                           struct accept_outcome *ret)
{
    struct intake in;
    accept_init(&in, job, room, events, n, ret);
    in.leaves_large = true;
    return accept_all(&in);
}

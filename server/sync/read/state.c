#include "server/sync/read/state.h"

#include "server/sync/read/state_reading.h"
#include "storage/rooms/room_state.h"

enum { STATE_CHANGES_MAX = 100 };

/* ---- whole state ---- */

/* The current state if none of it is newer than `at`; else the state at that position. */
static const struct err *state_add_without_members(struct state_reading *r, int64_t at)
{
    struct job *job = r->who->job;
    if (room_state_is_older(r->room->room, at)) {
        const struct event *const *events;
        size_t n;
        room_state_without_members(job, r->room->room, &events, &n);
        for (size_t i = 0; i < n; i++)
            TRY(sync_state_add(r, &(struct stored_event){.room = r->room->room->id,
                                                         .is_state = true,
                                                         .event = events[i]}));
        return NULL;
    }
    const struct stored_event *list;
    size_t n;
    TRY(room_state_list(job_replica_tx(job), r->room->room->id, at, STATE_WITHOUT_MEMBERS, &list,
                        &n));
    for (size_t i = 0; i < n; i++)
        TRY(sync_state_add(r, &list[i]));
    return NULL;
}

static bool state_is_replaced_later(const struct stored_event *e,
                                    const struct stored_event *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i]->position > e->position && sync_state_has_key_of(list[i], e->event))
            return true;
    return false;
}

static const struct err *state_add_last_of(struct state_reading *r,
                                           const struct stored_event *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i]->is_state && !state_is_replaced_later(list[i], list, n))
            TRY(sync_state_add(r, list[i]));
    return NULL;
}

/* State events after the timeline's start that are not in it. */
static const struct err *state_add_hidden(struct state_reading *r)
{
    TRY(state_add_last_of(r, r->line->hidden, r->line->hidden_n));
    r->newer = r->line->hidden;
    r->newer_n = r->line->hidden_n;
    return NULL;
}

static const struct err *state_add_whole(struct state_reading *r)
{
    int64_t at = r->wanted->at_end ? r->room->until : r->line->start - 1;
    if (at < r->room->joined_at) {
        at = r->room->joined_at;
        r->entry = r->line->shown_n && r->line->shown[0]->position == at ? at : 0;
    }
    if (!r->wanted->at_end)
        TRY(state_add_hidden(r));
    TRY(state_add_without_members(r, at));
    if (r->wanted->filter->lazy_load_members)
        return sync_state_add_lazy_members(r, at);
    return sync_state_add_all_members(r, at);
}

/* ---- changes ---- */

/* State changes in (from, to], without events at `before` or later, which are returned elsewhere.
 * "The server MUST return membership events for events in the gap", lazily loaded or not; only
 * members who were received late, by a resync, are loaded when needed. */
static const struct err *state_add_changes(struct state_reading *r, int64_t from, int64_t to,
                                           int64_t before)
{
    const struct stored_event *list;
    size_t n;
    TRY(room_state_changes(job_tx(r->who->job), r->room->room->id, from, to,
                           !r->wanted->filter->lazy_load_members, &list, &n));
    for (size_t i = 0; i < n; i++)
        if (list[i].position < before)
            TRY(sync_state_add(r, &list[i]));
    return NULL;
}

/* State that changed without a new event, by state resolution or a resync: from the ring, or else
 * from the intervals, without what the timeline contains. */
static const struct err *state_add_resolved(struct state_reading *r)
{
    const struct change *changes;
    size_t n;
    bool more, read_anew = !r->range->from_feed && room_is_shared(r->room->room);
    if (r->range->from_feed) {
        feed_read_room(r->who->job->storage->feed, r->who->job->arena, r->room->room->id,
                       r->room->since, r->room->until, 1u << CHANGE_STATE, STATE_CHANGES_MAX,
                       &changes, &n, &more);
        read_anew = more;
        for (size_t i = 0; i < n && !read_anew; i++)
            read_anew = changes[i].local.resets_room;
        for (size_t i = 0; i < n && !read_anew; i++)
            if (!changes[i].state.is_end)
                TRY(sync_state_add(
                    r, &(struct stored_event){.position = changes[i].state.event_position,
                                              .room = r->room->room->id,
                                              .is_state = true,
                                              .event = changes[i].state.event}));
    }
    return read_anew ? state_add_changes(r, r->room->since, r->room->until, r->line->start) : NULL;
}

/* Changes up to the timeline's start, and later ones by state resolution. */
static const struct err *state_add_gap(struct state_reading *r, int64_t at)
{
    r->adds_each_once = true;
    if (at < r->room->until && room_is_shared(r->room->room))
        TRY(state_add_changes(r, at, r->room->until, r->line->start));
    return state_add_changes(r, r->room->since, at, INT64_MAX);
}

static const struct err *state_add_delta(struct state_reading *r)
{
    int64_t at = r->wanted->at_end ? r->room->until : r->line->start - 1;
    if (!r->wanted->at_end)
        TRY(state_add_hidden(r));
    TRY(r->line->limited ? state_add_gap(r, at) : state_add_resolved(r));
    if (r->wanted->at_end && !r->line->limited) {
        const struct stored_event **both = arena_alloc_array(
            r->who->job->arena, r->line->shown_n + r->line->hidden_n + 1, sizeof *both);
        memcpy(both, r->line->hidden, r->line->hidden_n * sizeof *both);
        memcpy(both + r->line->hidden_n, r->line->shown, r->line->shown_n * sizeof *both);
        TRY(state_add_last_of(r, both, r->line->shown_n + r->line->hidden_n));
    }
    return r->wanted->filter->lazy_load_members ? sync_state_add_lazy_members(r, at) : NULL;
}

static const struct err *state_add_all(struct state_reading *r)
{
    if (r->room->is_full && r->room->may_see_state)
        return state_add_whole(r);
    if (r->room->may_see_state)
        return state_add_delta(r);
    if (r->wanted->at_end) /* there, clients do not take timeline events as state */
        return state_add_last_of(r, r->line->shown, r->line->shown_n);
    return NULL;
}

const struct err *sync_state_read(const struct sync_reader *who, const struct sync_range *range,
                                  const struct sync_room *room, const struct sync_timeline *line,
                                  const struct sync_state_wanted *wanted,
                                  const struct sync_state_sink *sink)
{
    struct state_reading r = {
        .who = who, .range = range, .room = room, .line = line, .wanted = wanted, .sink = sink};
    const struct err *e = state_add_all(&r);
    map_finish(&r.added);
    return e;
}

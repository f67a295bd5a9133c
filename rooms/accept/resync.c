/* Completing partial state (rooms/accept/resync.h). */
#include "rooms/accept/resync.h"
#include "rooms/accept/remote_state.h"
#include "rooms/room_cache.h"
#include "rooms/state/state_key.h"
#include "rooms/write/room_write.h"
#include "rooms/writer.h"
#include "storage/rooms/partial_rooms.h"
#include "storage/rooms/room_state.h"
#include "storage/rooms/state_refs.h"

#include <stdatomic.h>

bool room_is_partial(struct room *room)
{
    LOCKED(&room->lock);
    return room->is_partial;
}

/* ---- waiting for it ---- */

static bool wait_while_partial(struct room *room, int64_t deadline_mono_ms)
{
    LOCKED(&room->lock);
    while (room->is_partial && !room->stale)
        if (lock_wait_until(&room->lock, &room->changed, deadline_mono_ms))
            return false;
    return true;
}

const struct err *room_await_resync(struct job *job, struct room **room, int64_t deadline_mono_ms,
                                    bool *ret)
{
    *ret = true;
    while (room_is_partial(*room) && *ret) {
        *ret = wait_while_partial(*room, deadline_mono_ms);
        TRY(room_get_by_id(job, (*room)->id, room));
        if (!*room)
            return err(ERR_NOT_FOUND, "Unknown room");
    }
    return NULL;
}

/* ---- choosing the events to add ---- */

/* Does a received event, from before our join, replace the current one (NULL: none)? Changes since
 * the join win, members of a former membership do not. Other state is only added where it is
 * missing and has a state key: the rest was added with our join. */
static bool is_to_be_added(const struct stored_event *remote, const struct state_name *now,
                           int64_t joined_at)
{
    if (remote->type != TYPE_MEMBER)
        return !now && *remote->event->state_key;
    return !now || (now->event < joined_at && now->event != remote->position);
}

static const struct err *choose_new(struct job *job, struct room *room,
                                    const struct remote_state *remote,
                                    const struct stored_event **ret, size_t *ret_n, struct map *had)
{
    const struct state_name *names;
    size_t names_n, n = 0;
    struct map current = {0};
    int64_t joined_at = room_join_position(room);
    TRY(room_state_names(job_tx(job), room->id, VALID_FOREVER - 1, &names, &names_n));
    for (size_t i = 0; i < names_n; i++)
        map_put(&current, state_key_join(job->arena, names[i].type_text, names[i].state_key),
                (void *)&names[i]);
    for (size_t i = 0; i < remote->n; i++) {
        const struct stored_event *e = remote->events[i];
        struct str key = state_key_join(job->arena, e->event->type, e->event->state_key);
        const struct state_name *now = map_get(&current, key);
        if (!is_to_be_added(e, now, joined_at))
            continue;
        if (now)
            map_put(had, key, (void *)e);
        ret[n++] = e;
    }
    map_finish(&current);
    *ret_n = n;
    return NULL;
}

/* ---- writing it ---- */

/* Received members were members since our join: the state at events since then gets them, too. */
static const struct err *add_one(struct job *job, struct room *room, const struct stored_event *e,
                                 bool had_predecessor, struct write *w, int at)
{
    TRY(remote_state_write_one(job, room, e, had_predecessor, w, at));
    if (!had_predecessor)
        room_state_write_past(w, room->id, e->type, e->event->state_key, e->position,
                              room_join_position(room), at);
    return NULL;
}

static const struct err *add_some(struct room_write *w, const struct stored_event *const *events,
                                  size_t n, const struct map *had)
{
    const struct err *e = NULL;
    int at = write_change(
        w->write,
        &(struct change){.kind = CHANGE_STATE, .room = w->room->id, .local.resets_room = true});
    for (size_t i = 0; i < n && !e; i++) {
        const struct event *remote = events[i]->event;
        struct str key = state_key_join(w->job->arena, remote->type, remote->state_key);
        e = add_one(w->job, w->room, events[i], map_get(had, key) != NULL, w->write, at);
    }
    return e;
}

static const struct err *choose_and_add(struct room_write *w, const struct remote_state *remote,
                                        bool *ret_is_last)
{
    struct arena *a = w->job->arena;
    const struct stored_event **new = arena_alloc_array(a, remote->n + 1, sizeof *new);
    struct map had = {0};
    size_t n;
    const struct err *e = choose_new(w->job, w->room, remote, new, &n, &had);
    bool is_last = !e && n <= REMOTE_STATE_AT_ONCE;
    if (!e)
        e = add_some(w, new, is_last ? n : REMOTE_STATE_AT_ONCE, &had);
    if (is_last)
        partial_room_end(w->write, w->room->id);
    map_finish(&had);
    *ret_is_last = is_last;
    return e;
}

/* Other writers are kept out from the choice to the commit. */
static const struct err *complete_step(struct job *job, struct room *room,
                                       const uint64_t *looked_up, const struct remote_state *remote,
                                       bool *ret_done)
{
    struct room_write w = {.job = job, .room = room, .looked_up = looked_up, .renews_head = true};
    bool is_last;
    TRY(room_write_begin(&w, WRITE_EXCLUSIVE));
    const struct err *e = choose_and_add(&w, remote, &is_last);
    if (e) {
        room_write_abandon(&w);
        return e;
    }
    TRY(room_write_commit(&w));
    *ret_done = is_last;
    return NULL;
}

/* In an arena of its own, since there may be a hundred steps. looked_up: room->off_timeline_version
 * before the look-up of the received events. */
static const struct err *resync_step(struct job *job, struct room *room, const uint64_t *looked_up,
                                     const struct remote_state *remote, bool *ret_done)
{
    struct arena *outer = job->arena;
    arena_auto struct arena *a = arena_create();
    job_use_arena(job, a);
    const struct err *e = complete_step(job, room, looked_up, remote, ret_done);
    job_use_arena(job, outer);
    return e;
}

const struct err *room_resync(struct job *job, struct room *room,
                              const struct received_state *state)
{
    struct remote_state remote;
    const struct room *looked_up = NULL;
    uint64_t off_timeline_version = 0;
    struct retry retry = {0};
    for (bool done = false; !done;) {
        const struct err *e;
        if (room != looked_up || atomic_load(&room->off_timeline_version) != off_timeline_version) {
            looked_up = room;
            off_timeline_version = atomic_load(&room->off_timeline_version);
            TRY(remote_state_store(job, room, state, &remote));
        }
        e = resync_step(job, room, &off_timeline_version, &remote, &done);
        if (e && !writer_retry(&retry, job, &room, &e))
            return e;
        if (e)
            continue;
        retry.attempts = 0;
        TRY(room_get_by_id(job, room->id, &room)); /* what was added has reset it */
        if (!room)
            return err(ERR_NOT_FOUND, "Unknown room");
    }
    return NULL;
}

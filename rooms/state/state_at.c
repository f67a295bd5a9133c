#include "rooms/state/state_at.h"

#include "rooms/state/state_key.h"
#include "storage/rooms/room_state.h"
#include "storage/rooms/state_refs.h"
#include "storage/servers/server_rooms.h"

/* ---- the state at an event ---- */

/* The state before an event: the intervals at a base, and the differences. */
struct before {
    int64_t base;
    const struct state_ref_entry *entries;
    size_t n;
    bool known;
};

static const struct err *state_at_find_before(struct job *job, int64_t position, struct before *ret)
{
    int64_t ref;
    *ret = (struct before){.base = position - 1, .known = position > 0};
    TRY(event_state_find(job_tx(job), position, &ref));
    if (!ref)
        return NULL;
    return state_ref_read(job_tx(job), ref, &ret->base, &ret->entries, &ret->n, &ret->known);
}

static const struct state_ref_entry *entry_of(const struct before *b, int64_t type,
                                              const char *state_key)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->entries[i].type == type && strcmp(b->entries[i].state_key, state_key) == 0)
            return &b->entries[i];
    return NULL;
}

static const struct err *get_of(struct job *job, struct room *room, const struct before *b,
                                int64_t type, const char *state_key,
                                const struct stored_event **ret)
{
    const struct state_ref_entry *entry = entry_of(b, type, state_key);
    *ret = NULL;
    if (entry)
        return entry->event ? events_get(job_tx(job), entry->event, ret) : NULL;
    return b->known ? room_state_get(job_tx(job), room->id, type, state_key, b->base, ret) : NULL;
}

const struct err *state_before_get(struct job *job, struct room *room, int64_t position,
                                   int64_t type, const char *state_key,
                                   const struct stored_event **ret)
{
    struct before b;
    TRY(state_at_find_before(job, position, &b));
    return get_of(job, room, &b, type, state_key, ret);
}

const struct err *state_after_get(struct job *job, struct room *room, int64_t position,
                                  int64_t type, const char *state_key,
                                  const struct stored_event **ret)
{
    const struct stored_event *e;
    TRY(events_get(job_tx(job), position, &e));
    if (e && e->is_state && e->type == type && e->status != EVENT_REJECTED &&
        strcmp(e->event->state_key, state_key) == 0) {
        *ret = e;
        return NULL;
    }
    return state_before_get(job, room, position, type, state_key, ret);
}

static const struct err *read_entries(struct job *job, const struct before *b,
                                      const struct stored_event **ret, size_t *ret_n)
{
    int64_t *positions = arena_alloc_array(job->arena, b->n + 1, sizeof *positions);
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        if (b->entries[i].event)
            positions[n++] = b->entries[i].event;
    return events_get_many(job_tx(job), positions, n, ret, ret_n);
}

static const struct err *list_part(struct job *job, struct room *room, int64_t position,
                                   enum state_part part, const struct stored_event **ret,
                                   size_t *ret_n, bool *ret_known)
{
    struct before b;
    const struct stored_event *at_base, *own;
    size_t base_n, own_n, n = 0;
    TRY(state_at_find_before(job, position, &b));
    *ret_known = b.known;
    if (!b.known)
        return NULL;
    TRY(room_state_list(job_tx(job), room->id, b.base, part, &at_base, &base_n));
    if (!b.n) {
        *ret = at_base;
        *ret_n = base_n;
        return NULL;
    }
    TRY(read_entries(job, &b, &own, &own_n));
    struct stored_event *list = arena_alloc_array(job->arena, base_n + own_n + 1, sizeof *list);
    struct map differs = {0};
    for (size_t i = 0; i < b.n; i++)
        map_put(&differs, state_key_join_id(job->arena, b.entries[i].type, b.entries[i].state_key),
                (void *)&b.entries[i]);
    for (size_t i = 0; i < base_n; i++)
        if (!map_get(&differs,
                     state_key_join_id(job->arena, at_base[i].type, at_base[i].event->state_key)))
            list[n++] = at_base[i];
    map_finish(&differs);
    for (size_t i = 0; i < own_n; i++)
        if (part == STATE_ALL || own[i].type != TYPE_MEMBER)
            list[n++] = own[i];
    *ret = list;
    *ret_n = n;
    return NULL;
}

const struct err *state_before_list(struct job *job, struct room *room, int64_t position,
                                    const struct stored_event **ret, size_t *ret_n, bool *ret_known)
{
    return list_part(job, room, position, STATE_ALL, ret, ret_n, ret_known);
}

const struct err *state_before_list_without_members(struct job *job, struct room *room,
                                                    int64_t position,
                                                    const struct stored_event **ret, size_t *ret_n,
                                                    bool *ret_known)
{
    return list_part(job, room, position, STATE_WITHOUT_MEMBERS, ret, ret_n, ret_known);
}

/* ---- what other servers may see ---- */

static const struct err *state_at_was_there(struct job *job, struct room *room, const char *server,
                                            int64_t position, bool invited_too, bool *ret)
{
    struct before b = {.base = position};
    if (position < 0)
        TRY(state_at_find_before(job, position, &b));
    return server_was_in_room(job_tx(job), room->id, server, b.base, invited_too, ret);
}

static const struct err *may_see(struct job *job, struct room *room, const char *server,
                                 const struct stored_event *e, bool *ret)
{
    const struct stored_event *history;
    TRY(state_after_get(job, room, e->position, TYPE_HISTORY_VISIBILITY, "", &history));
    const char *text =
        history ? json_text(event_content(history->event), "history_visibility") : NULL;
    bool invited = text && strcmp(text, "invited") == 0;
    *ret = !invited && !(text && strcmp(text, "joined") == 0);
    return *ret ? NULL : state_at_was_there(job, room, server, e->position, invited, ret);
}

/* Was the history always shared or world-readable? Then no event needs a check of its own. */
static const struct err *is_all_shared(struct job *job, struct room *room, bool *ret)
{
    const struct stored_event *history;
    size_t n;
    TRY(room_state_history(job_tx(job), room->id, TYPE_HISTORY_VISIBILITY, "", &history, &n));
    *ret = !room_join_position(room);
    for (size_t i = 0; i < n; i++) {
        const char *text = json_text(event_content(history[i].event), "history_visibility");
        *ret = *ret && text && (strcmp(text, "shared") == 0 || strcmp(text, "world_readable") == 0);
    }
    return NULL;
}

const struct err *visibility_for_server(struct job *job, struct room *room, const char *server,
                                        const struct stored_event *const *events, size_t n,
                                        bool *ret_visible)
{
    bool all;
    TRY(is_all_shared(job, room, &all));
    for (size_t i = 0; i < n; i++) {
        ret_visible[i] = all;
        if (!all)
            TRY(may_see(job, room, server, events[i], &ret_visible[i]));
    }
    return NULL;
}

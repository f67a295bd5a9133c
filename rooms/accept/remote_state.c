#include "rooms/accept/remote_state.h"

#include "matrix/id.h"
#include "rooms/accept/outliers.h"
#include "rooms/state/lookup.h"
#include "rooms/state/state_key.h"
#include "storage/db/intern.h"
#include "storage/rooms/room_state.h"
#include "storage/rooms/state_refs.h"

static void remote_state_finish_map(void *map)
{
    map_finish(map);
}

/* ---- storing ---- */

/* Interns new names together: each alone would be a commit. */
static const struct err *intern_members(struct job *job, const struct received_state *state)
{
    const char **names = arena_alloc_array(job->arena, state->state_n + 1, sizeof *names);
    int64_t *ids = arena_alloc_array(job->arena, state->state_n + 1, sizeof *ids);
    size_t n = 0;
    for (size_t i = 0; i < state->state_n; i++)
        if (strcmp(state->state[i]->type, "m.room.member") == 0 && state->state[i]->state_key)
            names[n++] = state->state[i]->state_key;
    return n ? intern_ids(job->storage->intern, INTERN_USER, names, n, ids) : NULL;
}

static const struct err *keep_good(struct job *job, struct lookup *lookup,
                                   const struct received_state *state, struct remote_state *ret)
{
    for (size_t i = 0; i < state->state_n; i++) {
        const struct event *e = state->state[i];
        const struct known_event *known;
        TRY(lookup_get(lookup, e->event_id, &known));
        if (!known || known->e.status == EVENT_REJECTED || !e->state_key)
            continue;
        struct str key = state_key_join(job->arena, e->type, e->state_key);
        if (!map_put(&ret->by_key, key, (void *)&known->e))
            ret->events[ret->n++] = &known->e;
    }
    return NULL;
}

const struct err *remote_state_store(struct job *job, struct room *room,
                                     const struct received_state *state, struct remote_state *ret)
{
    size_t n = state->state_n + state->auth_n;
    const struct event **all = arena_alloc_array(job->arena, n + 1, sizeof *all);
    const char **ids = arena_alloc_array(job->arena, state->state_n + 1, sizeof *ids);
    if (state->auth_n)
        memcpy(all, state->auth_chain, state->auth_n * sizeof *all);
    if (state->state_n)
        memcpy(all + state->auth_n, state->state, state->state_n * sizeof *all);
    TRY(intern_members(job, state));
    TRY(outliers_store(job, room, all, n, NULL, NULL));
    for (size_t i = 0; i < state->state_n; i++)
        ids[i] = state->state[i]->event_id;
    struct lookup *lookup = lookup_create(job, room->version, room->id);
    TRY(lookup_load(lookup, ids, state->state_n));
    *ret = (struct remote_state){
        .events = arena_alloc_array(job->arena, state->state_n + 1, sizeof *ret->events)};
    const struct err *e = keep_good(job, lookup, state, ret);
    struct map *map = arena_alloc(job->arena, sizeof *map);
    *map = ret->by_key;
    arena_defer(job->arena, remote_state_finish_map, map);
    return e;
}

const struct stored_event *remote_state_find(const struct remote_state *t, const char *type,
                                             const char *state_key)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->events[i]->event->type, type) == 0 &&
            strcmp(t->events[i]->event->state_key, state_key) == 0)
            return t->events[i];
    return NULL;
}

/* ---- dividing it ---- */

static bool is_key_of(const struct event *e, const char *type, const char *state_key)
{
    return e && strcmp(e->type, type) == 0 && strcmp(e->state_key, state_key) == 0;
}

static bool remote_state_cites(const struct event *event, const struct event *e)
{
    for (size_t i = 0; i < event->auth_n; i++)
        if (strcmp(event->auth_events[i], e->event_id) == 0)
            return true;
    return false;
}

/* State that defines the room, that the join depends on, and that it replaces. */
static bool is_needed_at_once(const struct event *e, const struct event *join)
{
    return !*e->state_key || remote_state_cites(join, e) || is_key_of(join, e->type, e->state_key);
}

const struct err *remote_state_divide(struct job *job, struct remote_state *t,
                                      const struct event *join, bool *ret_divided)
{
    *ret_divided = t->n > REMOTE_STATE_AT_ONCE;
    if (!*ret_divided)
        return NULL;
    const struct stored_event **first = arena_alloc_array(job->arena, t->n, sizeof *first);
    size_t first_n = 0, rest_n = 0;
    for (size_t i = 0; i < t->n; i++)
        first_n += is_needed_at_once(t->events[i]->event, join);
    if (first_n > REMOTE_STATE_AT_ONCE)
        return err(ERR_TOO_LARGE, "The room has more than %d state events besides members",
                   REMOTE_STATE_AT_ONCE);
    for (size_t i = 0, n = 0; i < t->n; i++)
        if (is_needed_at_once(t->events[i]->event, join))
            first[n++] = t->events[i];
        else
            first[first_n + rest_n++] = t->events[i];
    t->events = first;
    t->n = REMOTE_STATE_AT_ONCE;
    return NULL;
}

/* ---- one of them ---- */

const struct err *remote_state_write_one(struct job *job, struct room *room,
                                         const struct stored_event *e, bool had_predecessor,
                                         struct write *w, int at)
{
    const char *state_key = e->event->state_key;
    room_state_write_known(w, room->id, e->type, state_key, e->position, at, had_predecessor);
    if (e->type != TYPE_MEMBER)
        return NULL;
    int64_t user;
    TRY(intern_id(job->storage->intern, INTERN_USER, state_key, &user));
    bool is_local = id_is_local(job->node, state_key);
    members_write(w, room->id, user, event_membership(e->event), at, e->position, is_local,
                  (struct str){0});
    return NULL;
}

/* ---- ending current state that was not received ---- */

static void list_absent(struct job *job, const struct remote_state *t, const struct event *join,
                        bool keep_members, const struct state_name *names, size_t n,
                        const struct state_name **ret, size_t *ret_n)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        const struct state_name *s = &names[i];
        if (is_key_of(join, s->type_text, s->state_key) ||
            (s->type == TYPE_MEMBER && keep_members) ||
            map_get(&t->by_key, state_key_join(job->arena, s->type_text, s->state_key)))
            continue;
        ret[found++] = s;
    }
    *ret_n = found;
}

static const struct err *end_absent(struct job *job, struct room *room,
                                    const struct state_name *const *absent, size_t n,
                                    struct write *w, int at)
{
    const char **names = arena_alloc_array(job->arena, n + 1, sizeof *names);
    int64_t *users = arena_alloc_array(job->arena, n + 1, sizeof *users);
    size_t users_n = 0;
    for (size_t i = 0; i < n; i++) {
        room_state_end(w, room->id, absent[i]->type, absent[i]->state_key, at);
        if (absent[i]->type == TYPE_MEMBER)
            names[users_n++] = absent[i]->state_key;
    }
    if (!users_n)
        return NULL;
    TRY(intern_ids(job->storage->intern, INTERN_USER, names, users_n, users));
    members_write_none(w, room->id, users, users_n);
    return NULL;
}

const struct err *remote_state_end_former(struct job *job, struct room *room,
                                          const struct remote_state *t, const struct event *join,
                                          bool keep_members, struct write *w, int at, size_t *ret_n)
{
    const struct state_name *names;
    size_t n, absent_n;
    TRY(room_state_names(job_tx(job), room->id, VALID_FOREVER - 1, &names, &n));
    const struct state_name **absent = arena_alloc_array(job->arena, n + 1, sizeof *absent);
    list_absent(job, t, join, keep_members, names, n, absent, &absent_n);
    *ret_n = absent_n > REMOTE_STATE_AT_ONCE ? REMOTE_STATE_AT_ONCE : 0;
    return end_absent(job, room, absent, *ret_n, w, at);
}

/* ---- making it current ---- */

const struct err *remote_state_write(struct job *job, struct room *room,
                                     const struct remote_state *t, const struct event *join,
                                     bool keep_members, struct write *w, int at)
{
    const struct state_name *names;
    size_t n;
    struct map current = {0};
    const struct err *e = NULL;
    TRY(room_state_names(job_tx(job), room->id, VALID_FOREVER - 1, &names, &n));
    for (size_t i = 0; i < n; i++)
        map_put(&current, state_key_join(job->arena, names[i].type_text, names[i].state_key),
                (void *)&names[i]);
    for (size_t i = 0; i < t->n && !e; i++) {
        const struct event *remote = t->events[i]->event;
        const struct state_name *now =
            map_get(&current, state_key_join(job->arena, remote->type, remote->state_key));
        if (is_key_of(join, remote->type, remote->state_key) ||
            (now && now->event == t->events[i]->position))
            continue;
        e = remote_state_write_one(job, room, t->events[i], now != NULL, w, at);
    }
    map_finish(&current);
    TRY(e);
    const struct state_name **absent = arena_alloc_array(job->arena, n + 1, sizeof *absent);
    list_absent(job, t, join, keep_members, names, n, absent, &n);
    return end_absent(job, room, absent, n, w, at);
}

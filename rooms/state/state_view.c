#include "rooms/state/state_view.h"

#include "rooms/state/state_key.h"
#include "storage/rooms/room_state.h"

/* ---- as a set of differences ---- */

const struct state_ref_entry *state_view_find(const struct state_view *v, int64_t type,
                                              const char *state_key)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->entries[i].type == type && strcmp(v->entries[i].state_key, state_key) == 0)
            return &v->entries[i];
    return NULL;
}

static void state_view_append(struct arena *a, struct state_view *v,
                              const struct state_ref_entry *e)
{
    if (v->n == v->cap) {
        v->cap = v->cap ? v->cap * 2 : 8;
        struct state_ref_entry *grown = arena_alloc_array(a, v->cap, sizeof *grown);
        if (v->n)
            memcpy(grown, v->entries, v->n * sizeof *grown);
        v->entries = grown;
    }
    v->entries[v->n++] = *e;
}

void state_view_put(struct arena *a, struct state_view *v, int64_t type, const char *state_key,
                    int64_t event)
{
    v->ref = 0;
    for (size_t i = 0; i < v->n; i++)
        if (v->entries[i].type == type && strcmp(v->entries[i].state_key, state_key) == 0) {
            v->entries[i].event = event;
            return;
        }
    state_view_add(a, v, type, state_key, event);
}

void state_view_add(struct arena *a, struct state_view *v, int64_t type, const char *state_key,
                    int64_t event)
{
    v->ref = 0;
    state_view_append(
        a, v, &(struct state_ref_entry){.type = type, .state_key = state_key, .event = event});
}

void state_view_remove(struct state_view *v, int64_t type, const char *state_key)
{
    const struct state_ref_entry *e = state_view_find(v, type, state_key);
    if (!e)
        return;
    v->ref = 0;
    v->entries[e - v->entries] = v->entries[v->n - 1];
    v->n--;
}

struct state_view state_view_copy(struct arena *a, const struct state_view *v)
{
    struct state_view copy = {
        .n = v->n, .cap = v->n + 1, .ref = v->ref, .base = v->base, .from = v->from};
    copy.entries = arena_alloc_array(a, copy.cap, sizeof *copy.entries);
    if (v->n)
        memcpy(copy.entries, v->entries, v->n * sizeof *copy.entries);
    return copy;
}

static struct str entry_key(struct arena *a, const struct state_ref_entry *e)
{
    return state_key_join_id(a, e->type, e->state_key);
}

void state_view_index(struct arena *a, const struct state_view *v, struct map *ret)
{
    *ret = (struct map){0};
    for (size_t i = 0; i < v->n; i++)
        map_put(ret, entry_key(a, &v->entries[i]), &v->entries[i]);
}

const struct state_ref_entry *state_view_indexed(struct arena *a, const struct map *index,
                                                 const struct state_ref_entry *key)
{
    return map_get(index, entry_key(a, key));
}

static bool same_entry(const struct state_ref_entry *a, const struct state_ref_entry *b)
{
    return a->event == b->event && a->type == b->type && strcmp(a->state_key, b->state_key) == 0;
}

/* Their entries are mostly in the same order. */
bool state_view_equal(struct arena *a, const struct state_view *x, const struct state_view *y)
{
    struct map index;
    bool same = true;
    size_t i = 0;
    if (x->n != y->n)
        return false;
    while (i < x->n && same_entry(&x->entries[i], &y->entries[i]))
        i++;
    if (i == x->n)
        return true;
    state_view_index(a, y, &index);
    for (; i < x->n && same; i++) {
        const struct state_ref_entry *other = state_view_indexed(a, &index, &x->entries[i]);
        same = other && other->event == x->entries[i].event;
    }
    map_finish(&index);
    return same;
}

/* ---- of stored events ---- */

static int64_t newest_state(struct room *room)
{
    LOCKED(&room->lock);
    return room->state_position;
}

/* Did it become current state? Then it is in the state at its position. */
static bool made_current(const struct known_event *e)
{
    return !e->state_ref && e->e.position > 0;
}

static const struct err *state_view_apply(struct job *job, struct room *room,
                                          const struct stored_event *e, struct state_view *v)
{
    const struct event *now;
    struct state_view *before = arena_alloc(job->arena, sizeof *before);
    TRY(room_state(job, room, e->event->type, e->event->state_key, &now));
    *before = *v;
    *v = state_view_copy(job->arena, before);
    v->from = before->ref ? before : NULL;
    if (now && strcmp(now->event_id, e->event->event_id) == 0)
        state_view_remove(v, e->type, e->event->state_key);
    else
        state_view_put(job->arena, v, e->type, e->event->state_key, e->position);
    return NULL;
}

/* States at or after the newest change of the state have no differences. */
static const struct err *read_views(struct job *job, struct room *room,
                                    const struct known_event *const *events, size_t n,
                                    struct state_view *ret)
{
    int64_t *refs = arena_alloc_array(job->arena, n + 1, sizeof *refs);
    int64_t *positions = arena_alloc_array(job->arena, n + 1, sizeof *positions);
    size_t *of = arena_alloc_array(job->arena, n + 1, sizeof *of), asked = 0;
    struct state_difference *found = arena_alloc_array(job->arena, n + 1, sizeof *found);
    int64_t newest = newest_state(room);
    for (size_t i = 0; i < n; i++) {
        ret[i] = (struct state_view){0};
        if (made_current(events[i]) ? events[i]->e.position >= newest : !events[i]->state_ref)
            continue;
        refs[asked] = events[i]->state_ref;
        positions[asked] = events[i]->e.position;
        of[asked++] = i;
    }
    if (asked)
        TRY(state_differences(job_tx(job), room->id, refs, positions, asked, found));
    for (size_t k = 0; k < asked; k++) {
        if (!found[k].is_known)
            return err_internal("state reference %lld is missing", (long long)refs[k]);
        ret[of[k]] = (struct state_view){.entries = (struct state_ref_entry *)found[k].entries,
                                         .n = found[k].n,
                                         .cap = found[k].n,
                                         .ref = refs[k],
                                         .base = found[k].base};
    }
    return NULL;
}

const struct err *state_views_after(struct job *job, struct room *room,
                                    const struct known_event *const *events, size_t n,
                                    struct state_view *ret, bool *ret_known)
{
    TRY(read_views(job, room, events, n, ret));
    for (size_t i = 0; i < n; i++) {
        const struct stored_event *e = &events[i]->e;
        ret_known[i] = made_current(events[i]) || events[i]->state_ref;
        if (!made_current(events[i]) && ret_known[i] && e->is_state && e->status != EVENT_REJECTED)
            TRY(state_view_apply(job, room, e, &ret[i]));
    }
    return NULL;
}

/* ---- of a list of events ---- */

static const struct err *entries_of_ids(struct job *job, struct lookup *lookup,
                                        const char *const *ids, size_t n,
                                        struct state_ref_entry *ret, size_t *ret_n,
                                        const char **missing, size_t *missing_n)
{
    TRY(lookup_load(lookup, ids, n));
    *ret_n = *missing_n = 0;
    for (size_t i = 0; i < n; i++) {
        const struct known_event *e;
        TRY(lookup_get(lookup, ids[i], &e));
        if (!e)
            missing[(*missing_n)++] = ids[i];
        else if (e->e.is_state && e->e.status != EVENT_REJECTED)
            ret[(*ret_n)++] = (struct state_ref_entry){
                .type = e->e.type, .state_key = e->e.event->state_key, .event = e->e.position};
    }
    return NULL;
}

const struct err *state_view_of_ids(struct job *job, struct room *room, struct lookup *lookup,
                                    const char *const *ids, size_t n, struct state_view *ret,
                                    const char *const **ret_missing, size_t *ret_missing_n)
{
    const struct state_name *names;
    size_t names_n, received_n;
    struct state_ref_entry *given = arena_alloc_array(job->arena, n + 1, sizeof *given);
    const char **missing = arena_alloc_array(job->arena, n + 1, sizeof *missing);
    TRY(entries_of_ids(job, lookup, ids, n, given, &received_n, missing, ret_missing_n));
    *ret_missing = missing;
    if (*ret_missing_n)
        return NULL;
    TRY(room_state_names(job_tx(job), room->id, VALID_FOREVER - 1, &names, &names_n));
    struct state_view v = {0};
    struct map keys = {0};
    for (size_t i = 0; i < received_n; i++)
        map_put(&keys, entry_key(job->arena, &given[i]), &given[i]);
    for (size_t i = 0; i < names_n; i++) {
        struct state_ref_entry now = {.type = names[i].type, .state_key = names[i].state_key};
        struct state_ref_entry *then = map_remove(&keys, entry_key(job->arena, &now));
        if (!then || then->event != names[i].event)
            state_view_append(job->arena, &v, then ? then : &now);
    }
    for (struct map_slot *s = NULL; (s = map_next(&keys, s));)
        state_view_append(job->arena, &v, s->value);
    map_finish(&keys);
    *ret = v;
    return NULL;
}

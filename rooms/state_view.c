#include "rooms/state_view.h"

#include "rooms/state_key.h"

/* ---- as a set of differences ---- */

const struct state_ref_entry *state_view_find(const struct state_view *v, int64_t type,
                                              const char *state_key)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->entries[i].type == type && strcmp(v->entries[i].state_key, state_key) == 0)
            return &v->entries[i];
    return NULL;
}

static void append(struct arena *a, struct state_view *v, const struct state_ref_entry *e)
{
    if (v->n == v->room) {
        v->room = v->room ? v->room * 2 : 8;
        struct state_ref_entry *grown = arena_alloc_array(a, v->room, sizeof *grown);
        if (v->n)
            memcpy(grown, v->entries, v->n * sizeof *grown);
        v->entries = grown;
    }
    v->entries[v->n++] = *e;
}

void state_view_put(struct arena *a, struct state_view *v, int64_t type, const char *state_key,
                    int64_t event)
{
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
    append(a, v, &(struct state_ref_entry){.type = type, .state_key = state_key, .event = event});
}

struct state_view state_view_copy(struct arena *a, const struct state_view *v)
{
    struct state_view copy = {.n = v->n, .room = v->n + 1};
    copy.entries = arena_alloc_array(a, copy.room, sizeof *copy.entries);
    if (v->n)
        memcpy(copy.entries, v->entries, v->n * sizeof *copy.entries);
    return copy;
}

static struct str entry_key(struct arena *a, const struct state_ref_entry *e)
{
    return state_key_join_id(a, e->type, e->state_key);
}

bool state_view_equal(const struct state_view *a, const struct state_view *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const struct state_ref_entry *e = &a->entries[i];
        bool same_place =
            b->entries[i].type == e->type && strcmp(b->entries[i].state_key, e->state_key) == 0;
        const struct state_ref_entry *other =
            same_place ? &b->entries[i] : state_view_find(b, e->type, e->state_key);
        if (!other || other->event != e->event)
            return false;
    }
    return true;
}

/* ---- of stored events ---- */

/* Leaves out what is as in the current state. */
static const struct err *keep_different(struct job *job, struct room *room,
                                        const struct state_ref_entry *entries, size_t n,
                                        struct state_view *ret)
{
    int64_t *current = arena_alloc_array(job->arena, n + 1, sizeof *current);
    struct state_view v = {0};
    if (n)
        TRY(room_state_current(job_tx(job), room->id, entries, n, current));
    for (size_t i = 0; i < n; i++)
        if (entries[i].event != current[i])
            append(job->arena, &v, &entries[i]);
    *ret = v;
    return NULL;
}

static int64_t newest_state(struct room *room)
{
    LOCKED(&room->lock);
    return room->state_position;
}

const struct err *state_view_of_ref(struct job *job, struct room *room, int64_t base,
                                    const struct state_ref_entry *entries, size_t n,
                                    struct state_view *ret)
{
    const struct state_ref_entry *older = NULL;
    size_t older_n = 0;
    if (base < newest_state(room))
        TRY(room_state_difference(job_tx(job), room->id, base, &older, &older_n));
    if (!n) { /* room_state_difference leaves out what came back to where it was */
        *ret = (struct state_view){(struct state_ref_entry *)older, older_n, older_n};
        return NULL;
    }
    struct map own = {0};
    struct state_ref_entry *all = arena_alloc_array(job->arena, n + older_n + 1, sizeof *all);
    memcpy(all, entries, n * sizeof *all);
    for (size_t i = 0; i < n; i++)
        map_put(&own, entry_key(job->arena, &entries[i]), (void *)&entries[i]);
    for (size_t i = 0; i < older_n; i++)
        if (!map_get(&own, entry_key(job->arena, &older[i])))
            all[n++] = older[i];
    map_finish(&own);
    return keep_different(job, room, all, n, ret);
}

const struct err *state_view_before(struct job *job, struct room *room, const struct known_event *e,
                                    struct state_view *ret, bool *ret_known)
{
    *ret_known = e->state_ref || e->e.position > 0;
    if (!*ret_known)
        return NULL;
    if (!e->state_ref)
        return state_view_of_ref(job, room, e->e.position - 1, NULL, 0, ret);
    int64_t base;
    const struct state_ref_entry *entries;
    size_t n;
    bool found;
    TRY(state_ref_read(job_tx(job), e->state_ref, &base, &entries, &n, &found));
    if (!found)
        return err_internal("state reference %lld is missing", (long long)e->state_ref);
    return state_view_of_ref(job, room, base, entries, n, ret);
}

const struct err *state_view_after(struct job *job, struct room *room, const struct known_event *e,
                                   struct state_view *ret, bool *ret_known)
{
    if (!e->state_ref && e->e.position > 0) { /* it made the current state of its moment */
        *ret_known = true;
        return state_view_of_ref(job, room, e->e.position, NULL, 0, ret);
    }
    TRY(state_view_before(job, room, e, ret, ret_known));
    if (!*ret_known || !e->e.is_state || e->e.status == EVENT_REJECTED)
        return NULL;
    struct state_ref_entry *all = arena_alloc_array(job->arena, ret->n + 1, sizeof *all);
    struct state_view v = {all, 0, ret->n + 1};
    memcpy(all, ret->entries, ret->n * sizeof *all);
    v.n = ret->n;
    state_view_put(job->arena, &v, e->e.type, e->e.event->state_key, e->e.position);
    return keep_different(job, room, v.entries, v.n, ret);
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
    size_t names_n, told_n;
    struct state_ref_entry *told = arena_alloc_array(job->arena, n + 1, sizeof *told);
    const char **missing = arena_alloc_array(job->arena, n + 1, sizeof *missing);
    TRY(entries_of_ids(job, lookup, ids, n, told, &told_n, missing, ret_missing_n));
    *ret_missing = missing;
    if (*ret_missing_n)
        return NULL;
    TRY(room_state_names(job_tx(job), room->id, VALID_FOREVER - 1, &names, &names_n));
    struct state_view v = {0};
    struct map keys = {0};
    for (size_t i = 0; i < told_n; i++)
        map_put(&keys, entry_key(job->arena, &told[i]), &told[i]);
    for (size_t i = 0; i < names_n; i++) {
        struct state_ref_entry now = {.type = names[i].type, .state_key = names[i].state_key};
        struct state_ref_entry *then = map_remove(&keys, entry_key(job->arena, &now));
        if (!then || then->event != names[i].event)
            append(job->arena, &v, then ? then : &now);
    }
    for (struct map_slot *s = NULL; (s = map_next(&keys, s));)
        append(job->arena, &v, s->value);
    map_finish(&keys);
    *ret = v;
    return NULL;
}

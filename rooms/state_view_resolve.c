/* State resolution between states that are given as differences from the current one: the sets that
 * matrix/state_res.h wants, and its outcome as a difference again. */
#include "rooms/state_view.h"

#include "matrix/state_res.h"
#include "rooms/state_key.h"
#include "storage/intern.h"

struct resolving {
    struct job *job;
    struct room *room;
    struct lookup *lookup;
    const struct event *taken;
    const struct state_name *names; /* the current state */
    size_t names_n;
    struct map differing; /* of any view: entry key -> struct key */
    struct map positions; /* position of an event that a view names -> its id */
};

/* A key that stands in some view. */
struct key {
    int64_t type;
    const char *type_text, *state_key;
    const struct state_name *now; /* NULL: not in the current state */
};

static const struct err *add_key(struct resolving *r, const struct state_ref_entry *e)
{
    const char *type;
    TRY(intern_name(r->job->store->intern, INTERN_TYPE, e->type, &type));
    struct str name = state_key_join(r->job->arena, type, e->state_key);
    if (map_get(&r->differing, name))
        return NULL;
    struct key *k = arena_alloc(r->job->arena, sizeof *k);
    *k = (struct key){.type = e->type, .type_text = type, .state_key = e->state_key};
    map_put(&r->differing, name, k);
    return NULL;
}

static void find_current(struct resolving *r)
{
    for (size_t i = 0; i < r->names_n; i++) {
        struct key *k = map_get(&r->differing, state_key_join(r->job->arena, r->names[i].type_text,
                                                              r->names[i].state_key));
        if (k)
            k->now = &r->names[i];
    }
}

/* The ids of the events that the views name. */
static const struct err *load_events(struct resolving *r, const struct state_view *views, size_t n)
{
    size_t most = 1, wanted = 0, found;
    for (size_t i = 0; i < n; i++)
        most += views[i].n;
    int64_t *list = arena_alloc_array(r->job->arena, most, sizeof *list);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < views[i].n; k++) {
            TRY(add_key(r, &views[i].entries[k]));
            int64_t position = views[i].entries[k].event;
            const struct known_event *known = map_get_int(&r->lookup->by_place, position);
            if (known)
                map_put_int(&r->positions, position, (void *)known->e.event->event_id);
            else if (position)
                list[wanted++] = position;
        }
    const struct stored_event *events;
    TRY(events_get_many(job_tx(r->job), list, wanted, &events, &found));
    for (size_t i = 0; i < found; i++) {
        map_put_int(&r->positions, events[i].position, (void *)events[i].event->event_id);
        const struct known_event *known;
        TRY(lookup_get(r->lookup, events[i].event->event_id, &known));
    }
    if (r->taken)
        map_put_int(&r->positions, EVENT_BEING_TAKEN, (void *)r->taken->event_id);
    return NULL;
}

/* The view as a whole state. */
static struct state_set make_set(struct resolving *r, const struct state_view *view)
{
    struct arena *a = r->job->arena;
    struct state_entry *entries = arena_alloc_array(a, r->names_n + view->n + 1, sizeof *entries);
    struct map own = {0};
    size_t n = 0;
    for (size_t i = 0; i < view->n; i++) {
        const struct state_ref_entry *e = &view->entries[i];
        const char *type;
        if (intern_name(r->job->store->intern, INTERN_TYPE, e->type, &type))
            continue; /* add_key has seen it, so it is in memory */
        map_put(&own, state_key_join(a, type, e->state_key), (void *)e);
        const char *id = e->event ? map_get_int(&r->positions, e->event) : NULL;
        if (id)
            entries[n++] = (struct state_entry){type, e->state_key, id};
    }
    for (size_t i = 0; i < r->names_n; i++) {
        const struct state_name *s = &r->names[i];
        if (!own.n || !map_get(&own, state_key_join(a, s->type_text, s->state_key)))
            entries[n++] = (struct state_entry){s->type_text, s->state_key, s->event_id};
    }
    map_finish(&own);
    return (struct state_set){entries, n};
}

static const struct err *position_of(struct resolving *r, const char *id, int64_t *ret)
{
    const struct known_event *e;
    if (r->taken && strcmp(id, r->taken->event_id) == 0) {
        *ret = EVENT_BEING_TAKEN;
        return NULL;
    }
    TRY(lookup_get(r->lookup, id, &e));
    if (!e)
        return err_internal("event %s of the resolved state is missing", id);
    *ret = e->e.position;
    return NULL;
}

/* Only keys that some view names can have come out differently. */
static const struct err *read_outcome(struct resolving *r, const struct state_set *outcome,
                                      struct state_view *ret)
{
    struct arena *a = r->job->arena;
    struct state_view v = {0};
    for (size_t i = 0; i < outcome->n; i++) {
        const struct state_entry *e = &outcome->entries[i];
        struct key *k = map_remove(&r->differing, state_key_join(a, e->type, e->state_key));
        if (!k || (k->now && strcmp(k->now->event_id, e->event_id) == 0))
            continue;
        int64_t position = 0;
        TRY(position_of(r, e->event_id, &position));
        state_view_add(a, &v, k->type, k->state_key, position);
    }
    for (struct map_slot *s = NULL; (s = map_next(&r->differing, s));) {
        const struct key *k = s->value;
        if (k->now)
            state_view_add(a, &v, k->type, k->state_key, 0);
    }
    *ret = v;
    return NULL;
}

static const struct err *resolve(struct resolving *r, const struct state_view *views, size_t n,
                                 struct state_view *ret)
{
    TRY(load_events(r, views, n));
    TRY(room_state_names(job_tx(r->job), r->room->id, VALID_FOREVER - 1, &r->names, &r->names_n));
    find_current(r);
    struct state_set *sets = arena_alloc_array(r->job->arena, n + 1, sizeof *sets), outcome;
    for (size_t i = 0; i < n; i++)
        sets[i] = make_set(r, &views[i]);
    struct state_res_source source;
    lookup_source(r->lookup, &source);
    TRY(state_resolve(r->job->arena, r->room->version, &source, sets, n, &outcome));
    return read_outcome(r, &outcome, ret);
}

static bool all_equal(const struct state_view *views, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (!state_view_equal(&views[0], &views[i]))
            return false;
    return true;
}

const struct err *state_view_resolve(struct job *job, struct room *room, struct lookup *lookup,
                                     const struct event *taken, const struct state_view *views,
                                     size_t n, struct state_view *ret)
{
    if (n == 0 || all_equal(views, n)) {
        *ret = n ? views[0] : (struct state_view){0};
        return NULL;
    }
    struct resolving r = {.job = job, .room = room, .lookup = lookup, .taken = taken};
    const struct err *e = resolve(&r, views, n, ret);
    map_finish(&r.differing);
    map_finish(&r.positions);
    return e;
}

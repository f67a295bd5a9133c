#include "federation/in/event_pool.h"

#include "storage/rooms/event_lookup.h"

void event_pool_init(struct event_pool *p, struct job *job, struct room *room)
{
    *p = (struct event_pool){.job = job, .room = room};
}

void event_pool_finish(struct event_pool *p)
{
    map_finish(&p->by_id);
    map_finish(&p->missing);
}

static void event_pool_add(struct event_pool *p, const struct event *e, int64_t kept)
{
    struct arena *a = p->job->arena;
    if (map_get(&p->by_id, str_of(e->event_id)))
        return;
    if (p->n == p->size) {
        size_t size = p->size ? p->size * 2 : 64;
        struct pool_event **grown = arena_alloc_array(a, size, sizeof(struct pool_event *));
        if (p->n)
            memcpy(grown, p->all, p->n * sizeof(struct pool_event *));
        p->all = grown;
        p->size = size;
    }
    struct pool_event *added = arena_alloc(a, sizeof *added);
    *added = (struct pool_event){.event = e, .kept = kept};
    p->all[p->n++] = added;
    map_put(&p->by_id, str_of(e->event_id), added);
    map_remove(&p->missing, str_of(e->event_id));
}

void event_pool_add_kept(struct event_pool *p, const struct event *e, int64_t kept)
{
    event_pool_add(p, e, kept);
}

/* The parents of these events that are not stored, as keys of a map. */
static const struct err *find_unknown(struct event_pool *p, const struct event *const *events,
                                      size_t n, struct map *ret)
{
    size_t ids_n = 0;
    for (size_t i = 0; i < n; i++)
        ids_n += events[i]->prev_n + 1;
    const char **ids = arena_alloc_array(p->job->arena, ids_n + 1, sizeof *ids);
    const char *const *unknown;
    ids_n = 0;
    for (size_t i = 0; i < n; i++) {
        ids[ids_n++] = events[i]->event_id;
        for (size_t k = 0; k < events[i]->prev_n; k++)
            ids[ids_n++] = events[i]->prev_events[k];
    }
    size_t unknown_n = 0;
    if (ids_n)
        TRY(events_find_unplaced(job_tx(p->job), p->room->id, p->room->version, ids, ids_n,
                                 &unknown, &unknown_n));
    for (size_t i = 0; i < unknown_n; i++)
        map_put(ret, str_of(unknown[i]), (void *)unknown[i]);
    return NULL;
}

static void note_missing_before(struct event_pool *p, const struct event *e,
                                const struct map *unknown)
{
    for (size_t k = 0; k < e->prev_n; k++) {
        struct str id = str_of(e->prev_events[k]);
        if (map_get(unknown, id) && !map_get(&p->by_id, id))
            map_put(&p->missing, id, (void *)e->prev_events[k]);
    }
}

const struct err *event_pool_look(struct event_pool *p)
{
    struct map unknown = {0};
    const struct event **events = arena_alloc_array(p->job->arena, p->n + 1, sizeof *events);
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        if (!p->all[i]->is_taken)
            events[n++] = p->all[i]->event;
    const struct err *e = find_unknown(p, events, n, &unknown);
    for (size_t i = 0; i < n && !e; i++)
        note_missing_before(p, events[i], &unknown);
    map_finish(&unknown);
    return e;
}

/* Follows what is missing, so that events that were not asked for are not added. */
static size_t add_wanted(struct event_pool *p, const struct map *offered, const struct map *unknown)
{
    size_t added = 0;
    for (bool any = true; any;) {
        any = false;
        const char *ids[256];
        size_t n = event_pool_list_missing(p, ids, sizeof ids / sizeof *ids);
        for (size_t i = 0; i < n; i++) {
            const struct event *e = map_get(offered, str_of(ids[i]));
            if (!e)
                continue;
            event_pool_add(p, e, 0);
            note_missing_before(p, e, unknown);
            any = true;
            added++;
        }
    }
    return added;
}

const struct err *event_pool_add_missing(struct event_pool *p, const struct event *const *events,
                                         size_t n, size_t *ret_added)
{
    struct map unknown = {0}, offered = {0};
    const struct err *e = find_unknown(p, events, n, &unknown);
    for (size_t i = 0; i < n && !e; i++)
        if (events[i]->depth >= p->min_depth)
            map_put(&offered, str_of(events[i]->event_id), (void *)events[i]);
    *ret_added = e ? 0 : add_wanted(p, &offered, &unknown);
    map_finish(&unknown);
    map_finish(&offered);
    return e;
}

size_t event_pool_list_missing(const struct event_pool *p, const char **ret, size_t max)
{
    size_t n = 0;
    for (struct map_slot *s = NULL; n < max && (s = map_next(&p->missing, s));)
        ret[n++] = s->value;
    return n;
}

bool event_pool_misses_before(const struct event_pool *p, const struct event *e)
{
    for (size_t k = 0; k < e->prev_n; k++)
        if (map_get(&p->missing, str_of(e->prev_events[k])))
            return true;
    return false;
}

/* Lists an event after all its parents, without recursion: chains are long. */
static size_t list_with_parents(struct event_pool *p, struct pool_event *e,
                                struct pool_event **stack, struct pool_event **ret, size_t n)
{
    size_t depth = 0;
    stack[depth++] = e;
    e->is_listed = true;
    while (depth) {
        struct pool_event *top = stack[depth - 1], *parent = NULL;
        for (size_t k = 0; k < top->event->prev_n && !parent; k++) {
            parent = map_get(&p->by_id, str_of(top->event->prev_events[k]));
            if (parent && (parent->is_listed || parent->is_taken))
                parent = NULL;
        }
        if (parent) {
            parent->is_listed = true;
            stack[depth++] = parent;
        } else {
            ret[n++] = top;
            depth--;
        }
    }
    return n;
}

static int event_pool_by_depth(const void *left, const void *right)
{
    const struct pool_event *a = *(struct pool_event *const *)left,
                            *b = *(struct pool_event *const *)right;
    return (a->event->depth > b->event->depth) - (a->event->depth < b->event->depth);
}

/* Roughly in the order in which they happened; branches are interleaved. */
size_t event_pool_order(struct event_pool *p, struct pool_event **ret)
{
    size_t size = sizeof(struct pool_event *), n = 0;
    struct pool_event **sorted = arena_alloc_array(p->job->arena, p->n + 1, size);
    struct pool_event **stack = arena_alloc_array(p->job->arena, p->n + 1, size);
    for (size_t i = 0; i < p->n; i++) {
        sorted[i] = p->all[i];
        sorted[i]->is_listed = false;
    }
    qsort(sorted, p->n, size, event_pool_by_depth);
    for (size_t i = 0; i < p->n; i++)
        if (!sorted[i]->is_listed && !sorted[i]->is_taken)
            n = list_with_parents(p, sorted[i], stack, ret, n);
    return n;
}

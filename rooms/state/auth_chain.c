#include "rooms/state/auth_chain.h"

#include "rooms/state/lookup.h"
#include "storage/rooms/event_lookup.h"

enum {
    CHAIN_MAX = 200000,
    WAVES_MAX = 6, /* most chains end before */
    LOAD_AT_ONCE = 20000
};

/* A breadth-first walk, a wave of ids at a time; after some waves the database finds the rest in
 * one query. */
struct chain_walk {
    struct arena *arena;
    struct lookup *lookup;
    struct map seen;
    struct stored_event *found;
    size_t found_n, found_cap;
    const char **next; /* the ids of the next wave */
    size_t next_n, next_cap;
};

static void *auth_chain_grow(struct arena *a, void *list, size_t *room, size_t n, size_t size)
{
    if (n < *room)
        return list;
    *room = *room ? *room * 2 : 64;
    void *grown = arena_alloc_array(a, *room, size);
    if (n)
        memcpy(grown, list, n * size);
    return grown;
}

static void auth_chain_cite(struct chain_walk *w, const struct event *e)
{
    for (size_t i = 0; i < e->auth_n; i++) {
        const char *id = e->auth_events[i];
        if (map_put(&w->seen, str_of(id), (void *)id))
            continue;
        w->next = auth_chain_grow(w->arena, w->next, &w->next_cap, w->next_n, sizeof *w->next);
        w->next[w->next_n++] = id;
    }
}

static const struct err *walk_wave(struct chain_walk *w, const char *const *ids, size_t n,
                                   bool in_chain)
{
    TRY(lookup_load(w->lookup, ids, n));
    w->next = NULL;
    w->next_n = w->next_cap = 0;
    for (size_t i = 0; i < n; i++) {
        const struct known_event *known;
        TRY(lookup_get(w->lookup, ids[i], &known));
        if (!known)
            continue;
        if (in_chain) {
            w->found =
                auth_chain_grow(w->arena, w->found, &w->found_cap, w->found_n, sizeof *w->found);
            w->found[w->found_n++] = known->e;
        }
        auth_chain_cite(w, known->e.event);
    }
    return NULL;
}

/* The rest of the chain, from the next wave on. */
static const struct err *walk_rest(struct chain_walk *w, struct room *room)
{
    const char *const *ids;
    size_t n, wanted_n = 0;
    TRY(events_find_auth_chain(job_tx(w->lookup->job), room->id, room->version, w->next, w->next_n,
                               CHAIN_MAX, &ids, &n));
    const char **wanted = arena_alloc_array(w->arena, w->next_n + n + 1, sizeof *wanted);
    for (; wanted_n < w->next_n; wanted_n++)
        wanted[wanted_n] = w->next[wanted_n];
    for (size_t i = 0; i < n; i++)
        if (!map_put(&w->seen, str_of(ids[i]), (void *)ids[i]))
            wanted[wanted_n++] = ids[i];
    for (size_t i = 0; i < wanted_n && w->found_n < CHAIN_MAX; i += LOAD_AT_ONCE) {
        size_t some = wanted_n - i < LOAD_AT_ONCE ? wanted_n - i : LOAD_AT_ONCE;
        TRY(walk_wave(w, wanted + i, some, true));
    }
    return NULL;
}

const struct err *auth_chain(struct job *job, struct room *room, const char *const *event_ids,
                             size_t n, const struct stored_event **ret, size_t *ret_n)
{
    struct chain_walk w = {.arena = job->arena,
                           .lookup = lookup_create(job, room->version, room->id)};
    const struct err *e = walk_wave(&w, event_ids, n, false);
    for (int wave = 0; !e && w.next_n && w.found_n < CHAIN_MAX; wave++) {
        if (wave == WAVES_MAX) {
            e = walk_rest(&w, room);
            break;
        }
        e = walk_wave(&w, w.next, w.next_n, true);
    }
    map_finish(&w.seen);
    *ret = w.found;
    *ret_n = w.found_n;
    return e;
}

/* State resolution between states that are differences from the current one: makes the sets that
 * matrix/auth/state_res.h needs, and from its result a difference again. */
#include "rooms/state/state_view.h"

#include "matrix/auth/state_res.h"
#include "rooms/state/auth_index.h"
#include "rooms/state/state_key.h"
#include "storage/db/intern.h"

struct resolving {
    struct job *job;
    struct room *room;
    struct lookup *lookup;
    struct auth_index *index; /* NULL: state resolution v1, which walks no chains */
    struct map differing;     /* of any view: entry key -> struct key */
    struct key *keys;         /* the same as a list */
    struct map current;       /* event id -> event of the current state that was read */
    struct map nodes;         /* event id of a set -> its node in the index, as uintptr_t */
    size_t weighed;           /* events of auth chains that are in conflict, too */
    struct err failure;
    bool failed;
};

/* A key of some view. */
struct key {
    int64_t type;
    const char *type_text, *state_key;
    const struct event *now; /* NULL: not in the current state */
    struct key *next;
};

/* ---- the sets ---- */

static const struct err *state_view_resolve_add_key(struct resolving *r,
                                                    const struct state_ref_entry *e)
{
    const char *type;
    TRY(intern_name(r->job->storage->intern, INTERN_TYPE, e->type, &type));
    struct str name = state_key_join(r->job->arena, type, e->state_key);
    if (map_get(&r->differing, name))
        return NULL;
    struct key *k = arena_alloc(r->job->arena, sizeof *k);
    *k = (struct key){
        .type = e->type, .type_text = type, .state_key = e->state_key, .next = r->keys};
    r->keys = k;
    map_put(&r->differing, name, k);
    return NULL;
}

static const struct err *state_view_resolve_load_members(struct resolving *r,
                                                         const struct state_key *keys, size_t n)
{
    const char **users = arena_alloc_array(r->job->arena, n + 1, sizeof *users);
    size_t users_n = 0;
    for (size_t i = 0; i < n; i++)
        if (strcmp(keys[i].type, "m.room.member") == 0)
            users[users_n++] = keys[i].state_key;
    return room_load_members(r->job, r->room, users, users_n);
}

static const struct err *state_view_resolve_find_now(struct resolving *r, const char *type,
                                                     const char *state_key,
                                                     const struct event **ret)
{
    TRY(room_state(r->job, r->room, type, state_key, ret));
    if (*ret)
        map_put(&r->current, str_of((*ret)->event_id), (void *)*ret);
    return NULL;
}

/* Loads the events of the views, and the current ones of the same keys. */
static const struct err *load_events(struct resolving *r, const struct state_view *views, size_t n)
{
    size_t most = 1, wanted = 0, keys_n = 0;
    for (size_t i = 0; i < n; i++)
        most += views[i].n;
    int64_t *list = arena_alloc_array(r->job->arena, most, sizeof *list);
    struct state_key *keys = arena_alloc_array(r->job->arena, most, sizeof *keys);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < views[i].n; k++) {
            TRY(state_view_resolve_add_key(r, &views[i].entries[k]));
            list[wanted++] = views[i].entries[k].event;
        }
    TRY(lookup_load_at(r->lookup, list, wanted));
    for (const struct key *k = r->keys; k; k = k->next)
        keys[keys_n++] = (struct state_key){k->type_text, k->state_key};
    TRY(state_view_resolve_load_members(r, keys, keys_n));
    for (struct key *k = r->keys; k; k = k->next)
        TRY(state_view_resolve_find_now(r, k->type_text, k->state_key, &k->now));
    return NULL;
}

static const char *id_at(struct resolving *r, int64_t position)
{
    const struct known_event *known = position ? map_get_int(&r->lookup->by_place, position) : NULL;
    return known ? known->e.event->event_id : NULL;
}

/* The view's state of the keys in which any of the views differ. */
static struct state_set make_set(struct resolving *r, const struct state_view *view)
{
    struct arena *a = r->job->arena;
    struct state_entry *entries = arena_alloc_array(a, r->differing.n + 1, sizeof *entries);
    struct map own = {0};
    size_t n = 0;
    for (size_t i = 0; i < view->n; i++)
        map_put(&own, state_key_join_id(a, view->entries[i].type, view->entries[i].state_key),
                &view->entries[i]);
    for (const struct key *k = r->keys; k; k = k->next) {
        const struct state_ref_entry *e =
            map_get(&own, state_key_join_id(a, k->type, k->state_key));
        const char *id = e ? id_at(r, e->event) : k->now ? k->now->event_id : NULL;
        if (id)
            entries[n++] = (struct state_entry){k->type_text, k->state_key, id};
    }
    map_finish(&own);
    return (struct state_set){entries, n};
}

/* ---- callbacks of state resolution ---- */

/* After a failed query the event looks missing, so the result must not be used. */
static void state_view_resolve_note_failure(struct resolving *r, const struct err *e)
{
    if (e && !r->failed)
        r->failure = *e;
    r->failed = r->failed || e;
}

static const struct event *state_view_resolve_find_event(struct resolving *r, const char *id,
                                                         bool *ret_rejected)
{
    const struct known_event *known = lookup_peek(r->lookup, id);
    if (known) {
        *ret_rejected = known->e.status == EVENT_REJECTED;
        return known->e.event;
    }
    const struct event *e = map_get(&r->current, str_of(id));
    return e || !r->index ? e : auth_index_event(r->index, id, ret_rejected);
}

static void state_view_resolve_load(struct resolving *r, const char *const *ids, size_t n)
{
    state_view_resolve_note_failure(r, lookup_load(r->lookup, ids, n));
    for (size_t i = 0; i < n && r->index; i++) {
        const struct known_event *known = lookup_peek(r->lookup, ids[i]);
        if (known)
            auth_index_keep(r->index, known, 0);
    }
}

static const struct event *state_view_resolve_get_event(void *ctx, const char *id,
                                                        bool *ret_rejected)
{
    const struct event *e = state_view_resolve_find_event(ctx, id, ret_rejected);
    if (e)
        return e;
    state_view_resolve_load(ctx, &id, 1);
    return state_view_resolve_find_event(ctx, id, ret_rejected);
}

static void prefetch(void *ctx, const char *const *ids, size_t n)
{
    struct resolving *r = ctx;
    const char **wanted = arena_alloc_array(r->job->arena, n + 1, sizeof *wanted);
    size_t wanted_n = 0;
    bool rejected;
    for (size_t i = 0; i < n; i++)
        if (!state_view_resolve_find_event(r, ids[i], &rejected))
            wanted[wanted_n++] = ids[i];
    if (wanted_n)
        state_view_resolve_load(r, wanted, wanted_n);
}

static const char *agreed(void *ctx, const char *type, const char *state_key)
{
    struct resolving *r = ctx;
    const struct event *e = NULL;
    if (!map_get(&r->differing, state_key_join(r->job->arena, type, state_key)))
        state_view_resolve_note_failure(r, state_view_resolve_find_now(r, type, state_key, &e));
    return e ? e->event_id : NULL;
}

static void prefetch_agreed(void *ctx, const struct state_key *keys, size_t n)
{
    state_view_resolve_note_failure(ctx, state_view_resolve_load_members(ctx, keys, n));
}

/* ---- by the index ---- */

static uint32_t node_of(struct resolving *r, const char *id)
{
    return (uint32_t)(uintptr_t)map_get(&r->nodes, str_of(id));
}

/* Finds the nodes of all events of the sets, and of the current ones of the same keys. */
static const struct err *find_nodes(struct resolving *r, const struct state_set *sets, size_t n)
{
    struct map ids = {0};
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sets[i].n; k++)
            map_put(&ids, str_of(sets[i].entries[k].event_id), (void *)sets[i].entries[k].event_id);
    for (const struct key *k = r->keys; k; k = k->next)
        if (k->now)
            map_put(&ids, str_of(k->now->event_id), (void *)k->now->event_id);
    const char **list = arena_alloc_array(r->job->arena, ids.n + 1, sizeof *list);
    uint32_t *nodes = arena_alloc_array(r->job->arena, ids.n + 1, sizeof *nodes);
    size_t list_n = 0;
    for (struct map_slot *s = NULL; (s = map_next(&ids, s));)
        list[list_n++] = s->value;
    map_finish(&ids);
    TRY(auth_index_find(r->index, list, list_n, nodes));
    for (size_t i = 0; i < list_n; i++) {
        const struct known_event *known = lookup_peek(r->lookup, list[i]);
        if (nodes[i])
            map_put(&r->nodes, str_of(list[i]), (void *)(uintptr_t)nodes[i]);
        if (nodes[i] && known)
            auth_index_keep(r->index, known, nodes[i]);
    }
    return NULL;
}

/* The current events of differing keys are not in every set. */
static void state_view_resolve_mark_current(struct resolving *r, bool are_current)
{
    for (const struct key *k = r->keys; k; k = k->next) {
        struct auth_node *node = k->now && node_of(r, k->now->event_id)
                                     ? &r->index->graph.nodes[node_of(r, k->now->event_id)]
                                     : NULL;
        if (node && are_current)
            node->flags |= AUTH_NODE_CURRENT;
        else if (node)
            node->flags &= (uint8_t)~AUTH_NODE_CURRENT;
    }
}

static const struct err *auth_difference(void *ctx, struct arena *a, const struct state_set *sets,
                                         size_t n, const char *const **ret_ids, size_t *ret_n)
{
    struct resolving *r = ctx;
    size_t members_n = 0, nodes_n;
    const uint32_t *nodes;
    struct auth_member *members = arena_alloc_array(a, r->differing.n * n + 1, sizeof *members);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sets[i].n; k++) {
            uint32_t node = node_of(r, sets[i].entries[k].event_id);
            if (node)
                members[members_n++] = (struct auth_member){node, (uint32_t)i};
        }
    state_view_resolve_mark_current(r, false);
    const struct err *e =
        auth_graph_difference(&r->index->graph, a, members, members_n, n, &nodes, &nodes_n);
    state_view_resolve_mark_current(r, true);
    r->weighed += e ? 0 : nodes_n;
    return e ? e : auth_index_ids(r->index, nodes, nodes_n, ret_ids, ret_n);
}

static const struct err *conflicted_subgraph(void *ctx, struct arena *a, const char *const *ids,
                                             size_t n, const char *const **ret_ids, size_t *ret_n)
{
    struct resolving *r = ctx;
    uint32_t *conflicted = arena_alloc_array(a, n + 1, sizeof *conflicted);
    size_t conflicted_n = 0, nodes_n;
    const uint32_t *nodes;
    for (size_t i = 0; i < n; i++)
        if ((conflicted[conflicted_n] = node_of(r, ids[i])))
            conflicted_n++;
    TRY(auth_graph_between(&r->index->graph, a, conflicted, conflicted_n, &nodes, &nodes_n));
    r->weighed += nodes_n;
    return auth_index_ids(r->index, nodes, nodes_n, ret_ids, ret_n);
}

static const struct err *mainline(void *ctx, const char *power_id, const char *const *ids, size_t n,
                                  int64_t *ret)
{
    struct resolving *r = ctx;
    struct arena *a = r->job->arena;
    uint32_t *nodes = arena_alloc_array(a, n + 1, sizeof *nodes), power;
    TRY(auth_index_find(r->index, ids, n, nodes));
    TRY(auth_index_find(r->index, &power_id, 1, &power));
    return auth_graph_mainline(&r->index->graph, a, power, nodes, n, ret);
}

/* ---- the result ---- */

static const struct err *position_of(struct resolving *r, const char *id, int64_t *ret)
{
    const struct known_event *e;
    TRY(lookup_get(r->lookup, id, &e));
    if (!e)
        return err_internal("event %s of the resolved state is missing", id);
    *ret = e->e.position;
    return NULL;
}

static bool is_now(const struct key *k, const char *id)
{
    return k->now && strcmp(k->now->event_id, id) == 0;
}

static const struct err *load_outcome(struct resolving *r, const struct state_set *outcome)
{
    struct arena *a = r->job->arena;
    const char **ids = arena_alloc_array(a, outcome->n + 1, sizeof *ids);
    size_t n = 0;
    for (size_t i = 0; i < outcome->n; i++) {
        const struct state_entry *e = &outcome->entries[i];
        const struct key *k = map_get(&r->differing, state_key_join(a, e->type, e->state_key));
        if (k && !is_now(k, e->event_id))
            ids[n++] = e->event_id;
    }
    return lookup_load(r->lookup, ids, n);
}

/* Only keys of some view can differ from the current state. */
static const struct err *read_outcome(struct resolving *r, const struct state_set *outcome,
                                      struct state_view *ret)
{
    struct arena *a = r->job->arena;
    struct state_view v = {0};
    TRY(load_outcome(r, outcome));
    for (size_t i = 0; i < outcome->n; i++) {
        const struct state_entry *e = &outcome->entries[i];
        struct key *k = map_remove(&r->differing, state_key_join(a, e->type, e->state_key));
        if (!k || is_now(k, e->event_id))
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

static const struct err *resolve_sets(struct resolving *r, const struct state_set *sets, size_t n,
                                      struct state_set *ret)
{
    struct state_res_source source = {.get_event = state_view_resolve_get_event,
                                      .prefetch = prefetch,
                                      .agreed = agreed,
                                      .prefetch_agreed = prefetch_agreed,
                                      .ctx = r};
    if (r->index) {
        TRY(find_nodes(r, sets, n));
        source.auth_difference = auth_difference;
        source.conflicted_subgraph = conflicted_subgraph;
        source.mainline = mainline;
    }
    TRY(state_resolve(r->job->arena, r->room->version, &source, sets, n, ret));
    return r->failed ? err_copy(&r->failure) : NULL;
}

static const struct err *state_view_resolve_resolve(struct resolving *r,
                                                    const struct state_view *views, size_t n,
                                                    struct state_view *ret)
{
    struct state_set *sets = arena_alloc_array(r->job->arena, n + 1, sizeof *sets), outcome;
    TRY(load_events(r, views, n));
    for (size_t i = 0; i < n; i++)
        sets[i] = make_set(r, &views[i]);
    if (r->room->version->state_res != STATE_RES_V1)
        TRY(auth_index_open(r->job, r->room, r->lookup, &r->index));
    const struct err *e = resolve_sets(r, sets, n, &outcome);
    if (!e)
        e = read_outcome(r, &outcome, ret); /* its events may belong to the index */
    if (r->index)
        auth_index_close(r->index, !e);
    return e;
}

/* Keeps each state once: equal ones do not change the result. */
static size_t drop_equal(struct arena *a, const struct state_view *views, size_t n,
                         struct state_view *ret)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_new = true;
        for (size_t k = 0; k < kept && is_new; k++)
            is_new = !state_view_equal(a, &ret[k], &views[i]);
        if (is_new)
            ret[kept++] = views[i];
    }
    return kept;
}

const struct err *state_view_resolve(struct job *job, struct room *room, struct lookup *lookup,
                                     const struct state_view *views, size_t n,
                                     struct state_view *ret, size_t *weighed)
{
    struct state_view *distinct = arena_alloc_array(job->arena, n + 1, sizeof *distinct);
    n = drop_equal(job->arena, views, n, distinct);
    if (n < 2) {
        *ret = n ? distinct[0] : (struct state_view){0};
        return NULL;
    }
    struct resolving r = {.job = job, .room = room, .lookup = lookup};
    const struct err *e = state_view_resolve_resolve(&r, distinct, n, ret);
    *weighed += r.weighed;
    map_finish(&r.differing);
    map_finish(&r.current);
    map_finish(&r.nodes);
    return e;
}

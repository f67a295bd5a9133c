/* Walks over the graph of auth events, breadth-first, a wave of events at a time. */
#include "matrix/auth/state_res_internal.h"

/* Gives the source a hint which events the next wave needs. */
static void prefetch_auth(struct res *r, struct res_node *const *nodes, size_t n)
{
    if (!r->source->prefetch)
        return;
    size_t most = 0, ids_n = 0;
    for (size_t i = 0; i < n; i++)
        if (nodes[i]->e && !nodes[i]->expanded)
            most += nodes[i]->e->auth_n;
    if (!most)
        return;
    const char **ids = arena_alloc_array(r->a, most, sizeof *ids);
    for (size_t i = 0; i < n; i++) {
        const struct event *e = nodes[i]->expanded ? NULL : nodes[i]->e;
        for (size_t k = 0; e && k < e->auth_n; k++)
            if (!map_get(&r->nodes, str_of(e->auth_events[k])))
                ids[ids_n++] = e->auth_events[k];
    }
    if (ids_n)
        r->source->prefetch(r->source->ctx, ids, ids_n);
}

/* Fills in `auth` of the nodes. */
void res_expand(struct res *r, struct res_node *const *nodes, size_t n)
{
    prefetch_auth(r, nodes, n);
    for (size_t i = 0; i < n; i++) {
        struct res_node *node = nodes[i];
        if (node->expanded)
            continue;
        node->expanded = true;
        node->auth_n = node->e ? node->e->auth_n : 0;
        node->auth = arena_alloc_array(r->a, node->auth_n, sizeof *node->auth);
        for (size_t k = 0; k < node->auth_n; k++)
            node->auth[k] = res_node_of(r, node->e->auth_events[k]);
    }
}

static bool state_res_graph_add_bits(const struct res *r, struct res_node *to, const uint64_t *bits)
{
    bool changed = false;
    for (size_t w = 0; w < r->words; w++) {
        changed = changed || (bits[w] & ~to->in_chain_of[w]);
        to->in_chain_of[w] |= bits[w];
    }
    return changed;
}

static void state_res_graph_enqueue(struct res *r, struct res_list *wave, struct res_node *node)
{
    if (node->queued)
        return;
    node->queued = true;
    res_list_add(r->a, wave, node);
}

/* Propagates each node's bits to its auth events until nothing changes any more: bits are only
 * added, so that cycles end too. `seen` collects the nodes that got any. */
static void spread(struct res *r, struct res_list *wave, struct res_list *seen)
{
    struct res_list next = {0};
    while (wave->n) {
        res_expand(r, wave->nodes, wave->n);
        for (size_t i = 0; i < wave->n; i++)
            wave->nodes[i]->queued = false;
        for (size_t i = 0; i < wave->n; i++) {
            struct res_node *node = wave->nodes[i];
            if (!node->reached)
                res_list_add(r->a, seen, node);
            node->reached = true;
            for (size_t k = 0; k < node->auth_n; k++)
                if (state_res_graph_add_bits(r, node->auth[k], node->in_chain_of))
                    state_res_graph_enqueue(r, &next, node->auth[k]);
        }
        struct res_list done = *wave;
        *wave = next;
        next = done;
        next.n = 0;
    }
}

static bool in_every_chain(const struct res *r, const struct res_node *node)
{
    size_t bits = 0;
    for (size_t w = 0; w < r->words; w++)
        bits += (size_t)__builtin_popcountll(node->in_chain_of[w]);
    return bits == r->sets_n;
}

/* Starts with the state that all sets share, so that most of the graph is visited once. */
static void walk_chains(struct res *r, struct res_list *seen)
{
    struct res_list wave = {0};
    uint64_t *bits = arena_alloc_array(r->a, r->words, sizeof *bits);
    for (size_t i = 0; i < r->sets_n; i++)
        bits[i / 64] |= UINT64_C(1) << (i % 64);
    for (struct res_slot *slot = r->first_slot; slot; slot = slot->next) {
        if (!slot->unconflicted)
            continue;
        struct res_node *node = res_node_of(r, slot->agreed_id);
        if (state_res_graph_add_bits(r, node, bits))
            state_res_graph_enqueue(r, &wave, node);
    }
    spread(r, &wave, seen);
    for (size_t i = 0; i < r->sets_n; i++) {
        memset(bits, 0, r->words * sizeof *bits);
        bits[i / 64] = UINT64_C(1) << (i % 64);
        for (size_t k = 0; k < r->sets[i].n; k++) {
            struct res_node *node = res_node_of(r, r->sets[i].entries[k].event_id);
            if (state_res_graph_add_bits(r, node, bits))
                state_res_graph_enqueue(r, &wave, node);
        }
    }
    spread(r, &wave, seen);
    for (size_t i = 0; i < seen->n; i++)
        seen->nodes[i]->reached = false;
}

static void add_to_full(struct res *r, struct res_list *full, struct res_node *node)
{
    if (node->full || !node->e || !node->e->state_key)
        return;
    node->full = true;
    res_list_add(r->a, full, node);
}

static void state_res_graph_add_ids(struct res *r, struct res_list *full, const char *const *ids,
                                    size_t n)
{
    if (n && r->source->prefetch)
        r->source->prefetch(r->source->ctx, ids, n);
    for (size_t i = 0; i < n; i++)
        add_to_full(r, full, res_node_of(r, ids[i]));
}

/* rooms/v2, "Auth difference". The events of a set count as part of its chain, as in every deployed
 * server: agreed state is not replayed, and it wins in the last step anyway. */
const struct err *res_add_auth_difference(struct res *r, struct res_list *full)
{
    if (r->source->auth_difference) {
        const char *const *ids;
        size_t n;
        TRY(r->source->auth_difference(r->source->ctx, r->a, r->sets, r->sets_n, &ids, &n));
        state_res_graph_add_ids(r, full, ids, n);
        return NULL;
    }
    struct res_list seen = {0};
    walk_chains(r, &seen);
    for (size_t i = 0; i < seen.n; i++)
        if (!in_every_chain(r, seen.nodes[i]))
            add_to_full(r, full, seen.nodes[i]);
    return NULL;
}

/* All events in the chains of conflicted events, these themselves first. */
static void walk_from_conflicted(struct res *r, struct res_list *reached)
{
    for (size_t i = 0; i < r->conflicted.n; i++) {
        r->conflicted.nodes[i]->reached = true;
        res_list_add(r->a, reached, r->conflicted.nodes[i]);
    }
    for (size_t done = 0; done < reached->n;) {
        size_t end = reached->n;
        res_expand(r, reached->nodes + done, end - done);
        for (; done < end; done++) {
            struct res_node *node = reached->nodes[done];
            for (size_t k = 0; k < node->auth_n; k++) {
                if (node->auth[k]->reached)
                    continue;
                node->auth[k]->reached = true;
                res_list_add(r->a, reached, node->auth[k]);
            }
        }
    }
}

/* rooms/v12, "Conflicted state subgraph": an event between two conflicted ones is reached from one
 * of them, and by walking back from the other. */
static void walk_subgraph(struct res *r, struct res_list *full)
{
    struct res_list reached = {0}, back = {0};
    walk_from_conflicted(r, &reached);
    /* cited_by[start[i] .. start[i + 1]]: the reached nodes that cite node i */
    size_t *start = arena_alloc_array(r->a, reached.n + 2, sizeof *start), edges = 0;
    for (size_t i = 0; i < reached.n; i++)
        reached.nodes[i]->index = i;
    for (size_t i = 0; i < reached.n; i++) {
        edges += reached.nodes[i]->auth_n;
        for (size_t k = 0; k < reached.nodes[i]->auth_n; k++)
            start[reached.nodes[i]->auth[k]->index + 2]++;
    }
    for (size_t i = 2; i < reached.n + 2; i++)
        start[i] += start[i - 1];
    struct res_node **cited_by = arena_alloc_array(r->a, edges, sizeof *cited_by);
    for (size_t i = 0; i < reached.n; i++)
        for (size_t k = 0; k < reached.nodes[i]->auth_n; k++)
            cited_by[start[reached.nodes[i]->auth[k]->index + 1]++] = reached.nodes[i];

    for (size_t i = 0; i < r->conflicted.n; i++)
        state_res_graph_enqueue(r, &back, r->conflicted.nodes[i]);
    for (size_t done = 0; done < back.n; done++) {
        struct res_node *node = back.nodes[done];
        add_to_full(r, full, node);
        for (size_t k = start[node->index]; k < start[node->index + 1]; k++)
            state_res_graph_enqueue(r, &back, cited_by[k]);
    }
}

const struct err *res_add_conflicted_subgraph(struct res *r, struct res_list *full)
{
    if (!r->source->conflicted_subgraph) {
        walk_subgraph(r, full);
        return NULL;
    }
    const char **conflicted = arena_alloc_array(r->a, r->conflicted.n, sizeof *conflicted);
    const char *const *ids;
    size_t n;
    for (size_t i = 0; i < r->conflicted.n; i++)
        conflicted[i] = r->conflicted.nodes[i]->id;
    TRY(r->source->conflicted_subgraph(r->source->ctx, r->a, conflicted, r->conflicted.n, &ids,
                                       &n));
    state_res_graph_add_ids(r, full, ids, n);
    return NULL;
}

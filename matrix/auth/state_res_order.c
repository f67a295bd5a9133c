/* The two orders in which state resolution v2 replays events. */
#include "matrix/auth/state_res_internal.h"

static int by_time_and_id(const struct res_node *a, const struct res_node *b)
{
    if (a->e->origin_server_ts != b->e->origin_server_ts)
        return a->e->origin_server_ts < b->e->origin_server_ts ? -1 : 1;
    return strcmp(a->id, b->id);
}

/* The events that a node cites, as a state. */
struct cited {
    struct auth_state state;
    struct res *r;
    const struct res_node *node;
};

static const struct event *find_cited(const struct auth_state *s, const char *type,
                                      const char *state_key)
{
    const struct cited *cited = s->ctx;
    for (size_t i = 0; i < cited->node->auth_n; i++)
        if (res_is(cited->node->auth[i], type, state_key))
            return cited->node->auth[i]->e;
    if (strcmp(type, "m.room.create") != 0)
        return NULL;
    const struct res_node *create = res_create_of(cited->r, cited->node->e);
    return create && res_is(create, type, state_key) ? create->e : NULL;
}

static int64_t sender_power(struct res *r, const struct res_node *node)
{
    struct cited cited = {.r = r, .node = node};
    cited.state = (struct auth_state){.get = find_cited, .ctx = &cited};
    return auth_power_of_user(&cited.state, r->v, node->e->sender);
}

/* rooms/v2, "Reverse topological power ordering": the comparison. */
static bool state_res_order_is_before(const struct res_node *a, const struct res_node *b)
{
    if (a->power != b->power)
        return a->power > b->power;
    return by_time_and_id(a, b) < 0;
}

/* A binary heap of the nodes without unsorted predecessors. */
static void heap_push(struct res_node **heap, size_t n, struct res_node *node)
{
    size_t at = n;
    for (; at && state_res_order_is_before(node, heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = node;
}

static struct res_node *heap_pop(struct res_node **heap, size_t n)
{
    struct res_node *first = heap[0], *last = heap[n - 1];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < n - 1; at = child) {
        if (child + 1 < n - 1 && state_res_order_is_before(heap[child + 1], heap[child]))
            child++;
        if (!state_res_order_is_before(heap[child], last))
            break;
        heap[at] = heap[child];
    }
    heap[at] = last;
    return first;
}

/* The reversed edges of the DAG to be sorted: which events must follow which. */
struct edges {
    size_t *start; /* of node i in `waiting`; n + 2 of them */
    struct res_node **waiting;
};

static struct edges reverse_edges(struct res *r, const struct res_list *list)
{
    size_t n = 0;
    struct edges edges = {.start = arena_alloc_array(r->a, list->n + 2, sizeof *edges.start)};
    for (size_t i = 0; i < list->n; i++) {
        struct res_node *node = list->nodes[i];
        node->waits_for = 0;
        for (size_t k = 0; k < node->auth_n; k++) {
            if (!node->auth[k]->picked)
                continue;
            node->waits_for++;
            edges.start[node->auth[k]->index + 2]++;
        }
        n += node->waits_for;
    }
    for (size_t i = 2; i < list->n + 2; i++)
        edges.start[i] += edges.start[i - 1];
    edges.waiting = arena_alloc_array(r->a, n, sizeof(struct res_node *));
    for (size_t i = 0; i < list->n; i++)
        for (size_t k = 0; k < list->nodes[i]->auth_n; k++)
            if (list->nodes[i]->auth[k]->picked)
                edges.waiting[edges.start[list->nodes[i]->auth[k]->index + 1]++] = list->nodes[i];
    return edges;
}

/* Kahn's algorithm. */
void res_order_by_power(struct res *r, struct res_list *list)
{
    res_expand(r, list->nodes, list->n);
    for (size_t i = 0; i < list->n; i++) {
        list->nodes[i]->picked = true;
        list->nodes[i]->index = i;
        list->nodes[i]->power = sender_power(r, list->nodes[i]);
    }
    struct edges edges = reverse_edges(r, list);
    struct res_node **heap = arena_alloc_array(r->a, list->n, sizeof *heap);
    size_t heap_n = 0, ordered_n = 0;
    struct res_node **ordered = arena_alloc_array(r->a, list->n, sizeof *ordered);
    for (size_t i = 0; i < list->n; i++)
        if (list->nodes[i]->waits_for == 0)
            heap_push(heap, heap_n++, list->nodes[i]);
    while (heap_n) {
        struct res_node *node = heap_pop(heap, heap_n--);
        ordered[ordered_n++] = node;
        for (size_t k = edges.start[node->index]; k < edges.start[node->index + 1]; k++)
            if (--edges.waiting[k]->waits_for == 0)
                heap_push(heap, heap_n++, edges.waiting[k]);
    }
    *list = (struct res_list){ordered, ordered_n, list->n};
}

/* The power-level event that an event cites, or NULL. */
static struct res_node *state_res_order_cited_power(struct res *r, struct res_node *node)
{
    res_expand(r, &node, 1);
    for (size_t i = 0; i < node->auth_n; i++)
        if (res_is(node->auth[i], "m.room.power_levels", ""))
            return node->auth[i];
    return NULL;
}

static void walk_mainline(struct res *r)
{
    const struct res_slot *slot = res_find_slot(r, "m.room.power_levels", "");
    struct res_node *node = slot && slot->id ? res_node_of(r, slot->id) : NULL;
    for (int64_t i = 0; node && node->mainline == MAINLINE_UNKNOWN; i++) {
        node->mainline = MAINLINE_KNOWN;
        node->position = i;
        node = state_res_order_cited_power(r, node);
    }
}

/* Where a chain of power-level events meets the mainline; INT64_MAX: nowhere. It is stored for
 * every node of the chain, so that no part of any chain is walked more than twice. */
static int64_t position_from(struct res *r, struct res_node *from)
{
    struct res_node *node = from;
    while (node && node->mainline == MAINLINE_UNKNOWN) {
        node->mainline = MAINLINE_VISITED;
        node = state_res_order_cited_power(r, node);
    }
    bool met = node && node->mainline == MAINLINE_KNOWN; /* else the end, or a cycle */
    int64_t position = met ? node->position : INT64_MAX;
    for (node = from; node && node->mainline == MAINLINE_VISITED;
         node = state_res_order_cited_power(r, node)) {
        node->mainline = MAINLINE_KNOWN;
        node->position = position;
    }
    return position;
}

/* The place in the order, except `position`, which belongs to the chains. */
struct placed {
    struct res_node *node;
    int64_t position;
};

static int by_mainline(const void *left, const void *right)
{
    const struct placed *a = left, *b = right;
    if (a->position != b->position)
        return a->position > b->position ? -1 : 1;
    return by_time_and_id(a->node, b->node);
}

/* The place of each from the source's own graph. */
static const struct err *ask_places(struct res *r, struct placed *placed, size_t n)
{
    const struct res_slot *slot = res_find_slot(r, "m.room.power_levels", "");
    const char **ids = arena_alloc_array(r->a, n, sizeof *ids);
    int64_t *positions = arena_alloc_array(r->a, n, sizeof *positions);
    size_t *of = arena_alloc_array(r->a, n, sizeof *of), ids_n = 0;
    for (size_t i = 0; i < n; i++) {
        struct res_node *power = state_res_order_cited_power(r, placed[i].node);
        placed[i].position = INT64_MAX;
        if (!power || !slot || !slot->id)
            continue;
        ids[ids_n] = power->id;
        of[ids_n++] = i;
    }
    if (ids_n)
        TRY(r->source->mainline(r->source->ctx, slot->id, ids, ids_n, positions));
    for (size_t i = 0; i < ids_n; i++)
        placed[of[i]].position = positions[i];
    return NULL;
}

/* rooms/v2, "Mainline ordering", based on the power levels that the slots have now. */
const struct err *res_order_by_mainline(struct res *r, struct res_list *list)
{
    res_expand(r, list->nodes, list->n);
    struct placed *placed = arena_alloc_array(r->a, list->n, sizeof *placed);
    for (size_t i = 0; i < list->n; i++)
        placed[i].node = list->nodes[i];
    if (r->source->mainline)
        TRY(ask_places(r, placed, list->n));
    else
        walk_mainline(r);
    for (size_t i = 0; i < list->n && !r->source->mainline; i++)
        placed[i].position = position_from(r, state_res_order_cited_power(r, list->nodes[i]));
    qsort(placed, list->n, sizeof *placed, by_mainline);
    for (size_t i = 0; i < list->n; i++)
        list->nodes[i] = placed[i].node;
    return NULL;
}

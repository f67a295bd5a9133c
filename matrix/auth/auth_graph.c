#include "matrix/auth/auth_graph.h"

#include "base/mem.h"

#include <assert.h>

enum { CHUNK_CITES = 8000 };

struct auth_chunk {
    struct auth_chunk *next;
    size_t n;
    uint32_t cites[CHUNK_CITES];
};

void auth_graph_init(struct auth_graph *g, uint32_t n)
{
    *g = (struct auth_graph){.n = n, .from = n + 1, .cap = n + 64};
    g->nodes = mem_check_(calloc(g->cap, sizeof *g->nodes));
    g->bytes = g->cap * sizeof *g->nodes;
}

void auth_graph_finish(struct auth_graph *g)
{
    while (g->chunks) {
        struct auth_chunk *next = g->chunks->next;
        free(g->chunks);
        g->chunks = next;
    }
    free(g->nodes);
    *g = (struct auth_graph){0};
}

static void set_node(struct auth_graph *g, uint32_t number, const uint32_t *cites, size_t n,
                     uint32_t power)
{
    struct auth_chunk *chunk = g->chunks;
    assert(n <= CHUNK_CITES);
    if (!chunk || chunk->n + n > CHUNK_CITES) {
        chunk = mem_alloc(sizeof *chunk);
        chunk->n = 0;
        chunk->next = g->chunks;
        g->chunks = chunk;
        g->bytes += sizeof *chunk;
    }
    struct auth_node *node = &g->nodes[number];
    node->cites = chunk->cites + chunk->n;
    node->cites_n = 0;
    for (size_t i = 0; i < n; i++)
        if (cites[i] > 0 && cites[i] < number) /* ignores nodes that would break the order */
            chunk->cites[chunk->n + node->cites_n++] = cites[i];
    chunk->n += node->cites_n;
    node->power = power < number ? power : 0;
}

uint32_t auth_graph_add(struct auth_graph *g, const uint32_t *cites, size_t cites_n, uint32_t power)
{
    uint32_t number = g->n + 1;
    if (number >= g->cap) {
        uint32_t cap = g->cap + g->cap / 2 + 64;
        g->nodes = mem_realloc_array(g->nodes, cap, sizeof *g->nodes);
        memset(g->nodes + g->cap, 0, (cap - g->cap) * sizeof *g->nodes);
        g->bytes += (cap - g->cap) * sizeof *g->nodes;
        g->cap = cap;
    }
    g->nodes[number] = (struct auth_node){0};
    set_node(g, number, cites, cites_n, power);
    g->n = number;
    return number;
}

void auth_graph_cut(struct auth_graph *g, uint32_t n)
{
    for (uint32_t node = g->n; node > n && g->chunks; node--) {
        const struct auth_node *last = &g->nodes[node];
        if (last->cites + last->cites_n == g->chunks->cites + g->chunks->n)
            g->chunks->n -= last->cites_n;
    }
    g->n = n;
    if (g->from > n + 1)
        g->from = n + 1;
}

void auth_graph_fill(struct auth_graph *g, const uint32_t *cites, size_t cites_n, uint32_t power)
{
    assert(g->from > 1);
    set_node(g, g->from - 1, cites, cites_n, power);
    g->from--;
}

static const struct err *auth_graph_need(struct auth_graph *g, uint32_t node)
{
    while (node < g->from) {
        uint32_t before = g->from;
        TRY(g->load(g, node));
        if (g->from == before)
            return err_internal("nodes of auth events below %u are missing", (unsigned)before);
    }
    return NULL;
}

struct list {
    uint32_t *nodes;
    size_t n, size;
};

static void auth_graph_list_add(struct arena *a, struct list *list, uint32_t node)
{
    if (list->n == list->size) {
        size_t size = list->size ? 2 * list->size : 64;
        uint32_t *nodes = arena_alloc_array(a, size, sizeof *nodes);
        if (list->n)
            memcpy(nodes, list->nodes, list->n * sizeof *nodes);
        list->nodes = nodes;
        list->size = size;
    }
    list->nodes[list->n++] = node;
}

/* ---- the auth difference ---- */

struct graph_walk {
    struct auth_graph *g;
    uint64_t *bits; /* by node, `words` each: the sets whose chains it is known to be in */
    uint64_t *all;
    size_t words;
    size_t open; /* nodes ahead that are in some chains, and perhaps not in all */
};

static bool is_in_all(const struct graph_walk *w, const uint64_t *bits)
{
    return memcmp(bits, w->all, w->words * sizeof *bits) == 0;
}

static bool is_in_none(const struct graph_walk *w, const uint64_t *bits)
{
    for (size_t i = 0; i < w->words; i++)
        if (bits[i])
            return false;
    return true;
}

static void auth_graph_add_bits(struct graph_walk *w, uint32_t to, const uint64_t *bits)
{
    uint64_t *has = w->bits + to * w->words;
    uint8_t flags = w->g->nodes[to].flags;
    bool was_none = is_in_none(w, has), was_all = is_in_all(w, has);
    if (flags & AUTH_NODE_CURRENT)
        return;
    for (size_t i = 0; i < w->words; i++)
        has[i] |= bits[i];
    if (flags & AUTH_NODE_CONFLICTED)
        return;
    if (was_none && !is_in_all(w, has))
        w->open++;
    else if (!was_none && !was_all && is_in_all(w, has))
        w->open--;
}

static void cite_all(struct graph_walk *w, uint32_t node, const uint64_t *bits)
{
    const struct auth_node *from = &w->g->nodes[node];
    for (size_t i = 0; i < from->cites_n; i++)
        auth_graph_add_bits(w, from->cites[i], bits);
}

/* Members propagate their sets at once, and again when the walk reaches them: so the walk need not
 * go down to members, often old ones, that no chain leads to. */
static const struct err *add_members(struct graph_walk *w, const struct auth_member *members,
                                     size_t n)
{
    for (size_t i = 0; i < n; i++)
        w->g->nodes[members[i].node].flags |= AUTH_NODE_CONFLICTED;
    for (size_t i = 0; i < n; i++)
        w->bits[members[i].node * w->words + members[i].set / 64] |= UINT64_C(1)
                                                                     << (members[i].set % 64);
    for (size_t i = 0; i < n; i++) {
        TRY(auth_graph_need(w->g, members[i].node));
        cite_all(w, members[i].node, w->bits + members[i].node * w->words);
    }
    return NULL;
}

/* From the newest node down, until all remaining nodes are in all chains or in none. */
static const struct err *walk_down(struct graph_walk *w, struct arena *a, struct list *ret)
{
    for (uint32_t node = w->g->n; node >= 1 && w->open; node--) {
        TRY(auth_graph_need(w->g, node));
        uint8_t flags = w->g->nodes[node].flags;
        const uint64_t *bits = flags & AUTH_NODE_CURRENT ? w->all : w->bits + node * w->words;
        if (is_in_none(w, bits))
            continue;
        if (!(flags & AUTH_NODE_CONFLICTED) && !is_in_all(w, bits)) {
            auth_graph_list_add(a, ret, node);
            w->open--;
        }
        cite_all(w, node, bits);
    }
    return NULL;
}

const struct err *auth_graph_difference(struct auth_graph *g, struct arena *a,
                                        const struct auth_member *members, size_t n, size_t sets_n,
                                        const uint32_t **ret, size_t *ret_n)
{
    struct list list = {0};
    struct graph_walk w = {.g = g, .words = (sets_n + 63) / 64};
    w.all = arena_alloc_array(a, w.words + 1, sizeof *w.all);
    for (size_t i = 0; i < sets_n; i++)
        w.all[i / 64] |= UINT64_C(1) << (i % 64);
    /* Most of a large graph is never touched, and then takes no memory. */
    w.bits = mem_check_(calloc((g->n + (size_t)1) * w.words + 1, sizeof *w.bits));
    const struct err *e = add_members(&w, members, n);
    if (!e)
        e = walk_down(&w, a, &list);
    for (size_t i = 0; i < n; i++)
        g->nodes[members[i].node].flags &= (uint8_t)~AUTH_NODE_CONFLICTED;
    free(w.bits);
    *ret = list.nodes;
    *ret_n = list.n;
    return e;
}

/* ---- paths between nodes ---- */

static const struct err *mark_reached(struct auth_graph *g, uint32_t lowest, uint32_t highest)
{
    for (uint32_t node = highest; node >= lowest; node--) {
        TRY(auth_graph_need(g, node));
        struct auth_node *from = &g->nodes[node];
        if (from->flags & (AUTH_NODE_CONFLICTED | AUTH_NODE_REACHED))
            for (size_t i = 0; i < from->cites_n; i++)
                if (from->cites[i] >= lowest)
                    g->nodes[from->cites[i]].flags |= AUTH_NODE_REACHED;
    }
    return NULL;
}

static void collect_reaching(struct auth_graph *g, struct arena *a, uint32_t lowest,
                             uint32_t highest, struct list *ret)
{
    for (uint32_t node = lowest; node <= highest; node++) {
        struct auth_node *from = &g->nodes[node];
        bool reaches = from->flags & AUTH_NODE_CONFLICTED;
        for (size_t i = 0; i < from->cites_n && !reaches; i++)
            reaches =
                from->cites[i] >= lowest && g->nodes[from->cites[i]].flags & AUTH_NODE_REACHES;
        if (!reaches)
            continue;
        from->flags |= AUTH_NODE_REACHES;
        if (from->flags & AUTH_NODE_REACHED && !(from->flags & AUTH_NODE_CONFLICTED))
            auth_graph_list_add(a, ret, node);
    }
}

const struct err *auth_graph_between(struct auth_graph *g, struct arena *a, const uint32_t *nodes,
                                     size_t n, const uint32_t **ret, size_t *ret_n)
{
    struct list list = {0};
    uint32_t lowest = UINT32_MAX, highest = 0;
    for (size_t i = 0; i < n; i++) {
        g->nodes[nodes[i]].flags |= AUTH_NODE_CONFLICTED;
        lowest = nodes[i] < lowest ? nodes[i] : lowest;
        highest = nodes[i] > highest ? nodes[i] : highest;
    }
    const struct err *e = n ? mark_reached(g, lowest, highest) : NULL;
    if (n && !e)
        collect_reaching(g, a, lowest, highest, &list);
    for (uint32_t node = lowest; n && node <= highest; node++)
        g->nodes[node].flags &=
            (uint8_t) ~(AUTH_NODE_CONFLICTED | AUTH_NODE_REACHED | AUTH_NODE_REACHES);
    *ret = list.nodes;
    *ret_n = list.n;
    return e;
}

/* ---- the mainline ---- */

struct mainline {
    struct auth_graph *g;
    int64_t *place; /* by node: 1 more than the position; 0: not known; PLACE_NOWHERE */
    uint32_t next;  /* the mainline's next node to be placed */
    int64_t placed_n;
};
#define PLACE_NOWHERE (-1)

static const struct err *auth_graph_cited_power(struct auth_graph *g, uint32_t node, uint32_t *ret)
{
    TRY(auth_graph_need(g, node));
    *ret = g->nodes[node].power;
    return NULL;
}

/* Walks the mainline as far down as this node. */
static const struct err *place_mainline(struct mainline *m, uint32_t down_to)
{
    while (m->next && m->next >= down_to) {
        m->place[m->next] = ++m->placed_n;
        TRY(auth_graph_cited_power(m->g, m->next, &m->next));
    }
    return NULL;
}

/* Stores for every node of the chain where it meets the mainline: no part is walked again. */
static const struct err *place_chain(struct mainline *m, uint32_t from)
{
    uint32_t node = from;
    while (node) {
        TRY(place_mainline(m, node));
        if (m->place[node])
            break;
        TRY(auth_graph_cited_power(m->g, node, &node));
    }
    int64_t place = node ? m->place[node] : PLACE_NOWHERE;
    for (node = from; node && !m->place[node];) {
        m->place[node] = place;
        TRY(auth_graph_cited_power(m->g, node, &node));
    }
    return NULL;
}

const struct err *auth_graph_mainline(struct auth_graph *g, struct arena *a, uint32_t power,
                                      const uint32_t *nodes, size_t n, int64_t *ret)
{
    struct mainline m = {.g = g, .next = power};
    const struct err *e = NULL;
    m.place = mem_check_(calloc(g->n + (size_t)1, sizeof *m.place));
    for (size_t i = 0; i < n && !e; i++) {
        e = nodes[i] ? place_chain(&m, nodes[i]) : NULL;
        int64_t place = nodes[i] ? m.place[nodes[i]] : PLACE_NOWHERE;
        ret[i] = place > 0 ? place - 1 : INT64_MAX;
    }
    free(m.place);
    return e;
}

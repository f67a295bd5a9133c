/* The walks over graphs of auth events, of any shape, against their definitions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "matrix/auth/auth_graph.h"

#include <string.h>

enum { NODES_MAX = 60, CITES_MAX = 4, SETS_MAX = 70, ROUNDS = 3000 };

struct shape {
    struct auth_graph graph; /* first: load gets it */
    uint32_t n;
    uint32_t cites[NODES_MAX + 1][CITES_MAX], cites_n[NODES_MAX + 1], power[NODES_MAX + 1];
    bool leads[NODES_MAX + 1][NODES_MAX + 1]; /* from, to; each to itself */
    bool current[NODES_MAX + 1];
    uint32_t loaded_n;
};

static uint32_t random_state = 12345;

static uint32_t draw(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % below;
}

static const struct err *load(struct auth_graph *g, uint32_t node)
{
    struct shape *s = (struct shape *)g;
    for (uint32_t i = 0; i < 4 && g->from > 1; i++) {
        uint32_t at = g->from - 1;
        auth_graph_fill(g, s->cites[at], s->cites_n[at], s->power[at]);
        s->loaded_n++;
    }
    return NULL;
}

static void draw_node(struct shape *s, uint32_t node)
{
    s->leads[node][node] = true;
    uint32_t near = draw(2) ? 6 : NODES_MAX; /* chains, or any shape */
    for (uint32_t i = draw(CITES_MAX + 1); i > 0 && node > 1; i--) {
        uint32_t back = 1 + draw(node - 1 < near ? node - 1 : near);
        uint32_t cited = node - back;
        s->cites[node][s->cites_n[node]++] = cited;
        if (draw(2))
            s->power[node] = cited;
        for (uint32_t to = 1; to <= cited; to++)
            s->leads[node][to] = s->leads[node][to] || s->leads[cited][to];
    }
}

static void draw_shape(struct shape *s)
{
    *s = (struct shape){.n = 1 + draw(NODES_MAX)};
    for (uint32_t node = 1; node <= s->n; node++)
        draw_node(s, node);
    uint32_t later = draw(s->n + 1);
    auth_graph_init(&s->graph, s->n - later);
    s->graph.load = load;
    for (uint32_t node = 1; node <= s->n - later; node++)
        if ((s->current[node] = draw(8) == 0))
            s->graph.nodes[node].flags |= AUTH_NODE_CURRENT;
    for (uint32_t node = s->n - later + 1; node <= s->n; node++)
        assert_int_equal(
            auth_graph_add(&s->graph, s->cites[node], s->cites_n[node], s->power[node]), node);
    if (draw(2)) { /* temporary nodes leave nothing behind */
        auth_graph_add(&s->graph, s->cites[s->n], s->cites_n[s->n], 1);
        auth_graph_cut(&s->graph, s->n);
    }
}

static size_t times(const uint32_t *nodes, size_t n, uint32_t node)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += nodes[i] == node;
    return found;
}

static void check_difference(struct shape *s, struct arena *a)
{
    bool chains[SETS_MAX][NODES_MAX + 1] = {{false}};
    bool is_member[NODES_MAX + 1] = {false};
    struct auth_member members[SETS_MAX];
    size_t sets_n = draw(10) ? 2 + draw(2) : SETS_MAX, members_n = 0;
    for (size_t i = draw(12); i > 0; i--) {
        uint32_t node = 1 + draw(s->n);
        if (s->current[node])
            continue;
        members[members_n++] = (struct auth_member){node, draw((uint32_t)sets_n)};
        is_member[node] = true;
    }
    for (size_t set = 0; set < sets_n; set++)
        for (uint32_t to = 1; to <= s->n; to++) {
            for (uint32_t from = 1; from <= s->n; from++)
                chains[set][to] |= s->current[from] && s->leads[from][to];
            for (size_t i = 0; i < members_n; i++)
                chains[set][to] |= members[i].set == set && s->leads[members[i].node][to];
        }
    const uint32_t *nodes;
    size_t n;
    assert_null(auth_graph_difference(&s->graph, a, members, members_n, sets_n, &nodes, &n));
    for (uint32_t node = 1; node <= s->n; node++) {
        size_t in = 0;
        for (size_t set = 0; set < sets_n; set++)
            in += chains[set][node];
        assert_int_equal(times(nodes, n, node), in > 0 && in < sets_n && !is_member[node]);
    }
}

static void check_between(struct shape *s, struct arena *a)
{
    uint32_t conflicted[8];
    const uint32_t *nodes;
    size_t conflicted_n = draw(8), n;
    for (size_t i = 0; i < conflicted_n; i++)
        conflicted[i] = 1 + draw(s->n);
    assert_null(auth_graph_between(&s->graph, a, conflicted, conflicted_n, &nodes, &n));
    for (uint32_t node = 1; node <= s->n; node++) {
        bool from = false, to = false;
        for (size_t i = 0; i < conflicted_n; i++) {
            from |= s->leads[conflicted[i]][node];
            to |= s->leads[node][conflicted[i]];
        }
        assert_int_equal(times(nodes, n, node),
                         from && to && !times(conflicted, conflicted_n, node));
    }
}

static int64_t place_of(const struct shape *s, uint32_t power, uint32_t node)
{
    for (; node; node = s->power[node]) {
        int64_t place = 0;
        for (uint32_t main = power; main; main = s->power[main], place++)
            if (main == node)
                return place;
    }
    return INT64_MAX;
}

static void check_mainline(struct shape *s, struct arena *a)
{
    uint32_t nodes[10], power = 1 + draw(s->n);
    int64_t places[10];
    for (size_t i = 0; i < 10; i++)
        nodes[i] = draw(s->n + 1);
    assert_null(auth_graph_mainline(&s->graph, a, power, nodes, 10, places));
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(places[i], place_of(s, power, nodes[i]));
}

static void walks_match_their_definition(void **state)
{
    for (int i = 0; i < ROUNDS; i++) {
        arena_auto struct arena *a = arena_create();
        struct shape s;
        draw_shape(&s);
        for (int k = 0; k < 3; k++) { /* a walk leaves nothing for the next */
            check_difference(&s, a);
            check_between(&s, a);
            check_mainline(&s, a);
        }
        auth_graph_finish(&s.graph);
    }
}

/* A chain below the point where two sets have met is not walked. */
static void common_chains_are_not_walked(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct shape s = {.n = NODES_MAX};
    const uint32_t *nodes;
    size_t n;
    for (uint32_t node = 2; node <= s.n; node++) {
        s.cites[node][0] = node - 1;
        s.cites_n[node] = 1;
    }
    s.cites[s.n][0] = s.n - 2; /* two ends on one chain */
    auth_graph_init(&s.graph, s.n);
    s.graph.load = load;
    const struct auth_member ends[] = {{s.n, 0}, {s.n - 1, 1}};
    assert_null(auth_graph_difference(&s.graph, a, ends, 2, 2, &nodes, &n));
    assert_int_equal(n, 0);
    assert_in_range(s.loaded_n, 2, 4);
    auth_graph_finish(&s.graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_match_their_definition),
        cmocka_unit_test(common_chains_are_not_walked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

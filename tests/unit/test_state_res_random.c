/* State resolution of random histories on three forks: every order of the input gives the same
 * outcome, which is a sane state. And of many conflicts at once, in acceptable time. */
#include "random_draw.h"
#include "state_maker.h"

#include "base/clock.h"
#include "matrix/auth/auth_graph.h"

enum { FORKS = 3, STEPS = 14, SEEDS = 100, ENTRIES_MAX = 64 };

struct fork {
    struct state_maker *m;
    struct state_entry entries[ENTRIES_MAX];
    size_t n;
    struct auth_state state;
    struct buf auth; /* of the event being made */
};

static struct state_entry *find_entry(struct fork *f, const char *type, const char *key)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->entries[i].type, type) == 0 && strcmp(f->entries[i].state_key, key) == 0)
            return &f->entries[i];
    return NULL;
}

static const struct event *event_of(struct state_maker *m, const char *id)
{
    return ((struct held *)map_get(&m->events, str_of(id)))->e;
}

static const struct event *state_of_fork(const struct auth_state *s, const char *type,
                                         const char *key)
{
    struct fork *f = s->ctx;
    const struct state_entry *entry = find_entry(f, type, key);
    return entry ? event_of(f->m, entry->event_id) : NULL;
}

static void put_entry(struct fork *f, const struct event *e)
{
    struct state_entry *entry = find_entry(f, e->type, e->state_key);
    if (!entry) {
        assert_true(f->n < ENTRIES_MAX);
        entry = &f->entries[f->n++];
    }
    *entry = (struct state_entry){e->type, e->state_key, e->event_id};
}

static void cite(void *ctx, const char *type, const char *key)
{
    struct fork *f = ctx;
    const struct state_entry *entry = find_entry(f, type, key);
    if (entry)
        buf_printf(&f->auth, "%s%s", f->auth.n ? " " : "", entry->event_id + 1);
}

static const char *const users[] = {"@alice:a", "@bob:b", "@carol:c", "@dave:d", "@erin:e"};
static const char *const memberships[] = {"join", "leave", "ban", "invite"};
static const char *const rules[] = {"public", "invite", "knock"};

/* A random action of a user, allowed or not. */
static struct state_event draw_event(struct state_maker *m)
{
    const char *sender = users[draw(5)], *target = users[draw(5)];
    struct state_event e = {.sender = sender, .key = ""};
    switch (draw(6)) {
    case 0:
        e.type = "m.room.power_levels";
        e.content = arena_printf(m->a,
                                 "{'users':{'@alice:a':100,'@bob:b':%u,'@carol:c':%u,"
                                 "'@dave:d':%u}}",
                                 draw(3) * 50, draw(3) * 50, draw(3) * 50);
        break;
    case 1:
        e.type = "m.room.join_rules";
        e.content = arena_printf(m->a, "{'join_rule':'%s'}", rules[draw(3)]);
        break;
    case 2:
        e.type = draw(2) ? "m.room.topic" : "m.room.name";
        e.content = "{}";
        break;
    default:
        e.type = "m.room.member";
        e.key = draw(2) ? sender : target;
        e.content = arena_printf(m->a, "{'membership':'%s'}", memberships[draw(4)]);
    }
    return e;
}

/* Lets the user do it on this fork, if the state there allows it. */
static void try_event(struct fork *f, struct state_event e, size_t number)
{
    struct state_maker *m = f->m;
    json_auto_t *content = json_loads(json_of(m->a, e.content), 0, NULL);
    buf_clear(&f->auth);
    auth_events_for(m->v, e.type, e.sender, e.key, content, cite, f);
    e.auth = f->auth.n ? arena_strdup(m->a, f->auth.p) : "";
    e.name = arena_printf(m->a, "e%zu", number);
    e.ts = 10 + draw(8);
    e.depth = 10 + draw(8);
    struct state_event *kept = arena_alloc(m->a, sizeof *kept);
    *kept = e;
    add_event(m, kept);
    const struct event *event = event_of(m, arena_printf(m->a, "$%s", e.name));
    if (auth_check(event, &f->state) == NULL)
        put_entry(f, event);
}

static int by_key(const void *left, const void *right)
{
    const struct state_entry *a = left, *b = right;
    int types = strcmp(a->type, b->type);
    return types ? types : strcmp(a->state_key, b->state_key);
}

static char *tell(struct state_maker *m, const struct state_set *set)
{
    struct state_entry *sorted = (void *)arena_memdup(m->a, set->entries, set->n * sizeof *sorted);
    qsort(sorted, set->n, sizeof *sorted, by_key);
    buf_auto struct buf b = {0};
    for (size_t i = 0; i < set->n; i++) {
        const struct event *e = event_of(m, sorted[i].event_id);
        assert_string_equal(e->type, sorted[i].type);
        assert_string_equal(e->state_key, sorted[i].state_key);
        assert_true(i == 0 || by_key(&sorted[i - 1], &sorted[i]) < 0);
        buf_printf(&b, "%s %s %s\n", sorted[i].type, sorted[i].state_key, sorted[i].event_id);
    }
    return arena_strdup(m->a, b.p);
}

static void check_agreed_is_kept(const struct fork *forks, const struct state_set *outcome)
{
    for (size_t i = 0; i < forks[0].n; i++) {
        const struct state_entry *entry = &forks[0].entries[i];
        bool agreed = true;
        for (size_t k = 1; k < FORKS; k++)
            agreed = agreed &&
                     set_has(&(struct state_set){forks[k].entries, forks[k].n}, entry->event_id);
        assert_true(!agreed || set_has(outcome, entry->event_id));
    }
}

/* ---- with a caller's graph of auth events ---- */

/* All events by number, each after those that it cites, and a graph that loads them on demand. */
struct keeper {
    struct auth_graph graph; /* first: load gets it */
    struct state_maker *m;
    const struct event **events; /* events[n - 1] is node n */
    struct map numbers;          /* event id -> address in `events` */
    const struct fork *forks;
};

static uint32_t number_of(struct keeper *k, const char *id)
{
    const struct event **at = map_get(&k->numbers, str_of(id));
    return at ? (uint32_t)(at - k->events + 1) : 0;
}

static uint32_t cites_of(struct keeper *k, uint32_t node, uint32_t *cites, uint32_t *ret_power)
{
    const struct event *e = k->events[node - 1];
    uint32_t n = 0;
    *ret_power = 0;
    for (size_t i = 0; i < e->auth_n; i++) {
        uint32_t cited = number_of(k, e->auth_events[i]);
        if (!cited)
            continue;
        cites[n++] = cited;
        if (!*ret_power && strcmp(k->events[cited - 1]->type, "m.room.power_levels") == 0)
            *ret_power = cited;
    }
    return n;
}

static const struct err *load_some(struct auth_graph *g, uint32_t node)
{
    struct keeper *k = (struct keeper *)g;
    uint32_t cites[EVENT_AUTH_MAX], power;
    for (int i = 0; i < 3 && g->from > 1; i++) {
        uint32_t n = cites_of(k, g->from - 1, cites, &power);
        auth_graph_fill(g, cites, n, power);
    }
    return NULL;
}

static void keeper_init(struct keeper *k, struct state_maker *m, const struct fork *forks, size_t n)
{
    *k = (struct keeper){.m = m, .forks = forks};
    k->events = arena_alloc_array(m->a, n + BASE_EVENTS, sizeof *k->events);
    uint32_t cites[EVENT_AUTH_MAX], power, nodes = 0;
    for (size_t i = 0; i < n + BASE_EVENTS; i++) {
        const char *id = i < BASE_EVENTS ? arena_printf(m->a, "$%s", base_events[i].name)
                                         : arena_printf(m->a, "$e%zu", i - BASE_EVENTS);
        k->events[nodes++] = event_of(m, id);
        map_put(&k->numbers, str_of(k->events[nodes - 1]->event_id), &k->events[nodes - 1]);
    }
    uint32_t added_later = nodes > 20 ? 5 : 0;
    auth_graph_init(&k->graph, nodes - added_later);
    k->graph.load = load_some;
    for (uint32_t node = nodes - added_later + 1; node <= nodes; node++) {
        uint32_t cites_n = cites_of(k, node, cites, &power);
        assert_int_equal(auth_graph_add(&k->graph, cites, cites_n, power), node);
    }
}

static void ids_of_nodes(struct keeper *k, const uint32_t *nodes, size_t n,
                         const char *const **ret_ids)
{
    const char **ids = arena_alloc_array(k->m->a, n + 1, sizeof *ids);
    for (size_t i = 0; i < n; i++)
        ids[i] = k->events[nodes[i] - 1]->event_id;
    *ret_ids = ids;
}

static const char *agreed_by_all(void *ctx, const char *type, const char *key)
{
    struct keeper *k = ctx;
    const char *id = NULL;
    for (size_t i = 0; i < FORKS; i++) {
        const struct state_entry *entry = find_entry((struct fork *)&k->forks[i], type, key);
        if (!entry || (id && strcmp(id, entry->event_id) != 0))
            return NULL;
        id = entry->event_id;
    }
    return id;
}

static const struct err *difference_of(void *ctx, struct arena *a, const struct state_set *sets,
                                       size_t n, const char *const **ret_ids, size_t *ret_n)
{
    struct keeper *k = ctx;
    struct auth_member members[FORKS * ENTRIES_MAX];
    size_t members_n = 0;
    const uint32_t *nodes;
    for (uint32_t node = 1; node <= k->graph.n; node++)
        k->graph.nodes[node].flags = 0;
    for (size_t i = 0; i < k->forks[0].n; i++) {
        const struct state_entry *entry = &k->forks[0].entries[i];
        if (agreed_by_all(k, entry->type, entry->state_key))
            k->graph.nodes[number_of(k, entry->event_id)].flags = AUTH_NODE_CURRENT;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t e = 0; e < sets[i].n; e++)
            members[members_n++] =
                (struct auth_member){number_of(k, sets[i].entries[e].event_id), (uint32_t)i};
    TRY(auth_graph_difference(&k->graph, a, members, members_n, n, &nodes, ret_n));
    ids_of_nodes(k, nodes, *ret_n, ret_ids);
    return NULL;
}

static const struct err *subgraph_of(void *ctx, struct arena *a, const char *const *ids, size_t n,
                                     const char *const **ret_ids, size_t *ret_n)
{
    struct keeper *k = ctx;
    uint32_t conflicted[FORKS * ENTRIES_MAX];
    const uint32_t *nodes;
    for (size_t i = 0; i < n; i++)
        conflicted[i] = number_of(k, ids[i]);
    TRY(auth_graph_between(&k->graph, a, conflicted, n, &nodes, ret_n));
    ids_of_nodes(k, nodes, *ret_n, ret_ids);
    return NULL;
}

static const struct err *mainline_of(void *ctx, const char *power_id, const char *const *ids,
                                     size_t n, int64_t *ret)
{
    struct keeper *k = ctx;
    uint32_t *nodes = arena_alloc_array(k->m->a, n, sizeof *nodes);
    for (size_t i = 0; i < n; i++)
        nodes[i] = number_of(k, ids[i]);
    return auth_graph_mainline(&k->graph, k->m->a, number_of(k, power_id), nodes, n, ret);
}

static const struct event *get_kept(void *ctx, const char *event_id, bool *ret_rejected)
{
    struct keeper *k = ctx;
    const struct held *held = map_get(&k->m->events, str_of(event_id));
    *ret_rejected = held && held->from->rejected;
    return held ? held->e : NULL;
}

/* The outcome by the graph, with sets that leave out the common state. */
static const char *resolve_by_graph(struct state_maker *m, const struct fork *forks,
                                    size_t events_n)
{
    struct keeper k;
    struct state_set sets[FORKS], outcome;
    keeper_init(&k, m, forks, events_n);
    const struct state_res_source source = {.get_event = get_kept,
                                            .auth_difference = difference_of,
                                            .conflicted_subgraph = subgraph_of,
                                            .mainline = mainline_of,
                                            .agreed = agreed_by_all,
                                            .ctx = &k};
    for (size_t i = 0; i < FORKS; i++) {
        struct state_entry *entries = arena_alloc_array(m->a, ENTRIES_MAX, sizeof *entries);
        size_t n = 0;
        for (size_t e = 0; e < forks[i].n; e++)
            if (!agreed_by_all(&k, forks[i].entries[e].type, forks[i].entries[e].state_key))
                entries[n++] = forks[i].entries[e];
        sets[i] = (struct state_set){entries, n};
    }
    assert_null(state_resolve(m->a, m->v, &source, sets, FORKS, &outcome));
    struct state_entry *whole = arena_alloc_array(m->a, 2 * ENTRIES_MAX, sizeof *whole);
    size_t n = 0;
    for (size_t i = 0; i < outcome.n; i++)
        if (!agreed_by_all(&k, outcome.entries[i].type, outcome.entries[i].state_key))
            whole[n++] = outcome.entries[i];
    for (size_t e = 0; e < forks[0].n; e++)
        if (agreed_by_all(&k, forks[0].entries[e].type, forks[0].entries[e].state_key))
            whole[n++] = forks[0].entries[e];
    auth_graph_finish(&k.graph);
    map_finish(&k.numbers);
    return tell(m, &(struct state_set){whole, n});
}

static void check_history(const struct room_version *v, uint32_t seed)
{
    arena_auto struct arena *a = arena_create();
    struct state_maker m;
    struct fork forks[FORKS] = {0};
    random_state = seed;
    state_maker_init(&m, a, v);
    for (size_t k = 0; k < FORKS; k++) {
        forks[k].m = &m;
        forks[k].state = (struct auth_state){.get = state_of_fork, .ctx = &forks[k]};
        for (size_t i = 0; i < BASE_EVENTS; i++)
            put_entry(&forks[k], event_of(&m, arena_printf(a, "$%s", base_events[i].name)));
    }
    size_t number = 0;
    for (size_t i = 0; i < STEPS; i++)
        for (size_t k = 0; k < FORKS; k++)
            try_event(&forks[k], draw_event(&m), number++);

    static const int orders[6][FORKS] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    const char *first = NULL;
    for (size_t o = 0; o < 6; o++) {
        struct state_set sets[FORKS], outcome;
        for (size_t k = 0; k < FORKS; k++)
            sets[k] = (struct state_set){forks[orders[o][k]].entries, forks[orders[o][k]].n};
        assert_null(resolve(&m, sets, FORKS, &outcome));
        const char *received = tell(&m, &outcome);
        check_agreed_is_kept(forks, &outcome);
        if (first && strcmp(first, received) != 0)
            fail_msg("v%s, seed %u: the order of the sets matters:\n%s\n%s", v->id, seed, first,
                     received);
        first = received;
    }
    const char *by_graph = resolve_by_graph(&m, forks, number);
    if (strcmp(first, by_graph) != 0)
        fail_msg("v%s, seed %u: by the graph it is another state:\n%s\n%s", v->id, seed, first,
                 by_graph);
    for (size_t k = 0; k < FORKS; k++)
        buf_finish(&forks[k].auth);
    state_maker_finish(&m);
}

static void test_random_histories(void **state)
{
    for (uint32_t seed = 1; seed <= SEEDS; seed++)
        for (const struct room_version *v = room_versions; v->id; v++)
            check_history(v, seed * 2654435761u);
}

/* All users have changed their profile on both forks, so often that their member events are
 * chains. */
static void check_crowd(const struct room_version *v, size_t users_n, size_t chain)
{
    arena_auto struct arena *a = arena_create();
    struct state_maker m;
    state_maker_init(&m, a, v);
    struct state_entry *entries[2];
    struct state_event *events = arena_alloc_array(a, 2 * chain * users_n, sizeof *events), *e;
    size_t n = 0;
    for (size_t k = 0; k < 2; k++)
        entries[k] = arena_alloc_array(a, users_n + 4, sizeof *entries[k]);
    for (size_t u = 0; u < users_n; u++) {
        const char *user = arena_printf(a, "@u%zu:x", u);
        for (size_t i = 0; i < 2 * chain; i++) {
            e = &events[n++];
            *e = (struct state_event){arena_printf(a, "m%zu-%zu", u, i),
                                      "m.room.member",
                                      user,
                                      user,
                                      JOINED,
                                      i < 2 ? "create p0 r0"
                                            : arena_printf(a, "create p0 r0 m%zu-%zu", u, i - 2),
                                      (int64_t)(10 + i),
                                      (int64_t)(10 + i),
                                      0,
                                      0};
            add_event(&m, e);
            if (i >= 2 * chain - 2)
                entries[i % 2][u] =
                    (struct state_entry){"m.room.member", user, arena_printf(a, "$%s", e->name)};
        }
    }
    struct state_set sets[2], outcome;
    for (size_t k = 0; k < 2; k++) {
        struct state_set base = make_set(&m, "create ja p0 r0", false);
        memcpy(entries[k] + users_n, base.entries, base.n * sizeof *base.entries);
        sets[k] = (struct state_set){entries[k], users_n + base.n};
    }
    int64_t start = mono_ms();
    assert_null(resolve(&m, sets, 2, &outcome));
    int64_t took = mono_ms() - start;
    print_message("v%s: %zu conflicted events resolved in %lld ms\n", v->id, 2 * users_n,
                  (long long)took);
    assert_int_equal(outcome.n, users_n + 4);
    for (size_t i = 0; i < outcome.n; i++) /* the later of the two forks' events */
        if (strcmp(outcome.entries[i].type, "m.room.member") == 0 &&
            outcome.entries[i].state_key[1] == 'u')
            assert_non_null(
                strstr(outcome.entries[i].event_id, arena_printf(a, "-%zu", 2 * chain - 1)));
    assert_true(took < 20000);
    state_maker_finish(&m);
}

static void test_crowd(void **state)
{
    check_crowd(room_version_find("1"), 5000, 1);
    check_crowd(room_version_find("11"), 5000, 3);
    check_crowd(room_version_find("12"), 5000, 3);
}

/* A very long chain of power levels, by a hostile server: no recursion, no quadratic time. */
static void test_long_chain(void **state)
{
    enum { LENGTH = 20000 };
    static const char *const versions[] = {"2", "12"};
    for (size_t k = 0; k < 2; k++) {
        arena_auto struct arena *a = arena_create();
        struct state_maker m;
        state_maker_init(&m, a, room_version_find(versions[k]));
        struct state_event *events = arena_alloc_array(a, LENGTH, sizeof *events);
        const char *last = "p0";
        for (size_t i = 0; i < LENGTH; i++) {
            events[i] = (struct state_event){arena_printf(a, "p-%zu", i),
                                             "m.room.power_levels",
                                             "@alice:a",
                                             "",
                                             POWER_0,
                                             arena_printf(a, "create ja %s", last),
                                             (int64_t)(10 + i),
                                             (int64_t)(10 + i),
                                             0,
                                             0};
            add_event(&m, &events[i]);
            last = events[i].name;
        }
        struct state_set sets[2] = {
            make_set(&m, "create ja p0 r0 jb", false),
            make_set(&m, arena_printf(a, "create ja %s r0 jb", last), false),
        };
        struct state_set outcome;
        assert_null(resolve(&m, sets, 2, &outcome));
        assert_int_equal(outcome.n, 5);
        assert_true(set_has(&outcome, arena_printf(a, "$%s", last)));
        state_maker_finish(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_histories),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_long_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

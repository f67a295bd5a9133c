/* State resolution of forks, in every version and in every order of the input. */
#include "state_maker.h"

/* `expect` lists "version:outcome" up to the next '|', each from that version up to the next. An
 * outcome is written as its difference from the base: "-jb" for a base event that is gone, then the
 * other events in the order of the scenario. */
struct scenario {
    const char *name, *expect;
    struct state_event events[12];
    const char *sets[4];
};

#define MEMBER(user) "m.room.member", user, user
#define BASE "create ja p0 r0 jb jc jd "
#define BANNED "{'membership':'ban'}"
#define LEFT "{'membership':'leave'}"
#define TOPIC(text) "{'topic':'" text "'}"
#define BY_ALICE "create p0 ja"
#define BY_BOB "create p0 jb"

static const struct scenario scenarios[] = {
    {"sets that agree", "1:", {{0}}, {BASE, BASE, BASE}},
    {"one set", "1:", {{0}}, {BASE}},
    {"the later of two topics wins, in v1 the deeper",
     "1:t1|2:t2",
     {{"t1", "m.room.topic", "@bob:b", "", TOPIC("1"), BY_BOB, 10, 11, 0, 0},
      {"t2", "m.room.topic", "@alice:a", "", TOPIC("2"), BY_ALICE, 11, 10, 0, 0}},
     {BASE "t1", BASE "t2"}},
    /* sha1("$tc") is 3d4b..., sha1("$td") 9212... */
    {"of topics at the same time the greater id wins, in v1 at one depth the lesser SHA-1",
     "1:tc|2:td",
     {{"tc", "m.room.topic", "@bob:b", "", TOPIC("1"), BY_BOB, 10, 10, 0, 0},
      {"td", "m.room.topic", "@alice:a", "", TOPIC("2"), BY_ALICE, 10, 10, 0, 0}},
     {BASE "tc", BASE "td"}},
    {"of three topics the last wins",
     "1:t3",
     {{"t1", "m.room.topic", "@bob:b", "", TOPIC("1"), BY_BOB, 10, 10, 0, 0},
      {"t2", "m.room.topic", "@alice:a", "", TOPIC("2"), BY_ALICE, 11, 11, 0, 0},
      {"t3", "m.room.topic", "@bob:b", "", TOPIC("3"), BY_BOB, 12, 12, 0, 0}},
     {BASE "t1", BASE "t2", BASE "t3"}},
    {"an event of one set only is kept if it is allowed, in v1 always",
     "1:t1 t2|2:t1",
     {{"t1", "m.room.topic", "@bob:b", "", TOPIC("1"), BY_BOB, 10, 10, 0, 0},
      {"t2", "m.room.name", "@carol:c", "", TOPIC("2"), "create p0 jc", 11, 11, 0, 0}},
     {BASE "t1", BASE "t2"}},
    {"a ban undoes the banned user's concurrent events",
     "1:t0 ban -jb|2:t0 ban -jb",
     {{"t0", "m.room.topic", "@alice:a", "", TOPIC("0"), BY_ALICE, 9, 9, 0, 0},
      {"t1", "m.room.topic", "@bob:b", "", TOPIC("1"), BY_BOB, 12, 12, 0, 0},
      {"ban", "m.room.member", "@alice:a", "@bob:b", BANNED, "create p0 ja jb", 11, 11, 0, 0}},
     {"create ja p0 r0 jc jd ban t0", BASE "t1"}},
    {"a banned user cannot come back from before the ban",
     "1:ban -jb|2:ban -jb",
     {{"ban", "m.room.member", "@alice:a", "@bob:b", BANNED, "create p0 ja jb", 11, 11, 0, 0},
      {"again", MEMBER("@bob:b"), JOINED, "create p0 r0 jb", 12, 12, 0, 0}},
     {"create ja p0 r0 jc jd ban", "create ja p0 r0 jc jd again"}},
    {"of two who ban each other the more powerful stays",
     "1:|2:ban1 -jb",
     {{"ban1", "m.room.member", "@alice:a", "@bob:b", BANNED, "create p0 ja jb", 11, 10, 0, 0},
      {"ban2", "m.room.member", "@bob:b", "@alice:a", BANNED, "create p0 ja jb", 10, 11, 0, 0}},
     {"create ja p0 r0 jc jd ban1", "create p0 r0 jb jc jd ban2"}},
    {"a demotion beats a ban by the demoted",
     "1:p1 -p0|2:p1 -p0",
     {{"p1", "m.room.power_levels", "@alice:a", "", "{'users':{'@alice:a':100}}", BY_ALICE, 11, 11,
       0, 0},
      {"ban", "m.room.member", "@bob:b", "@carol:c", BANNED, "create p0 jb jc", 10, 10, 0, 0}},
     {"create ja r0 jb jc jd p1", "create ja p0 r0 jb jd ban"}},
    {"a demotion beats power levels by the demoted",
     "1:p1 -p0|2:p1 -p0",
     {{"p1", "m.room.power_levels", "@alice:a", "", "{'users':{'@alice:a':100}}", BY_ALICE, 11, 10,
       0, 0},
      {"p2", "m.room.power_levels", "@bob:b", "",
       "{'users':{'@alice:a':100,'@bob:b':50,'@carol:c':50}}", BY_BOB, 10, 11, 0, 0}},
     {"create ja r0 jb jc jd p1", "create ja r0 jb jc jd p2"}},
    {"closing the room beats a join by the old rule",
     "1:r1 je -r0|2:r1 -r0",
     {{"r1", "m.room.join_rules", "@alice:a", "", "{'join_rule':'invite'}", BY_ALICE, 11, 11, 0, 0},
      {"je", MEMBER("@erin:e"), JOINED, "create p0 r0", 10, 10, 0, 0}},
     {"create ja p0 jb jc jd r1", BASE "je"}},
    {"topics follow the power levels that they cite, not the clock",
     "1:p1 t1 -p0|2:p1 t2 -p0",
     {{"p1", "m.room.power_levels", "@alice:a", "",
       "{'users':{'@alice:a':100,'@bob:b':50,'@carol:c':50}}", BY_ALICE, 10, 10, 0, 0},
      {"t1", "m.room.topic", "@bob:b", "", TOPIC("late clock"), BY_BOB, 99, 99, 0, 0},
      {"t2", "m.room.topic", "@carol:c", "", TOPIC("early clock"), "create p1 jc", 1, 12, 0, 0}},
     {BASE "t1", "create ja r0 jb jc jd p1 t2"}},
    {"an admin who was away changes state that others did not",
     "1:p1 t1 kick -p0 -jd|2:p1 t1 kick -p0 -jd",
     {{"p1", "m.room.power_levels", "@alice:a", "", "{'users':{'@alice:a':100,'@bob:b':60}}",
       BY_ALICE, 10, 10, 0, 0},
      {"t1", "m.room.topic", "@bob:b", "", TOPIC("1"), BY_BOB, 20, 20, 0, 0},
      {"kick", "m.room.member", "@bob:b", "@dave:d", LEFT, "create p0 jb jd", 19, 19, 0, 0}},
     {"create ja r0 jb jc jd p1", "create ja p0 r0 jb jc kick t1"}},
    {"state that two forks reached on the same way is kept",
     "1:p2 -p0|2:p2 -p0",
     {{"p1", "m.room.power_levels", "@alice:a", "", "{'users':{'@alice:a':100,'@bob:b':100}}",
       BY_ALICE, 10, 10, 0, 0},
      {"p2", "m.room.power_levels", "@bob:b", "",
       "{'users':{'@alice:a':100,'@bob:b':100,'@carol:c':100}}", "create p1 jb", 11, 11, 0, 0}},
     {"create ja r0 jb jc jd p1", "create ja r0 jb jc jd p2"}},
    {"a kick through a chain of power levels that only one fork has",
     "1:|2:p2 kick -p0 -jd",
     {{"p1", "m.room.power_levels", "@alice:a", "", "{'users':{'@alice:a':100,'@bob:b':100}}",
       BY_ALICE, 10, 10, 0, 0},
      {"p2", "m.room.power_levels", "@bob:b", "",
       "{'users':{'@alice:a':100,'@bob:b':100,'@carol:c':50}}", "create p1 jb", 11, 11, 0, 0},
      {"kick", "m.room.member", "@carol:c", "@dave:d", LEFT, "create p2 jc jd", 12, 12, 0, 0}},
     {BASE, "create ja p2 r0 jb jc kick"}},
    {"rejected events are replayed as others are",
     "2:p1 t1 -p0",
     {{"p1", "m.room.power_levels", "@alice:a", "",
       "{'users':{'@alice:a':100,'@bob:b':50,'@carol:c':50}}", BY_ALICE, 10, 10, true, 0},
      {"t1", "m.room.topic", "@carol:c", "", TOPIC("1"), "create p1 jc", 11, 11, 0, 0}},
     {"create ja r0 jb jc jd", "create ja r0 jb jc jd t1"}},
    {"rejected auth events authorise nothing",
     "2:n t0 -p0",
     {{"p1", "m.room.power_levels", "@alice:a", "",
       "{'users':{'@alice:a':100,'@bob:b':50,'@carol:c':50}}", BY_ALICE, 10, 10, true, 0},
      {"n", "m.room.name", "@alice:a", "", "{}", "create p1 ja", 11, 11, 0, 0},
      {"t0", "m.room.topic", "@alice:a", "", TOPIC("0"), "create p1 ja", 12, 12, 0, 0},
      {"t1", "m.room.topic", "@carol:c", "", TOPIC("1"), "create p1 jc", 13, 13, 0, 0}},
     {"create ja r0 jb jc jd n t0", "create ja r0 jb jc jd n t1"}},
    {"auth events that were not rejected do",
     "2:n t1 -p0",
     {{"p1", "m.room.power_levels", "@alice:a", "",
       "{'users':{'@alice:a':100,'@bob:b':50,'@carol:c':50}}", BY_ALICE, 10, 10, 0, 0},
      {"n", "m.room.name", "@alice:a", "", "{}", "create p1 ja", 11, 11, 0, 0},
      {"t0", "m.room.topic", "@alice:a", "", TOPIC("0"), "create p1 ja", 12, 12, 0, 0},
      {"t1", "m.room.topic", "@carol:c", "", TOPIC("1"), "create p1 jc", 13, 13, 0, 0}},
     {"create ja r0 jb jc jd n t0", "create ja r0 jb jc jd n t1"}},
    {"missing events are passed over",
     "1:t2",
     {{"t1", "m.room.topic", "@bob:b", "", TOPIC("1"), BY_BOB, 10, 12, 0, true},
      {"t2", "m.room.topic", "@alice:a", "", TOPIC("2"), "create p0 ja", 11, 11, 0, 0},
      {"t3", "m.room.topic", "@dave:d", "", TOPIC("3"), "gone", 12, 10, 0, 0},
      {"gone", "m.room.power_levels", "@alice:a", "", "{}", "", 1, 1, 0, true}},
     {BASE "t1", BASE "t2", BASE "t3"}},
    {"events that cite each other in a circle",
     "2:t1",
     {{"c1", "m.room.power_levels", "@alice:a", "", POWER_0, "create ja c2", 10, 10, 0, 0},
      {"c2", "m.room.power_levels", "@alice:a", "", POWER_0, "create ja c3", 11, 10, 0, 0},
      {"c3", "m.room.power_levels", "@alice:a", "", POWER_0, "create ja c1", 12, 10, 0, 0},
      {"t0", "m.room.topic", "@bob:b", "", TOPIC("0"), "create jb c2", 9, 10, 0, 0},
      {"t1", "m.room.topic", "@bob:b", "", TOPIC("1"), "create jb c1", 13, 10, 0, 0}},
     {BASE "t0", BASE "t1"}},
    {"a set that lacks nearly everything", "1:|2:", {{0}}, {BASE, "create"}},
    {"an empty set", "1:|2:", {{0}}, {BASE, ""}},
    /* rooms/v1: power levels after a refused one are not considered */
    {"v1 stops at the first power levels that are refused",
     "1:p1 -p0|2:skip",
     {{"p1", "m.room.power_levels", "@alice:a", "", "{'users':{'@alice:a':100}}", BY_ALICE, 10, 10,
       0, 0},
      {"p2", "m.room.power_levels", "@bob:b", "", POWER_0, BY_BOB, 11, 11, 0, 0},
      {"p3", "m.room.power_levels", "@alice:a", "", "{'users':{'@alice:a':100,'@dave:d':1}}",
       BY_ALICE, 12, 12, 0, 0}},
     {"create ja r0 jb jc jd p1", "create ja r0 jb jc jd p2", "create ja r0 jb jc jd p3"}},
    /* MSC4297, problem A: one fork has an outdated join rule, both know that its sender left */
    {"join rules are not lost with their sender (v2.1)",
     "1:left -ja|2:left -ja -r0|12:r1 left -ja -r0",
     {{"r1", "m.room.join_rules", "@alice:a", "", "{'join_rule':'invite'}", BY_ALICE, 10, 10, 0, 0},
      {"left", MEMBER("@alice:a"), LEFT, "create p0 ja", 11, 11, 0, 0}},
     {"create left p0 r1 jb jc jd", "create left p0 r0 jb jc jd"}},
    /* MSC4297, problem B: one fork has outdated power levels, both know the newest by a topic */
    {"power levels are not reset by a fork that has old ones (v2.1)",
     "1:t1|2:t1|12:p2 t1 -p0",
     {{"p1", "m.room.power_levels", "@alice:a", "", "{'users':{'@alice:a':100,'@bob:b':100}}",
       BY_ALICE, 10, 10, 0, 0},
      {"p2", "m.room.power_levels", "@bob:b", "",
       "{'users':{'@alice:a':100,'@bob:b':100,'@carol:c':100}}", "create p1 jb", 11, 11, 0, 0},
      {"t1", "m.room.topic", "@carol:c", "", TOPIC("1"), "create p2 jc", 12, 12, 0, 0}},
     {"create ja p2 r0 jb jc jd t1", BASE "t1"}},
};

static void find_outcome(const struct scenario *s, int version, char ret[128])
{
    for (const char *p = s->expect; *p; p += strspn(p, "|")) {
        size_t n = strcspn(p, "|"), colon = strcspn(p, ":");
        if (atoi(p) <= version)
            snprintf(ret, 128, "%.*s", (int)(n - colon - 1), p + colon + 1);
        p += n;
    }
}

static char *describe_outcome(struct state_maker *m, const struct scenario *s,
                              const struct state_set *outcome)
{
    buf_auto struct buf b = {0};
    buf_add_text(&b, "");
    size_t received = 0;
    for (size_t i = 0; s->events[i].name; i++)
        if (set_has(outcome, arena_printf(m->a, "$%s", s->events[i].name)))
            buf_printf(&b, "%s%s", received++ ? " " : "", s->events[i].name);
    for (size_t i = 0; i < BASE_EVENTS; i++) {
        if (!set_has(outcome, arena_printf(m->a, "$%s", base_events[i].name)))
            buf_printf(&b, "%s-%s", b.n ? " " : "", base_events[i].name);
        else
            received++;
    }
    assert_int_equal(received, outcome->n); /* nothing else, nothing twice */
    return arena_strdup(m->a, b.p ? b.p : "");
}

/* The union less the intersection of the chains, computed in the simplest way. */
static void add_chain(struct state_maker *m, struct map *chain, const char *id)
{
    struct held *held = map_get(&m->events, str_of(id));
    if (map_get(chain, str_of(id)))
        return;
    map_put(chain, held ? str_of(held->e->event_id) : str_of(id), m);
    for (size_t i = 0; held && !held->from->missing && i < held->e->auth_n; i++)
        add_chain(m, chain, held->e->auth_events[i]);
}

static const struct err *difference_by_force(void *ctx, struct arena *a,
                                             const struct state_set *sets, size_t n,
                                             const char *const **ret_ids, size_t *ret_n)
{
    struct state_maker *m = ctx;
    struct map *chains = arena_alloc_array(a, n, sizeof *chains), all = {0};
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < sets[i].n; k++) {
            add_chain(m, &chains[i], sets[i].entries[k].event_id);
            add_chain(m, &all, sets[i].entries[k].event_id);
        }
    }
    const char **ids = arena_alloc_array(a, all.n, sizeof *ids);
    *ret_n = 0;
    for (struct map_slot *s = NULL; (s = map_next(&all, s));) {
        bool in_all = true;
        for (size_t i = 0; i < n; i++)
            in_all = in_all && map_get(&chains[i], s->key);
        if (!in_all)
            ids[(*ret_n)++] = s->key.p;
    }
    for (size_t i = 0; i < n; i++)
        map_finish(&chains[i]);
    map_finish(&all);
    *ret_ids = ids;
    return NULL;
}

/* Resolves one order of the sets, in both orders of their entries, with and without an auth
 * difference given by the source. */
static void check_order(const struct scenario *s, const struct room_version *v, const size_t *order,
                        size_t n, const char *expected)
{
    for (int variant = 0; variant < 4; variant++) {
        arena_auto struct arena *a = arena_create();
        struct state_maker m;
        state_maker_init(&m, a, v);
        for (size_t i = 0; s->events[i].name; i++)
            add_event(&m, &s->events[i]);
        struct state_set sets[4], outcome;
        for (size_t i = 0; i < n; i++)
            sets[i] = make_set(&m, s->sets[order[i]], variant & 1);
        if (variant & 2)
            m.source.auth_difference = difference_by_force;
        assert_null(resolve(&m, sets, n, &outcome));
        const char *got = describe_outcome(&m, s, &outcome);
        if (strcmp(got, expected) != 0)
            fail_msg("%s: in v%s \"%s\", not \"%s\" (variant %d)", s->name, v->id, got, expected,
                     variant);
        state_maker_finish(&m);
    }
}

/* Every order of the sets, by Heap's algorithm. */
static void check_orders(const struct scenario *s, const struct room_version *v, size_t *order,
                         size_t n, size_t k, const char *expected)
{
    if (k <= 1) {
        check_order(s, v, order, n, expected);
        return;
    }
    for (size_t i = 0; i < k; i++) {
        check_orders(s, v, order, n, k - 1, expected);
        size_t other = k % 2 ? 0 : i, swap = order[other];
        order[other] = order[k - 1];
        order[k - 1] = swap;
    }
}

static void run_scenario(void **state)
{
    const struct scenario *s = *state;
    size_t n = 0;
    while (n < 4 && s->sets[n])
        n++;
    for (const struct room_version *v = room_versions; v->id; v++) {
        char expected[128] = "skip";
        size_t order[4] = {0, 1, 2, 3};
        find_outcome(s, v->number, expected);
        if (strcmp(expected, "skip") != 0)
            check_orders(s, v, order, n, n, expected);
    }
}

int main(void)
{
    enum { SCENARIOS = sizeof scenarios / sizeof *scenarios };
    struct CMUnitTest tests[SCENARIOS] = {0};
    for (size_t i = 0; i < SCENARIOS; i++)
        tests[i] = (struct CMUnitTest){.name = scenarios[i].name,
                                       .test_func = run_scenario,
                                       .initial_state = (void *)&scenarios[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

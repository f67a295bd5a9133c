/* Another server's branches pile up as forward extremities: the cost of each further event stays
 * bounded, and one of our users merges them. */
#include "node_with_alice.h"
#include "remote_events.h"

#define BOB "@bob:remote.example"
enum { MANY = 200, AT_ONCE = 50, STATEMENTS = 10 };

struct scene {
    struct scope s;
    struct job *job;
    const char *room_id;
    const struct room_version *v;
    const char *create, *power, *rules, *bob, *base;
    int64_t depth;
};

static const struct event *by_bob(struct scene *c, const char *type, const char *key,
                                  const char *content, const char *prev)
{
    struct wanted w = {
        .type = type, .sender = BOB, .state_key = key, .content = content, .prev = {prev}};
    size_t n = 0;
    if (!c->v->room_id_is_create_hash)
        w.auth[n++] = c->create;
    w.auth[n++] = c->power;
    w.auth[n++] = c->bob ? c->bob : c->rules;
    w.depth = ++c->depth;
    return remote_event(c->job, c->v, c->room_id, &w);
}

static const struct event *branch(struct scene *c, int number)
{
    return by_bob(c, "m.room.message", NULL,
                  arena_printf(c->job->arena, "{\"body\":\"%d\"}", number), c->base);
}

static void open_scene(struct scene *c, const char *version)
{
    *c = (struct scene){.v = room_version_find(version)};
    scope_init(&c->s, node_store());
    c->job = &c->s.job;
    c->room_id = create_public_room(c->job, &alice, version);
    c->create = state_id(c->job, c->room_id, "m.room.create", "");
    c->power = state_id(c->job, c->room_id, "m.room.power_levels", "");
    c->rules = state_id(c->job, c->room_id, "m.room.join_rules", "");
    c->depth = 100;
    const char *head = arena_strdup(c->job->arena, room_named(c->job, c->room_id)->extremities[0]);
    const struct event *join = by_bob(c, "m.room.member", BOB, "{\"membership\":\"join\"}", head);
    assert_int_equal(accept_one(c->job, c->room_id, join).verdict, VERDICT_ACCEPTED);
    c->bob = c->base = join->event_id;
}

static size_t extremities(struct scene *c)
{
    return room_named(c->job, c->room_id)->extremities_n;
}

/* Accepts events as from transactions. */
static void take_branches(struct scene *c, int n)
{
    for (int from = 0; from < n; from += AT_ONCE) {
        struct incoming in[AT_ONCE];
        struct accept_outcome out[AT_ONCE];
        for (int i = 0; i < AT_ONCE; i++)
            in[i] = (struct incoming){.event = branch(c, from + i)};
        NO_ERR(room_accept_unless_large(c->job, room_named(c->job, c->room_id), in, AT_ONCE, out));
        for (int i = 0; i < AT_ONCE; i++)
            assert_int_equal(out[i].verdict, VERDICT_ACCEPTED);
    }
}

/* The statements of this job, without those of others. */
static int64_t statements_of_one_more(struct scene *c, const struct event *e)
{
    int64_t before = c->job->tx.statements;
    assert_int_equal(accept_one(c->job, c->room_id, e).verdict, VERDICT_ACCEPTED);
    return c->job->tx.statements - before;
}

static int64_t statements_of_sending(struct scene *c)
{
    const char *id;
    int64_t before = c->job->tx.statements;
    NO_ERR(send_text(c->job, c->room_id, &alice, "hi", &id));
    return c->job->tx.statements - before;
}

static const char *versions[] = {"2", "10", "12"};
#define EACH_VERSION(v)                                                                            \
    for (size_t v##_i = 0; v##_i < sizeof versions / sizeof *versions; v##_i++)                    \
        for (const char *v = versions[v##_i]; v; v = NULL)

static void many_branches_are_brought_together(void **state)
{
    EACH_VERSION(v)
    {
        struct scene c;
        open_scene(&c, v);
        take_branches(&c, MANY);
        assert_in_range(extremities(&c), 1, EVENT_PREV_MAX);
        assert_in_range(statements_of_one_more(&c, branch(&c, MANY)), 1, STATEMENTS);
        assert_in_range(statements_of_sending(&c), 0, STATEMENTS);
        assert_in_range(extremities(&c), 1, 2);
        scope_finish(&c.s);
    }
}

/* An event can cite so many: no dummy is needed. */
static void some_branches_are_left_alone(void **state)
{
    struct scene c;
    open_scene(&c, "12");
    for (int i = 0; i < EVENT_PREV_MAX; i++)
        assert_int_equal(accept_one(c.job, c.room_id, branch(&c, i)).verdict, VERDICT_ACCEPTED);
    assert_int_equal(extremities(&c), EVENT_PREV_MAX);
    const struct event *one_more = branch(&c, EVENT_PREV_MAX);
    assert_int_equal(accept_one(c.job, c.room_id, one_more).verdict, VERDICT_ACCEPTED);
    assert_int_equal(extremities(&c), 2);
    scope_finish(&c.s);
}

/* Where none of our users may send, events still cost no statement for each extremity. */
static void rooms_where_we_may_not_send(void **state)
{
    EACH_VERSION(v)
    {
        struct scene c;
        const char *id;
        open_scene(&c, v);
        struct new_event power = {
            .type = "m.room.power_levels",
            .state_key = "",
            .content = c.v->privileged_creators
                           ? STR("{\"users\":{\"" BOB "\":100}}")
                           : STR("{\"users\":{\"@alice:test.example\":50,\"" BOB
                                 "\":100},\"events\":{\"org.matrix.dummy_event\":100}}")};
        NO_ERR(room_append(c.job, room_named(c.job, c.room_id), &alice, &power, 1, &id));
        if (c.v->privileged_creators) /* with infinite power: she leaves */
            NO_ERR(set_membership(c.job, c.room_id, &alice, "leave"));
        c.power = arena_strdup(c.job->arena, id);
        c.base = arena_strdup(c.job->arena, room_named(c.job, c.room_id)->extremities[0]);
        take_branches(&c, MANY);
        assert_in_range(extremities(&c), MANY, MANY + 1);
        assert_in_range(statements_of_one_more(&c, branch(&c, MANY)), 1, STATEMENTS);
        if (!c.v->privileged_creators) {
            assert_in_range(statements_of_sending(&c), 0, STATEMENTS);
            assert_in_range(extremities(&c), MANY - EVENT_PREV_MAX, MANY);
        }
        scope_finish(&c.s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_branches_are_brought_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(some_branches_are_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rooms_where_we_may_not_send, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Forks whose branches differ much: the cost grows with the difference, and does not delay others.
 */
#include "node_with_alice.h"
#include "remote_events.h"

#include "base/clock.h"
#include "federation/in/inbound_internal.h"
#include "federation/keyed_lock.h"
#include "rooms/accept/outliers.h"
#include "rooms/state/state_at.h"
#include "storage/rooms/room_state.h"

#define BOB "@bob:remote.example"
enum { MANY = 1200, FEW = 20, STATEMENTS = 20 };

/* A room of ours that bob has joined, and two branches in which the same users have other names. */
struct scene {
    struct scope s;
    struct job *job;
    const char *room_id;
    const struct room_version *v;
    const char *create, *power, *rules, *bob, *base;
    const char *prev[2]; /* of each branch */
    const char **state[2];
    size_t state_n[2];
    int64_t depth;
};

static const struct event *by(struct scene *c, const char *user, const char *type, const char *key,
                              const char *content, const char *prev)
{
    struct wanted w = {.type = type, .sender = user, .state_key = key, .content = content};
    size_t n = 0;
    if (!c->v->room_id_is_create_hash)
        w.auth[n++] = c->create;
    w.auth[n++] = c->power;
    w.auth[n++] = key ? c->rules : c->bob;
    w.prev[0] = prev;
    w.depth = ++c->depth;
    return remote_event(c->job, c->v, c->room_id, &w);
}

static void add_current_state(struct scene *c)
{
    const struct stored_event *now;
    size_t n;
    NO_ERR(room_state_list(job_tx(c->job), room_named(c->job, c->room_id)->id, VALID_FOREVER - 1,
                           STATE_ALL, &now, &n));
    for (int b = 0; b < 2; b++) {
        c->state[b] = arena_alloc_array(c->job->arena, n + MANY, sizeof **c->state);
        for (size_t i = 0; i < n; i++)
            c->state[b][c->state_n[b]++] = now[i].event->event_id;
    }
}

static void make_branches(struct scene *c, size_t members)
{
    struct arena *a = c->job->arena;
    const struct event **received = arena_alloc_array(a, 2 * members, sizeof *received);
    size_t n = 0;
    add_current_state(c);
    for (int b = 0; b < 2; b++)
        for (size_t i = 0; i < members; i++) {
            const char *user = arena_printf(a, "@u%zu:remote.example", i);
            received[n] =
                by(c, user, "m.room.member", user,
                   arena_printf(a, "{\"displayname\":\"%d\",\"membership\":\"join\"}", b), c->base);
            c->state[b][c->state_n[b]++] = received[n++]->event_id;
        }
    NO_ERR(outliers_store(c->job, room_named(c->job, c->room_id), received, n, NULL, NULL));
}

static const struct event *message(struct scene *c, int branch)
{
    const struct event *e =
        by(c, BOB, "m.room.message", NULL, "{\"body\":\"hi\"}", c->prev[branch]);
    c->prev[branch] = e->event_id;
    return e;
}

typedef const struct err *accept_function(struct job *job, struct room *room,
                                          const struct incoming *events, size_t n,
                                          struct accept_outcome *ret);

static struct accept_outcome accept_by(struct scene *c, accept_function *accept, struct incoming in)
{
    struct accept_outcome out;
    NO_ERR(accept(c->job, room_named(c->job, c->room_id), &in, 1, &out));
    return out;
}

static void begin_branch(struct scene *c, accept_function *accept, int branch, bool *ret_left)
{
    struct incoming in = {
        .event = message(c, branch), .state_ids = c->state[branch], .state_n = c->state_n[branch]};
    struct accept_outcome out = accept_by(c, accept, in);
    *ret_left = out.is_large;
    if (out.is_large)
        out = accept_by(c, room_accept, in);
    assert_int_equal(out.verdict, VERDICT_ACCEPTED);
}

static void open_scene(struct scene *c, const char *version)
{
    *c = (struct scene){.v = room_version_find(version), .depth = 100};
    scope_init(&c->s, node_store());
    c->job = &c->s.job;
    c->room_id = create_public_room(c->job, &alice, version);
    c->create = state_id(c->job, c->room_id, "m.room.create", "");
    c->power = state_id(c->job, c->room_id, "m.room.power_levels", "");
    c->rules = state_id(c->job, c->room_id, "m.room.join_rules", "");
    const struct event *join =
        by(c, BOB, "m.room.member", BOB, "{\"membership\":\"join\"}",
           arena_strdup(c->job->arena, room_named(c->job, c->room_id)->extremities[0]));
    assert_int_equal(accept_one(c->job, c->room_id, join).verdict, VERDICT_ACCEPTED);
    c->bob = c->base = c->prev[0] = c->prev[1] = join->event_id;
}

/* Statements of this test's job, without those of others. */
static int64_t statements(const struct scene *c)
{
    return c->job->tx.statements;
}

static void check_large(const char *version)
{
    struct scene c;
    bool left;
    open_scene(&c, version);
    make_branches(&c, MANY);
    begin_branch(&c, room_accept_unless_large, 0, &left);
    assert_true(left);
    begin_branch(&c, room_accept_unless_large, 1, &left);
    assert_true(left);
    for (int i = 0; i < 4; i++) {
        struct incoming in = {.event = message(&c, i % 2)};
        int64_t before = statements(&c);
        struct accept_outcome out = accept_by(&c, room_accept_unless_large, in);
        assert_int_equal(out.verdict, VERDICT_MISSING);
        assert_true(out.is_large);
        assert_in_range(statements(&c) - before, 0, 4); /* its branches were not read */
        before = statements(&c);
        assert_int_equal(accept_by(&c, room_accept, in).verdict, VERDICT_ACCEPTED);
        assert_in_range(statements(&c) - before, 1, STATEMENTS);
    }
    scope_finish(&c.s);
}

static void large_conflicts_are_left_for_later(void **state)
{
    check_large("10");
    check_large("12");
}

static void small_conflicts_are_not(void **state)
{
    struct scene c;
    bool left;
    open_scene(&c, "10");
    make_branches(&c, FEW);
    begin_branch(&c, room_accept_unless_large, 0, &left);
    assert_false(left);
    begin_branch(&c, room_accept_unless_large, 1, &left);
    assert_false(left);
    for (int i = 0; i < 4; i++) {
        struct incoming in = {.event = message(&c, i % 2)};
        assert_int_equal(accept_by(&c, room_accept_unless_large, in).verdict, VERDICT_ACCEPTED);
    }
    scope_finish(&c.s);
}

/* Events of a request wait for their turn or are refused for now; other requests go on. */
static void large_conflicts_run_one_at_a_time(void **state)
{
    struct scene c;
    struct accept_outcome out;
    bool left;
    NO_ERR(federation_create(node_store()));
    struct keyed_lock *locks = node_store()->federation->inbound->large;
    open_scene(&c, "12");
    make_branches(&c, MANY);
    begin_branch(&c, room_accept_unless_large, 0, &left);
    begin_branch(&c, room_accept_unless_large, 1, &left);
    struct incoming in = {.event = message(&c, 0)};
    struct room *room = room_named(c.job, c.room_id);
    assert_true(keyed_lock_take(locks, LARGE_KEY, "", mono_ms()));
    const struct err *e = inbound_accept(c.job, room, &in, 0, &out);
    assert_true(e && e->code == ERR_LIMIT_EXCEEDED && e->retry_after_ms > 0);
    const char *id;
    NO_ERR(send_text(c.job, c.room_id, &alice, "meanwhile", &id));
    keyed_lock_release(locks, LARGE_KEY);
    NO_ERR(inbound_accept(c.job, room_named(c.job, c.room_id), &in, 0, &out));
    assert_int_equal(out.verdict, VERDICT_ACCEPTED);
    assert_false(keyed_lock_is_taken(locks, LARGE_KEY));
    scope_finish(&c.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(large_conflicts_are_left_for_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(small_conflicts_are_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_conflicts_run_one_at_a_time, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

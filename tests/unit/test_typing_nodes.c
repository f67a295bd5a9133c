/* Typing on two nodes of one process and one database: what a node writes to the log. */
#include "node_fixture.h"

#include "base/clock.h"
#include "check.h"
#include "users/typing.h"
#include "waiting.h"

enum { FIRST, SECOND, ROOM = 5, ALICE = 1 };

static struct scope on[NODES_MAX];

static void set_others(bool has)
{
    for (int i = 0; i < NODES_MAX; i++)
        committer_view(node_numbered(i)->storage->committer)->has_others = has;
}

static int set_up(void **state)
{
    node_begin();
    node_run(SECOND);
    set_others(true);
    for (int i = 0; i < NODES_MAX; i++)
        scope_init(&on[i], node_numbered(i));
    return 0;
}

static int tear_down(void **state)
{
    for (int i = 0; i < NODES_MAX; i++)
        scope_finish(&on[i]);
    node_end();
    return 0;
}

/* An empty write reads the head of the log, and publishes what the other node has written. */
static void catch_up(int number)
{
    NO_ERR(write_commit(&on[number].job, write_begin(&on[number].job), NULL));
}

/* How many changes were written for it. */
static int64_t set(int number, int timeout_ms)
{
    int64_t before = log_head_position(node_store());
    NO_ERR(typing_set(&on[number].job, ROOM, ALICE, "@alice:test.example", timeout_ms));
    int64_t written = log_head_position(node_store()) - before;
    catch_up(FIRST);
    catch_up(SECOND);
    return written;
}

static bool types_on(int number)
{
    const char *const *users;
    size_t n;
    typing_list(node_numbered(number)->users->typing, on[number].arena, ROOM, NULL, &users, &n);
    return n == 1;
}

struct call {
    const char *why;
    int after_ms, on, timeout_ms, written;
};

static void only_what_others_must_know_is_written(void **state)
{
    static const struct call calls[] = {
        {"a user who does not type stops", 0, FIRST, 0, 0},
        {"starts", 0, FIRST, 30000, 1},
        {"types on: the end moves, and some more", 5000, FIRST, 30000, 1},
        {"types on within that", 5000, FIRST, 30000, 0},
        {"on the other node", 2000, SECOND, 30000, 0},
        {"types on beyond it", 5000, SECOND, 30000, 1},
        {"a much earlier end", 0, FIRST, 10000, 1},
        {"stops on the other node", 0, SECOND, 0, 1},
        {"stops again", 0, FIRST, 0, 0},
        {"starts for a short time", 0, FIRST, 4000, 1},
        {"types on", 3000, SECOND, 4000, 1},
        {"within the additional time", 3000, FIRST, 4000, 0},
        {"within it", 2000, FIRST, 4000, 0},
        {"beyond it", 3000, FIRST, 4000, 1},
    };
    for (size_t i = 0; i < COUNT(calls); i++) {
        const struct call *c = &calls[i];
        clock_advance(c->after_ms);
        int64_t written = set(c->on, c->timeout_ms);
        if (written != c->written)
            fail_msg("%s: %d changes", c->why, (int)written);
        bool types = c->timeout_ms > 0;
        if (types_on(FIRST) != types || types_on(SECOND) != types)
            fail_msg("%s: not on both nodes", c->why);
    }
}

static void all_end_at_the_same_time(void **state)
{
    struct typing *first = node_numbered(FIRST)->users->typing,
                  *second = node_numbered(SECOND)->users->typing;
    int64_t head;
    set(FIRST, 30000);
    head = log_head_position(node_store());
    const struct typing_place before = {head, typing_serial(first)}, end = {head, INT64_MAX};
    clock_advance(30000);
    WAIT_UNTIL(typing_has_changed(first, ROOM, &before, &end));
    WAIT_UNTIL(typing_has_changed(second, ROOM, &before, &end));
    const struct typing_place of_first = {head, typing_serial(first)},
                              of_second = {head, typing_serial(second)};
    assert_false(typing_has_changed(first, ROOM, &of_second, &end));
    assert_false(typing_has_changed(second, ROOM, &of_first, &end));
    assert_int_equal(log_head_position(node_store()), head); /* which none of them wrote */
}

static void a_node_that_comes_learns_of_all(void **state)
{
    set_others(false);
    assert_int_equal(set(FIRST, 30000), 0);
    assert_true(types_on(FIRST) && !types_on(SECOND));
    int64_t head = log_head_position(node_store());
    set_others(true);
    typing_share(node_numbered(FIRST)->users->typing);
    typing_share(node_numbered(SECOND)->users->typing);
    WAIT_UNTIL(log_head_position(node_store()) == head + 1);
    catch_up(SECOND);
    assert_true(types_on(SECOND));
    set(SECOND, 0);
    assert_false(types_on(FIRST) || types_on(SECOND));
}

#define WITH_NODES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_NODES(only_what_others_must_know_is_written),
        WITH_NODES(all_end_at_the_same_time),
        WITH_NODES(a_node_that_comes_learns_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

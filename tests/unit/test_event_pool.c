/* The events missing between fetched and stored ones, and the order in which to accept them. */
#include "federation/in/event_pool.h"

#include "check.h"
#include "storage/rooms/event_lookup.h"

static struct job job;
static struct room some_room;

/* A fake database: events whose ids begin with "$s" are stored. */
const struct err *events_find_unplaced(struct tx *tx, int64_t room, const struct room_version *v,
                                       const char *const *ids, size_t n, const char *const **ret,
                                       size_t *ret_n)
{
    const char **list = arena_alloc_array(job.arena, n + 1, sizeof *list);
    size_t unknown = 0;
    for (size_t i = 0; i < n; i++)
        if (strncmp(ids[i], "$s", 2) != 0)
            list[unknown++] = ids[i];
    *ret = list;
    *ret_n = unknown;
    return NULL;
}

static struct event_pool pool;

static int set_up(void **state)
{
    job = (struct job){.arena = arena_create()};
    event_pool_init(&pool, &job, &some_room);
    return 0;
}

static int tear_down(void **state)
{
    event_pool_finish(&pool);
    arena_destroy(job.arena);
    return 0;
}

/* "$e $before $before" */
static const struct event *event(const char *text)
{
    struct event *e = arena_alloc(job.arena, sizeof *e);
    const char **before = arena_alloc_array(job.arena, 20, sizeof *before);
    char *rest = arena_strdup(job.arena, text);
    e->event_id = strsep(&rest, " ");
    while (rest)
        before[e->prev_n++] = strsep(&rest, " ");
    e->prev_events = before;
    e->depth = e->event_id[1]; /* later letters are deeper */
    return e;
}

static size_t offer(const char *const *texts, size_t n)
{
    const struct event *events[16];
    size_t added;
    for (size_t i = 0; i < n; i++)
        events[i] = event(texts[i]);
    assert_null(event_pool_add_missing(&pool, events, n, &added));
    return added;
}

static void check_order(const char *wanted)
{
    struct pool_event *order[32];
    buf_auto struct buf b = {0};
    size_t n = event_pool_order(&pool, order);
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s%s", i ? " " : "", order[i]->event->event_id);
    check_text("the order", buf_str(&b), wanted);
}

static void test_chain(void **state)
{
    event_pool_add_kept(&pool, event("$d $c"), 1);
    assert_null(event_pool_look(&pool));
    assert_int_equal(pool.missing.n, 1);
    assert_true(event_pool_misses_before(&pool, pool.all[0]->event));
    /* in any order; events that were not requested are dropped */
    assert_int_equal(offer((const char *const[]){"$b $a", "$x $y", "$c $b", "$s0 $s1"}, 4), 2);
    const char *missing[4];
    assert_int_equal(event_pool_list_missing(&pool, missing, 4), 1);
    assert_string_equal(missing[0], "$a");
    assert_int_equal(offer((const char *const[]){"$a $s7"}, 1), 1);
    assert_int_equal(pool.missing.n, 0);
    check_order("$a $b $c $d");
}

static void test_forks(void **state)
{
    event_pool_add_kept(&pool, event("$t $p $q"), 1);
    event_pool_add_kept(&pool, event("$u $t $s3"), 2);
    assert_null(event_pool_look(&pool));
    assert_int_equal(pool.missing.n, 2);
    assert_int_equal(offer((const char *const[]){"$p $n", "$q $n $s2", "$n $s1"}, 3), 3);
    assert_int_equal(pool.missing.n, 0);
    check_order("$n $p $q $t $u");
    pool.all[0]->is_taken = true;
    check_order("$n $p $q $u"); /* no event waits for stored ones */
}

static void test_odd_ones(void **state)
{
    event_pool_add_kept(&pool, event("$a $b"), 1);
    event_pool_add_kept(&pool, event("$a $b"), 2); /* the same */
    assert_int_equal(pool.n, 1);
    assert_null(event_pool_look(&pool));
    /* circles, which hashes allow in versions 1 and 2 */
    assert_int_equal(offer((const char *const[]){"$b $c", "$c $b $c"}, 2), 2);
    assert_int_equal(pool.missing.n, 0);
    struct pool_event *order[8];
    assert_int_equal(event_pool_order(&pool, order), 3);
    assert_int_equal(offer((const char *const[]){"$b $zz"}, 1), 0); /* known by now */
}

static void test_long_chain(void **state)
{
    enum { LENGTH = 2000 };
    const struct event **chain = arena_alloc_array(job.arena, LENGTH, sizeof *chain);
    size_t added;
    for (int i = 0; i < LENGTH; i++)
        chain[i] = event(arena_printf(job.arena, "$%d $%d", i, i + 1));
    event_pool_add_kept(&pool, event("$last $0"), 1);
    assert_null(event_pool_look(&pool));
    assert_null(event_pool_add_missing(&pool, chain, LENGTH, &added));
    assert_int_equal(added, LENGTH);
    struct pool_event **order = arena_alloc_array(job.arena, LENGTH + 1, sizeof *order);
    assert_int_equal(event_pool_order(&pool, order), LENGTH + 1);
    assert_string_equal(order[0]->event->event_id, "$1999");
    assert_string_equal(order[LENGTH]->event->event_id, "$last");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_chain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_odd_ones, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_chain, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

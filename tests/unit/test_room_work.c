/* Work on rooms: retried later, and at once when an event that it waits for arrives. */
#include "waiting.h"

#include "federation/in/room_work.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

static struct storage storage;
static struct node node = {.storage = &storage};
static struct room_work *work;
static atomic_int runs;
static atomic_int run_of[4]; /* by room */

static void wait_until(atomic_int *what, int n)
{
    WAIT_UNTIL(atomic_load(what) >= n);
}

static enum work_result waits_for_parent(void *ctx, struct job *job, const struct work_item *what)
{
    static const char *const ids[] = {"$parent", "$other"};
    atomic_fetch_add(&run_of[what->room], 1);
    if (what->attempts == 20) {
        atomic_fetch_add(&runs, 1);
        return WORK_DONE;
    }
    room_work_await(work, what, ids, what->room == 1 ? 2 : 1);
    atomic_fetch_add(&runs, 1);
    return WORK_LATER;
}

static void start_with(work_function *fn)
{
    runs = 0;
    for (int i = 0; i < 4; i++)
        run_of[i] = 0;
    work = room_work_create(&node, 2, fn, NULL);
    room_work_start(work);
}

static void start(void)
{
    start_with(waits_for_parent);
}

static void end(void)
{
    room_work_stop(work);
    room_work_destroy(work);
}

/* Twenty failures double the pause until it is half an hour: only the event can end it. */
static void test_an_awaited_event_ends_the_pause(void **state)
{
    start();
    room_work_add(work, 1, "a.example");
    for (int i = 1; i <= 20; i++) {
        wait_until(&runs, i);
        room_work_event_came(work, i % 2 ? "$parent" : "$other");
    }
    wait_until(&runs, 21);
    end();
}

static void test_each_item_that_waits_for_it_is_woken(void **state)
{
    start();
    room_work_add(work, 1, "a.example");
    room_work_add(work, 1, "b.example");
    room_work_add(work, 2, "a.example");
    wait_until(&runs, 3);
    for (int i = 2; i < 8; i++) {
        room_work_event_came(work, "$parent");
        wait_until(&runs, 3 * i);
    }
    assert_true(run_of[2] >= 7);
    end();
}

static void test_nothing_is_awaited_by_work_that_is_done(void **state)
{
    start();
    assert_false(room_work_awaits(work));
    room_work_add(work, 1, "a.example");
    for (int i = 1; i <= 21; i++) {
        wait_until(&runs, i);
        room_work_event_came(work, "$parent");
    }
    WAIT_UNTIL(!room_work_waiting(work));
    assert_false(room_work_awaits(work));
    end();
}

/* More comes for room 1 while it fails for the twentieth time. */
static enum work_result fails(void *ctx, struct job *job, const struct work_item *what)
{
    if (what->room != 1)
        return WORK_DONE;
    if (what->attempts < 19)
        return waits_for_parent(ctx, job, what);
    room_work_add(work, what->room, what->server);
    atomic_fetch_add(&runs, 1);
    return WORK_LATER;
}

static void test_events_during_a_failure_shorten_the_pause(void **state)
{
    start_with(fails);
    room_work_add(work, 1, "a.example");
    for (int i = 1; i < 20; i++) {
        wait_until(&runs, i);
        room_work_event_came(work, "$parent");
    }
    wait_until(&runs, 20);
    for (int i = 0; i < 800 && atomic_load(&runs) < 21; i++) {
        clock_advance(1000); /* it would pause for a quarter of an hour at least */
        wait_briefly();
    }
    WAIT_UNTIL(atomic_load(&runs) >= 21);
    end();
}

enum { REST_S = 600 };

static enum work_result rests(void *ctx, struct job *job, const struct work_item *what)
{
    if (what->room == 1)
        room_work_rest(work, what, REST_S * 1000);
    atomic_fetch_add(&run_of[what->room], 1);
    return what->room == 1 ? WORK_LATER : WORK_DONE;
}

/* So that the threads have looked at the clock. */
static void do_something_else(void)
{
    int before = atomic_load(&run_of[2]);
    room_work_add(work, 2, "b.example");
    wait_until(&run_of[2], before + 1);
}

/* New events do not shorten the pause that another server demands. */
static void test_a_rest_is_kept(void **state)
{
    start_with(rests);
    room_work_add(work, 1, "a.example");
    wait_until(&run_of[1], 1);
    do_something_else();
    clock_advance((REST_S - 60) * 1000);
    room_work_add(work, 1, "a.example");
    do_something_else();
    assert_int_equal(atomic_load(&run_of[1]), 1);
    clock_advance(90 * 1000);
    do_something_else();
    wait_until(&run_of[1], 2);
    end();
}

static atomic_int large_now, large_most, small_done, large_done;

/* Items of rooms 1 and 2 are large, and last until one of room 3 is done in parallel. */
static enum work_result is_large_or_not(void *ctx, struct job *job, const struct work_item *what)
{
    if (what->room == 3) {
        atomic_fetch_add(&small_done, 1);
        return WORK_DONE;
    }
    if (!what->is_large)
        return WORK_LARGE;
    int now = atomic_fetch_add(&large_now, 1) + 1;
    if (now > atomic_load(&large_most))
        atomic_store(&large_most, now);
    if (atomic_load(&large_done) == 0) {
        room_work_add(work, 3, "c.example");
        wait_until(&small_done, 1);
    }
    atomic_fetch_sub(&large_now, 1);
    atomic_fetch_add(&large_done, 1);
    return WORK_DONE;
}

static void test_large_work_leaves_threads_to_others(void **state)
{
    start_with(is_large_or_not); /* two threads */
    room_work_add(work, 1, "a.example");
    room_work_add(work, 2, "b.example");
    wait_until(&large_done, 2);
    assert_int_equal(large_most, 1);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_awaited_event_ends_the_pause),
        cmocka_unit_test(test_each_item_that_waits_for_it_is_woken),
        cmocka_unit_test(test_nothing_is_awaited_by_work_that_is_done),
        cmocka_unit_test(test_large_work_leaves_threads_to_others),
        cmocka_unit_test(test_events_during_a_failure_shorten_the_pause),
        cmocka_unit_test(test_a_rest_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

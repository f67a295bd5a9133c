/* The clock that tests move. */
#include "waiting.h"

#include "base/lock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { HOUR_MS = 3600 * 1000 };

static void all_clocks_move_but_one(void **state)
{
    int64_t now = now_ms(), mono = mono_ms(), us = mono_us(), unmoved = mono_unmoved_ms();
    int64_t boot = boot_ms();
    clock_advance(HOUR_MS);
    assert_in_range(now_ms() - now, HOUR_MS, 2 * HOUR_MS);
    assert_in_range(mono_ms() - mono, HOUR_MS, 2 * HOUR_MS);
    assert_in_range(boot_ms() - boot, HOUR_MS, 2 * HOUR_MS);
    assert_in_range(mono_us() - us, HOUR_MS * INT64_C(1000), 2 * HOUR_MS * INT64_C(1000));
    assert_in_range(mono_unmoved_ms() - unmoved, 0, HOUR_MS - 1);
}

static void waits_are_cut_into_rounds(void **state)
{
    assert_int_equal(clock_wait_ms(HOUR_MS), CLOCK_ROUND_MS);
    assert_int_equal(clock_wait_ms(3), 3);
    assert_int_equal(clock_wait_ms(0), 0);
}

static struct lock lock;
static pthread_cond_t changed;
static atomic_bool is_waiting, is_over;
static bool has_changed;

static void *wait_for_a_day(void *ret_late)
{
    int64_t deadline = mono_ms() + DAY_MS;
    bool late = false;
    LOCKED(&lock);
    atomic_store(&is_waiting, true);
    while (!has_changed && !late)
        late = lock_wait_until(&lock, &changed, deadline);
    *(bool *)ret_late = late;
    atomic_store(&is_over, true);
    return NULL;
}

static pthread_t begin_wait(bool *ret_late)
{
    pthread_t thread;
    is_waiting = is_over = has_changed = false;
    pthread_create(&thread, NULL, wait_for_a_day, ret_late);
    WAIT_UNTIL(atomic_load(&is_waiting));
    return thread;
}

static void a_wait_ends_when_the_clock_reaches_its_deadline(void **state)
{
    bool late;
    pthread_t thread = begin_wait(&late);
    clock_advance(DAY_MS - HOUR_MS);
    wait_some_rounds();
    assert_false(atomic_load(&is_over));
    clock_advance(HOUR_MS);
    pthread_join(thread, NULL);
    assert_true(late);
}

static void a_wait_ends_early_by_a_signal(void **state)
{
    bool late;
    pthread_t thread = begin_wait(&late);
    lock_take(&lock);
    has_changed = true;
    pthread_cond_signal(&changed);
    lock_release(&lock);
    pthread_join(thread, NULL);
    assert_false(late);
}

static void a_deadline_in_the_past_is_reached(void **state)
{
    LOCKED(&lock);
    assert_true(lock_wait_until(&lock, &changed, mono_ms() - DAY_MS));
}

/* The last test: the clock then follows the file. */
static void a_file_moves_the_clock_of_a_program(void **state)
{
    char path[] = "/tmp/concorde-clock-XXXXXX";
    int64_t moved = clock_moved_ms();
    int fd = mkstemp(path);
    assert_non_null(clock_follow_file("/tmp/concorde-no-clock"));
    assert_non_null(clock_follow_file(path)); /* it is empty */
    assert_int_equal(pwrite(fd, &moved, sizeof moved, 0), sizeof moved);
    assert_null(clock_follow_file(path));
    int64_t now = now_ms();
    moved += DAY_MS;
    assert_int_equal(pwrite(fd, &moved, sizeof moved, 0), sizeof moved);
    assert_in_range(now_ms() - now, DAY_MS, DAY_MS + HOUR_MS);
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_clocks_move_but_one),
        cmocka_unit_test(waits_are_cut_into_rounds),
        cmocka_unit_test(a_wait_ends_when_the_clock_reaches_its_deadline),
        cmocka_unit_test(a_wait_ends_early_by_a_signal),
        cmocka_unit_test(a_deadline_in_the_past_is_reached),
        cmocka_unit_test(a_file_moves_the_clock_of_a_program),
    };
    lock_init(&lock, RANK_LEAF);
    cond_init(&changed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

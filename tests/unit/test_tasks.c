/* Work that is retried until it is done, and keyed locks. */
#include "waiting.h"

#include "base/clock.h"
#include "federation/keyed_lock.h"
#include "federation/tasks.h"
#include "storage/job_pool.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

static struct storage storage;
static struct node node = {.storage = &storage};
static atomic_int tries, done, running, most_running;

static void wait_until(atomic_int *what, int n)
{
    WAIT_UNTIL(atomic_load(what) >= n);
}

static struct worker_pool *pool;
static struct worker_kind *kind;

static void start(int threads, const struct task_kind *t)
{
    tries = done = running = most_running = 0;
    pool = job_pool_create(&node, "test", threads);
    kind = task_kind_create(pool, t);
    worker_pool_start(pool);
}

static void end(void)
{
    worker_pool_stop(pool);
    worker_kind_destroy(kind);
    worker_pool_destroy(pool);
}

static const struct err *second_time(struct job *job, int64_t a, int64_t b, bool *ret_done)
{
    assert_int_equal(a, 7);
    assert_int_equal(b, 8);
    if (atomic_fetch_add(&tries, 1) == 0)
        return err(ERR_BAD_STATUS, "not yet");
    *ret_done = true;
    atomic_fetch_add(&done, 1);
    return NULL;
}

static const struct task_kind done_the_second_time = {"a test", second_time};

static void test_tried_again_until_done(void **state)
{
    start(1, &done_the_second_time);
    task_add(kind, 7, 8);
    wait_until(&tries, 1);
    clock_advance(1900);
    wait_some_rounds();
    assert_int_equal(atomic_load(&tries), 1); /* it waits before the next try ... */
    worker_pool_hurry(pool);                  /* ... unless it is hurried */
    wait_until(&done, 1);
    clock_advance(3600 * 1000);
    wait_some_rounds();
    assert_int_equal(atomic_load(&tries), 2); /* a finished task is removed */
    end();
}

static const struct err *slow(struct job *job, int64_t a, int64_t b, bool *ret_done)
{
    int now = atomic_fetch_add(&running, 1) + 1;
    for (int most = most_running;
         now > most && !atomic_compare_exchange_weak(&most_running, &most, now);)
        ;
    wait_some_rounds();
    atomic_fetch_sub(&running, 1);
    atomic_fetch_add(&done, 1);
    *ret_done = true;
    return NULL;
}

static const struct task_kind slow_tasks = {"a test", slow};
static const struct task_kind slow_tasks_one_by_one = {"a test", slow, .at_once_max = 1};

static void test_several_at_once_but_each_alone(void **state)
{
    start(4, &slow_tasks);
    for (int i = 0; i < 8; i++)
        task_add(kind, i, 0);
    wait_until(&done, 8);
    assert_in_range(atomic_load(&most_running), 2, 4);
    end();
    start(4, &slow_tasks);
    for (int i = 0; i < 5; i++) { /* the same one: it runs once more for later calls */
        task_add(kind, 1, 1);
        wait_briefly();
    }
    wait_until(&done, 2);
    wait_some_rounds();
    assert_int_equal(atomic_load(&done), 2);
    assert_int_equal(atomic_load(&most_running), 1);
    end();
}

static void test_one_at_once(void **state)
{
    start(4, &slow_tasks_one_by_one);
    for (int i = 0; i < 4; i++)
        task_add(kind, i, 0);
    wait_until(&done, 4);
    assert_int_equal(atomic_load(&most_running), 1);
    end();
}

static void test_stops_with_work_left(void **state)
{
    start(2, &slow_tasks);
    for (int i = 0; i < 100; i++)
        task_add(kind, i, 0);
    wait_until(&running, 1);
    end();
    assert_int_equal(atomic_load(&running), 0);
    assert_in_range(atomic_load(&done), 1, 99);
}

/* ---- keyed locks ---- */

static struct keyed_lock *locks;

static void *take_a_round(void *name)
{
    assert_true(keyed_lock_take(locks, name, "", mono_ms() + 10000));
    int now = atomic_fetch_add(&running, 1) + 1;
    if (now > most_running)
        most_running = now;
    wait_briefly();
    atomic_fetch_sub(&running, 1);
    keyed_lock_release(locks, name);
    return NULL;
}

static void test_one_holder_at_a_time(void **state)
{
    pthread_t threads[6];
    running = most_running = 0;
    locks = keyed_lock_create();
    for (int i = 0; i < 6; i++)
        pthread_create(&threads[i], NULL, take_a_round, "!room");
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&most_running), 1);
    assert_true(keyed_lock_take(locks, "!room", "", 0));
    assert_true(keyed_lock_take(locks, "!other", "", 0));
    assert_true(keyed_lock_is_taken(locks, "!room"));
    assert_false(keyed_lock_is_taken(locks, "!third"));
    int64_t from = mono_ms();
    assert_false(keyed_lock_take(locks, "!room", "", from + 50));
    assert_true(mono_ms() - from >= 49);
    keyed_lock_release(locks, "!room");
    assert_true(keyed_lock_take(locks, "!room", "", 0));
    keyed_lock_release(locks, "!room");
    keyed_lock_release(locks, "!other");
    keyed_lock_destroy(locks);
}

/* In the order of arrival: a1, a2 and a3 of one source, then those of others. */
static const char *served[8];
static _Atomic size_t served_n;

static void *note_turn(void *id)
{
    const char source[] = {*(const char *)id, 0};
    assert_true(keyed_lock_take(locks, "large", source, mono_ms() + 60000));
    served[atomic_fetch_add(&served_n, 1)] = id;
    keyed_lock_release(locks, "large");
    return NULL;
}

static void test_sources_alternate(void **state)
{
    static const char *const came[] = {"a1", "a2", "a3", "b1", "c1", "b2"};
    static const char *const wanted[] = {"a1", "b1", "c1", "a2", "b2", "a3"};
    enum { N = sizeof came / sizeof *came };
    pthread_t threads[N];
    locks = keyed_lock_create();
    assert_true(keyed_lock_take(locks, "large", "x", 0));
    assert_true(
        keyed_lock_take(locks, "another", "x", 0)); /* locks of different names are independent */
    for (size_t i = 0; i < N; i++) {
        pthread_create(&threads[i], NULL, note_turn, (void *)came[i]);
        WAIT_UNTIL(keyed_lock_waiting(locks, "large") >= i + 1);
    }
    assert_false(keyed_lock_take(locks, "large", "a", 0)); /* giving up leaves no place behind */
    keyed_lock_release(locks, "large");
    for (size_t i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < N; i++)
        assert_string_equal(served[i], wanted[i]);
    assert_false(keyed_lock_is_taken(locks, "large"));
    keyed_lock_release(locks, "another");
    keyed_lock_destroy(locks);
}

static const struct err *done_at_once(struct job *job, int64_t a, int64_t b, bool *ret_done)
{
    atomic_fetch_add(a ? &tries : &done, 1);
    *ret_done = true;
    return NULL;
}

/* The lease is not held: only the task 0, 0 is done. */
static void test_tasks_of_another_node_wait(void **state)
{
    struct leases *leases = leases_create(&node);
    struct task_kind of_rooms = {"a test", done_at_once};
    of_rooms.lease =
        leases_add(leases, &(struct lease_job_settings){.name = "rooms", .slices = LEASE_SLICES});
    start(1, &of_rooms);
    task_add(kind, 7, 8);
    task_add(kind, 0, 0);
    wait_until(&done, 1);
    wait_some_rounds();
    assert_int_equal(atomic_load(&tries), 0);
    end();
    leases_destroy(leases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tasks_of_another_node_wait),
        cmocka_unit_test(test_tried_again_until_done),
        cmocka_unit_test(test_several_at_once_but_each_alone),
        cmocka_unit_test(test_one_at_once),
        cmocka_unit_test(test_stops_with_work_left),
        cmocka_unit_test(test_one_holder_at_a_time),
        cmocka_unit_test(test_sources_alternate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

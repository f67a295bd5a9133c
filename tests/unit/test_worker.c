/* Pools of threads and kinds of work: which item is next, when, and how a kind ends. */
#include "waiting.h"

#include "base/worker/worker.h"
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { SEEN_MAX = 64, MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS };

/* What the items do: each run is noted, in order. */
static struct {
    char order[SEEN_MAX * 8]; /* "text number " of each run */
    size_t order_n;
    pthread_mutex_t mutex;
    atomic_int runs, running, most;
    atomic_bool held; /* items do not end while it is set */
    enum worker_outcome outcome;
    int64_t wait_ms;
    int failures; /* of the last item, before it ran */
} seen = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static struct worker_pool *pool;
static struct worker_kind *kind;

static enum worker_outcome note_run(void *of, void *thread, struct worker_item *item)
{
    int now = atomic_fetch_add(&seen.running, 1) + 1;
    pthread_mutex_lock(&seen.mutex);
    if (now > seen.most)
        seen.most = now;
    seen.order_n += (size_t)snprintf(seen.order + seen.order_n, sizeof seen.order - seen.order_n,
                                     "%s%lld ", item->key.text, (long long)item->key.number);
    seen.failures = item->failures;
    item->wait_ms = seen.wait_ms;
    enum worker_outcome outcome = seen.outcome;
    pthread_mutex_unlock(&seen.mutex);
    atomic_fetch_add(&seen.runs, 1);
    while (atomic_load(&seen.held))
        wait_briefly();
    atomic_fetch_sub(&seen.running, 1);
    return outcome;
}

static void begin(int threads, const struct worker_settings *s)
{
    seen.order_n = 0;
    seen.order[0] = '\0';
    seen.runs = seen.running = seen.most = 0;
    seen.held = false;
    seen.outcome = WORKER_DONE;
    seen.wait_ms = 0;
    struct worker_settings settings = *s;
    settings.name = "a test";
    settings.run = settings.run ? settings.run : note_run;
    pool = worker_pool_create(NULL,
                              &(struct worker_pool_settings){.name = "test", .threads = threads});
    kind = worker_kind_create(pool, &settings);
}

static void end(void)
{
    seen.held = false;
    worker_kind_destroy(kind);
    worker_pool_destroy(pool);
}

static void add(const char *text, int64_t number)
{
    assert_true(worker_add(kind, (struct worker_key){.text = text, .number = number}));
}

/* Several threads have looked at the clock, if they wait at all. */
static void let_threads_look(void)
{
    for (int i = 0; i < 3 * CLOCK_ROUND_MS; i++)
        wait_briefly();
}

static void check_runs(const char *proves, int wanted)
{
    WAIT_UNTIL(atomic_load(&seen.runs) >= wanted);
    let_threads_look();
    if (atomic_load(&seen.runs) != wanted)
        fail_msg("%s: %d runs instead of %d", proves, atomic_load(&seen.runs), wanted);
}

static const struct worker_settings plain = {0};
static const struct worker_settings retried = {.backoff = {.first_ms = 2 * HOUR_MS,
                                                           .max_ms = 8 * HOUR_MS,
                                                           .factor = 2,
                                                           .from_percent = 50,
                                                           .to_percent = 100}};

/* ---- order ---- */

static void texts_are_served_in_turn(void **state)
{
    begin(1, &plain);
    for (int i = 1; i <= 4; i++)
        add("a", i);
    add("b", 1);
    add("b", 2);
    add("c", 1);
    worker_kind_start(kind);
    WAIT_UNTIL(worker_items(kind) == 0);
    assert_string_equal(seen.order, "a1 b1 c1 a2 b2 a3 a4 ");
    end();
}

static void kinds_are_served_in_turn(void **state)
{
    begin(1, &plain);
    struct worker_kind *other =
        worker_kind_create(pool, &(struct worker_settings){.name = "other", .run = note_run});
    for (int i = 1; i <= 3; i++)
        add("a", i);
    worker_add(other, (struct worker_key){.text = "other", .number = 1});
    worker_kind_start(other);
    WAIT_UNTIL(worker_items(other) == 0);
    assert_string_equal(seen.order, "other1 "); /* the first kind has not started */
    seen.held = true;
    worker_add(other, (struct worker_key){.text = "held"});
    WAIT_UNTIL(seen.running == 1);
    worker_kind_start(kind);
    worker_add(other, (struct worker_key){.text = "other", .number = 2});
    worker_add(other, (struct worker_key){.text = "other", .number = 3});
    seen.held = false;
    WAIT_UNTIL(worker_items(other) + worker_items(kind) == 0);
    assert_string_equal(seen.order, "other1 held0 a1 other2 a2 other3 a3 ");
    worker_kind_destroy(other);
    end();
}

static enum worker_outcome go_on_twice(void *of, void *thread, struct worker_item *item)
{
    static int again;
    note_run(of, thread, item);
    return item->key.number == 1 && again++ < 2 ? WORKER_AGAIN : WORKER_DONE;
}

static void what_continues_is_behind_the_others(void **state)
{
    begin(1, &(struct worker_settings){.run = go_on_twice});
    add("a", 1);
    add("a", 2);
    add("a", 3);
    worker_kind_start(kind);
    WAIT_UNTIL(worker_items(kind) == 0);
    assert_string_equal(seen.order, "a1 a2 a3 a1 a1 ");
    end();
}

static void due_items_run_in_the_order_of_their_times(void **state)
{
    begin(1, &plain);
    worker_kind_start(kind);
    int64_t now = mono_ms();
    for (int i = 0; i < 20; i++) { /* 7 is prime to 20: all places, in some order */
        int place = i * 7 % 20;
        worker_add_due(kind, (struct worker_key){.number = place}, now + (place + 1) * MINUTE_MS);
    }
    for (int place = 0; place < 20; place++) {
        clock_advance(MINUTE_MS);
        check_runs("one a minute", place + 1);
    }
    assert_string_equal(seen.order, "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 ");
    end();
}

static void an_earlier_time_replaces_a_later_one(void **state)
{
    begin(2, &plain);
    worker_kind_start(kind);
    struct worker_key one = {.number = 1};
    worker_add_due(kind, one, mono_ms() + 10 * MINUTE_MS);
    worker_add_due(kind, one, mono_ms() + 2 * MINUTE_MS);
    worker_add_due(kind, one, mono_ms() + 5 * MINUTE_MS);
    clock_advance(MINUTE_MS);
    check_runs("it is not due", 0);
    clock_advance(MINUTE_MS);
    check_runs("it is", 1);
    clock_advance(10 * MINUTE_MS);
    check_runs("once", 1);
    end();
}

/* ---- limits ---- */

static void check_at_once(const char *proves, const struct worker_settings *s, bool same_number,
                          bool same_text, int wanted)
{
    begin(6, s);
    seen.held = true;
    for (int i = 0; i < 6; i++)
        worker_add(kind,
                   (struct worker_key){.number = same_number ? 1 : i,
                                       .other = i,
                                       .text = same_text ? "a" : (char[]){(char)('a' + i), 0}});
    worker_kind_start(kind);
    WAIT_UNTIL(seen.running >= wanted);
    let_threads_look();
    if (seen.running != wanted)
        fail_msg("%s: %d at once instead of %d", proves, seen.running, wanted);
    seen.held = false;
    WAIT_UNTIL(worker_items(kind) == 0);
    if (seen.most > wanted || seen.runs != 6)
        fail_msg("%s: at most %d at once, %d runs", proves, seen.most, seen.runs);
    end();
}

static void limits_leave_threads_to_others(void **state)
{
    const struct worker_settings limits = {.of_number_max = 2, .of_text_max = 3};
    check_at_once("as many as there are threads", &plain, true, true, 6);
    check_at_once("the limit of a kind", &(struct worker_settings){.at_once_max = 4}, false, false,
                  4);
    check_at_once("of a text", &limits, false, true, 3);
    check_at_once("of a number", &limits, true, false, 2);
    check_at_once("neither", &limits, false, false, 6);
}

static enum worker_outcome is_long_from_the_second_run(void *of, void *thread,
                                                       struct worker_item *item)
{
    if (!item->is_long && *item->key.text == 'l') {
        item->is_long = true;
        return WORKER_AGAIN;
    }
    return note_run(of, thread, item);
}

static void long_items_leave_threads_to_others(void **state)
{
    begin(3, &(struct worker_settings){.run = is_long_from_the_second_run, .long_max = 1});
    seen.held = true;
    worker_kind_start(kind);
    add("l", 1);
    WAIT_UNTIL(seen.running == 1);
    add("l", 2);
    add("l", 3);
    add("a", 1);
    WAIT_UNTIL(seen.running == 2);
    let_threads_look();
    assert_string_equal(seen.order, "l1 a1 ");
    seen.held = false;
    WAIT_UNTIL(worker_items(kind) == 0);
    assert_int_equal(seen.runs, 4);
    end();
}

static void no_more_items_than_allowed(void **state)
{
    begin(1, &(struct worker_settings){.items_max = 2});
    add("a", 1);
    add("a", 2);
    add("a", 2); /* which is there */
    assert_false(worker_add(kind, (struct worker_key){.text = "a", .number = 3}));
    assert_int_equal(worker_items(kind), 2);
    end();
}

/* ---- failures ---- */

static void pauses_grow_to_their_bound_with_jitter(void **state)
{
    static const int64_t longest[] = {2 * HOUR_MS, 4 * HOUR_MS, 8 * HOUR_MS, 8 * HOUR_MS};
    begin(1, &retried);
    seen.outcome = WORKER_FAILED;
    worker_kind_start(kind);
    add("a", 1);
    check_runs("at once", 1);
    for (int i = 0; i < (int)COUNT(longest); i++) {
        clock_advance(longest[i] / 2 - MINUTE_MS); /* which is left for the test itself */
        check_runs("not before the shortest wait", i + 1);
        clock_advance(longest[i] / 2 + MINUTE_MS);
        check_runs("not after the longest one", i + 2);
        assert_int_equal(seen.failures, i + 1);
    }
    end();
}

static void what_the_work_demands_is_the_least(void **state)
{
    begin(1, &retried);
    seen.outcome = WORKER_FAILED;
    seen.wait_ms = 10 * HOUR_MS;
    worker_kind_start(kind);
    add("a", 1);
    check_runs("at once", 1);
    clock_advance(9 * HOUR_MS);
    check_runs("its pause would be over", 1);
    clock_advance(HOUR_MS);
    check_runs("now it is", 2);
    end();
}

static void hurry_ends_pauses(void **state)
{
    begin(2, &retried);
    seen.outcome = WORKER_FAILED;
    seen.wait_ms = 10 * HOUR_MS;
    worker_kind_start(kind);
    add("a", 1);
    add("b", 2);
    check_runs("at once", 2);
    worker_hurry(kind, (struct worker_key){.text = "a", .number = 1});
    check_runs("one", 3);
    assert_int_equal(seen.failures, 1);
    worker_hurry_all(kind);
    check_runs("all", 5);
    worker_hurry(kind, (struct worker_key){.text = "c"});
    check_runs("what is not there is not added", 5);
    end();
}

static void hurry_during_a_failure_counts(void **state)
{
    begin(1, &retried);
    seen.outcome = WORKER_FAILED;
    seen.held = true;
    worker_kind_start(kind);
    add("a", 1);
    WAIT_UNTIL(seen.running == 1);
    worker_hurry_all(kind);
    seen.held = false;
    check_runs("again at once, and then it waits", 2);
    assert_int_equal(seen.failures, 0);
    end();
}

static void added_again_it_is_sooner(void **state)
{
    struct worker_settings s = retried;
    begin(1, &s);
    seen.outcome = WORKER_FAILED;
    worker_kind_start(kind);
    add("a", 1);
    check_runs("at once", 1);
    add("a", 1);
    check_runs("sooner_ms is 0", 2);
    assert_int_equal(seen.failures, 0);
    end();

    s.backoff.first_ms = s.backoff.max_ms = 9 * HOUR_MS;
    s.sooner_ms = 2 * MINUTE_MS;
    begin(1, &s);
    seen.outcome = WORKER_FAILED;
    worker_kind_start(kind);
    add("a", 1);
    check_runs("at once", 1);
    add("a", 1);
    clock_advance(MINUTE_MS);
    check_runs("not at once", 1);
    clock_advance(MINUTE_MS);
    check_runs("but soon", 2);
    assert_int_equal(seen.failures, 1);
    seen.wait_ms = 10 * HOUR_MS;
    worker_hurry_all(kind);
    check_runs("hurried", 3);
    add("a", 1);
    clock_advance(5 * HOUR_MS);
    check_runs("not before what the work demands", 3);
    clock_advance(5 * HOUR_MS);
    check_runs("then", 4);
    end();
}

static void periodic_work_waits_without_failing(void **state)
{
    begin(1, &plain);
    seen.outcome = WORKER_WAIT;
    seen.wait_ms = MINUTE_MS;
    worker_kind_start(kind);
    add("", 1);
    for (int i = 1; i <= 3; i++) {
        check_runs("once a minute", i);
        assert_int_equal(seen.failures, 0);
        clock_advance(MINUTE_MS);
    }
    end();
}

/* ---- an item that runs ---- */

static void added_while_it_runs_it_runs_again_alone(void **state)
{
    begin(4, &plain);
    seen.held = true;
    worker_kind_start(kind);
    add("a", 1);
    WAIT_UNTIL(seen.running == 1);
    for (int i = 0; i < 5; i++)
        add("a", 1);
    let_threads_look();
    assert_int_equal(seen.most, 1);
    seen.held = false;
    check_runs("once for all later calls", 2);
    assert_int_equal(seen.most, 1);
    assert_int_equal(worker_items(kind), 0);
    end();
}

/* ---- the hook ---- */

static atomic_bool is_allowed;
static atomic_int asked;

static bool may_run(void *of, const struct worker_key *key, int64_t *ret_wait_ms)
{
    assert_string_equal(key->text, "a");
    atomic_fetch_add(&asked, 1);
    *ret_wait_ms = MINUTE_MS;
    return atomic_load(&is_allowed);
}

static void the_hook_may_refuse(void **state)
{
    begin(1, &(struct worker_settings){.may_run = may_run});
    worker_kind_start(kind);
    add("a", 1);
    WAIT_UNTIL(asked == 1);
    check_runs("refused", 0);
    assert_int_equal(worker_items(kind), 1);
    is_allowed = true;
    check_runs("it is asked again later", 0);
    clock_advance(MINUTE_MS);
    check_runs("then it allows", 1);
    assert_int_equal(asked, 2);
    assert_int_equal(seen.failures, 0);
    end();
}

static bool hurry_and_refuse(void *of, const struct worker_key *key, int64_t *ret_wait_ms)
{
    if (atomic_fetch_add(&asked, 1))
        return true;
    worker_hurry(kind, *key);
    *ret_wait_ms = HOUR_MS;
    return false;
}

static void hurried_during_a_refusal_it_is_asked_again_at_once(void **state)
{
    asked = 0;
    begin(1, &(struct worker_settings){.may_run = hurry_and_refuse});
    worker_kind_start(kind);
    add("a", 1);
    check_runs("again, and then it may", 1);
    assert_int_equal(asked, 2);
    end();
}

/* ---- the end ---- */

static void *stop_kind(void *ret_stopped)
{
    worker_kind_stop(kind);
    atomic_store((atomic_bool *)ret_stopped, true);
    return NULL;
}

static void a_stop_waits_for_what_runs(void **state)
{
    atomic_bool stopped = false;
    pthread_t thread;
    begin(2, &retried);
    seen.outcome = WORKER_FAILED;
    seen.held = true;
    worker_kind_start(kind);
    for (int i = 0; i < 50; i++)
        add("a", i);
    worker_add_due(kind, (struct worker_key){.text = "b"}, mono_ms() + MINUTE_MS);
    WAIT_UNTIL(seen.running == 2);
    pthread_create(&thread, NULL, stop_kind, &stopped);
    WAIT_UNTIL(worker_is_stopping(kind));
    let_threads_look();
    assert_false(stopped);
    assert_false(worker_add(kind, (struct worker_key){.text = "c"}));
    seen.held = false;
    pthread_join(thread, NULL);
    assert_int_equal(seen.runs, 2);
    assert_int_equal(worker_items(kind), 0);
    worker_kind_stop(kind); /* again */
    end();
}

/* ---- threads ---- */

static atomic_int created, begun, ended, destroyed;

static void *thread_create(void *of)
{
    atomic_fetch_add(&created, 1);
    return of;
}

static void thread_begin(void *thread)
{
    assert_ptr_equal(thread, &created);
    atomic_fetch_add(&begun, 1);
}

static void thread_end(void *thread)
{
    atomic_fetch_add(&ended, 1);
}

static void thread_destroy(void *thread)
{
    atomic_fetch_add(&destroyed, 1);
}

static enum worker_outcome check_thread(void *of, void *thread, struct worker_item *item)
{
    char name[16];
    assert_ptr_equal(thread, &created);
    pthread_getname_np(pthread_self(), name, sizeof name);
    assert_string_equal(name, "with-state");
    return note_run(of, thread, item);
}

static void threads_have_names_and_what_they_need(void **state)
{
    begin(1, &plain);
    struct worker_pool *p = worker_pool_create(
        NULL, &(struct worker_pool_settings){"with-state", 3, &created, thread_create, thread_begin,
                                             thread_end, thread_destroy});
    struct worker_kind *k =
        worker_kind_create(p, &(struct worker_settings){.name = "x", .run = check_thread});
    worker_kind_start(k);
    for (int i = 0; i < 5; i++) {
        worker_add(k, (struct worker_key){.number = i});
        WAIT_UNTIL(worker_items(k) == 0);
    }
    assert_in_range(created, 1, 3);
    assert_int_equal(begun, 5);
    worker_kind_destroy(k);
    worker_pool_destroy(p);
    assert_int_equal(ended, 5);
    assert_int_equal(destroyed, created);
    end();
}

static void metrics_are_by_kind(void **state)
{
    buf_auto struct buf out = {0};
    struct worker_pools *all = worker_pools_create();
    begin(1, &plain);
    struct worker_pool *p =
        worker_pool_create(all, &(struct worker_pool_settings){.name = "p", .threads = 1});
    struct worker_kind *k =
        worker_kind_create(p, &(struct worker_settings){.name = "x", .run = note_run});
    worker_add(k, (struct worker_key){.number = 1});
    worker_add(k, (struct worker_key){.number = 2});
    clock_advance(MINUTE_MS);
    worker_pools_add_metrics(all, &out);
    assert_non_null(strstr(out.p, "concorde_work_waiting{kind=\"x\"} 2\n"));
    assert_non_null(strstr(out.p, "concorde_work_late_seconds{kind=\"x\"} 60"));
    worker_kind_start(k);
    WAIT_UNTIL(worker_items(k) == 0);
    buf_clear(&out);
    worker_pools_add_metrics(all, &out);
    assert_non_null(strstr(out.p, "concorde_work_waiting{kind=\"x\"} 0\n"));
    assert_non_null(strstr(out.p, "concorde_work_done_total{kind=\"x\"} 2\n"));
    assert_non_null(strstr(out.p, "concorde_work_late_seconds{kind=\"x\"} 0\n"));
    worker_kind_destroy(k);
    worker_pool_destroy(p);
    worker_pools_destroy(all);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_served_in_turn),
        cmocka_unit_test(kinds_are_served_in_turn),
        cmocka_unit_test(what_continues_is_behind_the_others),
        cmocka_unit_test(due_items_run_in_the_order_of_their_times),
        cmocka_unit_test(an_earlier_time_replaces_a_later_one),
        cmocka_unit_test(limits_leave_threads_to_others),
        cmocka_unit_test(long_items_leave_threads_to_others),
        cmocka_unit_test(no_more_items_than_allowed),
        cmocka_unit_test(pauses_grow_to_their_bound_with_jitter),
        cmocka_unit_test(what_the_work_demands_is_the_least),
        cmocka_unit_test(hurry_ends_pauses),
        cmocka_unit_test(hurry_during_a_failure_counts),
        cmocka_unit_test(added_again_it_is_sooner),
        cmocka_unit_test(periodic_work_waits_without_failing),
        cmocka_unit_test(added_while_it_runs_it_runs_again_alone),
        cmocka_unit_test(the_hook_may_refuse),
        cmocka_unit_test(hurried_during_a_refusal_it_is_asked_again_at_once),
        cmocka_unit_test(a_stop_waits_for_what_runs),
        cmocka_unit_test(threads_have_names_and_what_they_need),
        cmocka_unit_test(metrics_are_by_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "check.h"
#include "waiting.h"

#include "base/cache.h"
#include "federation/peer/answers.h"
#include "server/media/fetches.h"

#include <stdio.h>

/* ---- answers ---- */

static void check_answer(struct answers *answers, const char *key, const char *wanted)
{
    arena_auto struct arena *a = arena_create();
    struct str got;
    bool known = answers_get(answers, a, key, &got);
    check_bool("is it known", key, known, wanted != NULL);
    if (known)
        check_text(key, got, wanted);
}

static struct cache_budget *budget;

static struct answers *begin_answers(void) /* of 100,000 bytes: a sixteenth of all caches */
{
    budget = cache_budget_create(16 * 100000);
    return answers_create(budget);
}

static void end_answers(struct answers *answers)
{
    answers_destroy(answers);
    cache_budget_destroy(budget);
}

static void test_remembering(void **state)
{
    struct answers *answers = begin_answers();
    check_answer(answers, "a", NULL);
    answers_put(answers, "a", STR("1"), 60000);
    answers_put(answers, "b", STR(""), 60000);
    check_answer(answers, "a", "1");
    check_answer(answers, "b", "");
    answers_put(answers, "a", STR("2"), 60000);
    check_answer(answers, "a", "2");
    end_answers(answers);
}

static void test_no_answer_is_an_answer(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct answers *answers = begin_answers();
    struct str got = STR("x");
    answers_put(answers, "a", (struct str){0}, 60000);
    assert_true(answers_get(answers, a, "a", &got));
    assert_null(got.p);
    end_answers(answers);
}

static void test_forgetting(void **state)
{
    struct answers *answers = begin_answers();
    answers_put(answers, "a", STR("1"), 20000);
    clock_advance(20001);
    check_answer(answers, "a", NULL);
    answers_put(answers, "a", STR("2"), 60000);
    check_answer(answers, "a", "2");
    end_answers(answers);
}

/* The newest answers stay and the memory is bounded. */
static void test_the_oldest_go(void **state)
{
    struct answers *answers = begin_answers();
    char key[32], large[7000];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = 0;
    answers_put(answers, "too large", str_of(large), 60000);
    check_answer(answers, "too large", NULL);
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "key %d", i % 1500);
        answers_put(answers, key, (struct str){large, 100}, 60000);
    }
    check_answer(answers, "key 0", NULL);
    large[100] = 0;
    check_answer(answers, "key 1499", large);
    check_answer(answers, "key 1200", large);
    end_answers(answers);
}

/* ---- fetches ---- */

static int wakes;

static void count_wake(struct waiter *w)
{
    wakes++;
}

static enum fetch_role begin(struct fetches *f, const char *id, struct waiter *w)
{
    struct err failed = {0};
    enum fetch_role turn = fetches_begin(f, "server", id, w, &failed);
    if (turn == FETCH_FAILED)
        assert_int_equal(failed.code, ERR_NOT_FOUND);
    return turn;
}

static void leave(struct waiter *w)
{
    if (w->source)
        w->leave(w);
}

static void test_one_fetches_for_all(void **state)
{
    struct fetches *f = fetches_create();
    struct waiter mine = {.wake = count_wake}, other = {.wake = count_wake};
    wakes = 0;
    assert_int_equal(begin(f, "a", &mine), FETCH_MINE);
    assert_int_equal(begin(f, "a", &other), FETCH_WAIT);
    assert_int_equal(begin(f, "a", &other), FETCH_WAIT); /* a spurious wake */
    fetches_end(f, "server", "a", NULL);
    assert_int_equal(wakes, 1);
    leave(&other);
    assert_int_equal(begin(f, "a", &other), FETCH_MINE); /* that fetch has ended */
    fetches_end(f, "server", "a", NULL);
    fetches_destroy(f);
}

static void test_failures_are_remembered(void **state)
{
    struct fetches *f = fetches_create();
    struct waiter w = {.wake = count_wake};
    char id[32];
    assert_int_equal(begin(f, "a", &w), FETCH_MINE);
    fetches_end(f, "server", "a", err(ERR_NOT_FOUND, "no"));
    assert_int_equal(begin(f, "a", &w), FETCH_FAILED);
    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "b%d", i);
        assert_int_equal(begin(f, id, &w), FETCH_MINE);
        fetches_end(f, "server", id, err(ERR_NOT_FOUND, "no"));
    }
    assert_int_equal(begin(f, "b999", &w), FETCH_FAILED);
    assert_int_equal(begin(f, "a", &w), FETCH_MINE); /* too many others since */
    fetches_end(f, "server", "a", NULL);
    fetches_destroy(f);
}

static void test_few_from_one_server(void **state)
{
    struct fetches *f = fetches_create();
    struct waiter w = {.wake = count_wake}, other = {.wake = count_wake};
    struct err failed;
    char id[32];
    int n = 0;
    wakes = 0;
    do
        snprintf(id, sizeof id, "m%d", n++);
    while (begin(f, id, &w) == FETCH_MINE);
    assert_in_range(n, 4, 16);
    assert_int_equal(fetches_begin(f, "serve", "m", &other, &failed), FETCH_MINE);
    fetches_end(f, "server", "m0", NULL);
    assert_int_equal(wakes, 1);
    assert_int_equal(begin(f, id, &w), FETCH_MINE);
    for (int i = 1; i < n; i++) {
        snprintf(id, sizeof id, "m%d", i);
        fetches_end(f, "server", id, NULL);
    }
    fetches_end(f, "serve", "m", NULL);
    fetches_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remembering),         cmocka_unit_test(test_no_answer_is_an_answer),
        cmocka_unit_test(test_forgetting),          cmocka_unit_test(test_the_oldest_go),
        cmocka_unit_test(test_one_fetches_for_all), cmocka_unit_test(test_failures_are_remembered),
        cmocka_unit_test(test_few_from_one_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

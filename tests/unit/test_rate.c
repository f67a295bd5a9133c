#include "check.h"

#include "http/rate.h"

enum { SECOND = 1000 * 1000 };

static struct str key = {"@a:b", 4};

static void test_a_bucket(void **state)
{
    struct rate_table *t = rate_table_create();
    struct rate_limit limit = {2, 3};
    int64_t now = 1000LL * SECOND;
    for (int i = 0; i < 3; i++)
        assert_int_equal(rate_take(t, RATE_LOGIN, key, &limit, 1, now), 0);
    assert_int_equal(rate_take(t, RATE_LOGIN, key, &limit, 1, now), 500);
    assert_int_equal(rate_take(t, RATE_LOGIN, key, &limit, 1, now + SECOND / 4), 250);
    /* a refusal costs nothing */
    assert_int_equal(rate_take(t, RATE_LOGIN, key, &limit, 1, now + SECOND / 2), 0);
    assert_int_equal(rate_take(t, RATE_LOGIN, key, &limit, 1, now + SECOND / 2), 500);
    /* after a long pause the bucket is full, and no fuller */
    now += 100LL * SECOND;
    for (int i = 0; i < 3; i++)
        assert_int_equal(rate_take(t, RATE_LOGIN, key, &limit, 1, now), 0);
    assert_int_equal(rate_take(t, RATE_LOGIN, key, &limit, 1, now), 500);
    rate_table_destroy(t);
}

static void test_buckets_are_apart(void **state)
{
    struct rate_table *t = rate_table_create();
    struct rate_limit limit = {0.1, 1};
    assert_int_equal(rate_take(t, RATE_LOGIN, key, &limit, 1, SECOND), 0);
    assert_int_equal(rate_take(t, RATE_LOGIN, key, &limit, 1, SECOND), 10000);
    assert_int_equal(rate_take(t, RATE_JOIN, key, &limit, 1, SECOND), 0);
    assert_int_equal(rate_take(t, RATE_LOGIN, STR("@c:b"), &limit, 1, SECOND), 0);
    rate_table_destroy(t);
}

/* One token allows many actions at once, which are paid off before the next one. */
static void test_a_debt(void **state)
{
    struct rate_table *t = rate_table_create();
    struct rate_limit limit = {2, 3};
    int64_t now = 1000LL * SECOND;
    assert_int_equal(rate_take(t, RATE_INVITE, key, &limit, 13, now), 0);
    assert_int_equal(rate_take(t, RATE_INVITE, key, &limit, 1, now), 5500);
    assert_int_equal(rate_take(t, RATE_INVITE, key, &limit, 1, now + 5 * SECOND), 500);
    assert_int_equal(rate_take(t, RATE_INVITE, key, &limit, 1, now + 6 * SECOND), 0);
    rate_table_destroy(t);
}

/* An action that cannot be refused any more is paid off later, even if no token was left. */
static void test_owing(void **state)
{
    struct rate_table *t = rate_table_create();
    struct rate_limit limit = {2, 3};
    int64_t now = 1000LL * SECOND;
    rate_owe(t, RATE_KEY, key, &limit, 3, now);
    assert_int_equal(rate_take(t, RATE_KEY, key, &limit, 1, now), 500);
    rate_owe(t, RATE_KEY, key, &limit, 10, now);
    assert_int_equal(rate_take(t, RATE_KEY, key, &limit, 1, now), 5500);
    rate_owe(t, RATE_KEY, key, &(struct rate_limit){0, 0}, 10, now);
    assert_int_equal(rate_take(t, RATE_KEY, key, &limit, 1, now), 5500);
    rate_table_destroy(t);
}

static void test_no_limit(void **state)
{
    struct rate_table *t = rate_table_create();
    struct rate_limit none = {0, 0};
    for (int i = 0; i < 1000; i++)
        assert_int_equal(rate_take(t, RATE_LOGIN, key, &none, 1, SECOND), 0);
    rate_table_destroy(t);
}

/* With many callers, the limited ones are kept, and the idle ones replaced. */
static void test_the_table_is_bounded(void **state)
{
    struct rate_table *t = rate_table_create();
    struct rate_limit slow = {0.001, 1}, fast = {1000, 1};
    char name[32];
    assert_int_equal(rate_take(t, RATE_LOGIN, key, &slow, 1, SECOND), 0);
    for (int i = 0; i < 500000; i++) {
        snprintf(name, sizeof name, "@%d:b", i);
        assert_int_equal(rate_take(t, RATE_LOGIN, str_of(name), &fast, 1, SECOND + i), 0);
    }
    assert_true(rate_take(t, RATE_LOGIN, key, &slow, 1, 2 * SECOND) > 990000);
    rate_table_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bucket), cmocka_unit_test(test_buckets_are_apart),
        cmocka_unit_test(test_a_debt),   cmocka_unit_test(test_owing),
        cmocka_unit_test(test_no_limit), cmocka_unit_test(test_the_table_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

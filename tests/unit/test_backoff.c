#include "base/worker/backoff.h"

#include "check.h"

static const struct backoff doubled = {1000, 3600000, 2, 50, 100};

static void test_intervals_double_up_to_the_bound(void **state)
{
    static const struct {
        const char *proves;
        int64_t before, wanted;
    } rows[] = {
        {"the first failure waits the least", 0, 1000},
        {"then twice as long", 1000, 2000},
        {"and again", 2000, 4000},
        {"never over the bound", 2400000, 3600000},
        {"at the bound it stays", 3600000, 3600000},
        {"a bound that was made smaller counts", 9000000, 3600000},
        {"nor does it overflow", INT64_MAX, 3600000},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t got = backoff_interval(&doubled, rows[i].before);
        if (got != rows[i].wanted)
            fail_msg("%s: %lld", rows[i].proves, (long long)got);
    }
    const struct backoff low = {1000, 300, 2, 50, 100}; /* a bound below the least */
    assert_int_equal(backoff_interval(&low, 0), 300);
}

static void test_intervals_follow_from_the_number_of_failures(void **state)
{
    static const int64_t wanted[] = {1000, 2000, 4000};
    for (int i = 0; i < (int)COUNT(wanted); i++)
        assert_int_equal(backoff_interval_after(&doubled, i), wanted[i]);
    assert_int_equal(backoff_interval_after(&doubled, 12), 3600000);
    assert_int_equal(backoff_interval_after(&doubled, INT32_MAX), 3600000);
}

static void test_waits_are_within_the_bounds(void **state)
{
    assert_int_equal(backoff_wait(&doubled, 1000, 0), 500);
    assert_int_equal(backoff_wait(&doubled, 1000, UINT32_MAX), 1000);
    int64_t some = backoff_wait(&doubled, 3600000, UINT32_MAX / 3);
    assert_true(some > 1800000 && some < 3600000);
    assert_int_equal(backoff_wait(&doubled, 1, 7), 0); /* rounding: never longer than asked */
    const struct backoff longer = {1000, 3600000, 2, 100, 125};
    assert_int_equal(backoff_wait(&longer, 1000, 0), 1000);
    assert_int_equal(backoff_wait(&longer, 1000, UINT32_MAX), 1250);
    const struct backoff exact = {1000, 3600000, 2, 100, 100};
    assert_int_equal(backoff_wait(&exact, 1000, UINT32_MAX / 2), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intervals_double_up_to_the_bound),
        cmocka_unit_test(test_intervals_follow_from_the_number_of_failures),
        cmocka_unit_test(test_waits_are_within_the_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

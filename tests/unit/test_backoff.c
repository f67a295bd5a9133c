#include "federation/peer/backoff.h"

#include "check.h"

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
        int64_t got = backoff_interval(rows[i].before, 1000, 3600000);
        if (got != rows[i].wanted)
            fail_msg("%s: %lld", rows[i].proves, (long long)got);
    }
    assert_int_equal(backoff_interval(0, 1000, 300), 300); /* a bound below the least */
}

static void test_waits_are_the_upper_half(void **state)
{
    assert_int_equal(backoff_wait(1000, 0), 500);
    assert_int_equal(backoff_wait(1000, UINT32_MAX), 1000);
    int64_t some = backoff_wait(3600000, UINT32_MAX / 3);
    assert_true(some > 1800000 && some < 3600000);
    assert_int_equal(backoff_wait(1, 7), 0); /* rounding: never longer than asked */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intervals_double_up_to_the_bound),
        cmocka_unit_test(test_waits_are_the_upper_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

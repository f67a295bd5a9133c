/* What is retried after a conflict, and how often. */
#include "check.h"

#include "storage/db/retry.h"

static void only_conflicts_are_retried(void **state)
{
    static const struct {
        enum err_code code;
        bool again;
    } rows[] = {
        {ERR_CONFLICT, true},
        {ERR_FORBIDDEN, false},
        {ERR_UNAVAILABLE, false},
        {ERR_NOT_FOUND, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct retry retry = {0};
        assert_int_equal(retry_conflict(&retry, err(rows[i].code, "no")), rows[i].again);
        assert_int_equal(retry.attempts, rows[i].again);
    }
    struct retry retry = {0};
    assert_false(retry_conflict(&retry, NULL));
}

static void the_attempts_are_bounded(void **state)
{
    struct retry retry = {0};
    int n = 0;
    do
        n++;
    while (retry_conflict(&retry, err(ERR_CONFLICT, "no")));
    assert_int_equal(n, RETRY_ATTEMPTS_MAX);
}

static void more_attempts_may_lose_to_another_node(void **state)
{
    struct retry retry = {0};
    const struct err *e = err(ERR_CONFLICT, "no");
    for (int i = 1; i < RETRY_OUTRUN_MAX; i++) {
        retry.was_outrun = true;
        assert_true(retry_conflict(&retry, e));
    }
    assert_int_equal(retry.attempts, 0);
    assert_true(retry_conflict(&retry, e)); /* another conflict, the first of its kind */
    retry.was_outrun = true;
    assert_false(retry_conflict(&retry, e));
}

static void progress_begins_anew(void **state)
{
    struct retry retry = {.attempts = RETRY_ATTEMPTS_MAX - 1};
    assert_false(retry_conflict(&retry, err(ERR_CONFLICT, "no")));
    retry.attempts = 0;
    assert_true(retry_conflict(&retry, err(ERR_CONFLICT, "no")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_conflicts_are_retried),
        cmocka_unit_test(the_attempts_are_bounded),
        cmocka_unit_test(more_attempts_may_lose_to_another_node),
        cmocka_unit_test(progress_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/err.h"
#include "base/str.h"

#include "check.h"

static void test_codes(void **state)
{
    const struct err *e = err(ERR_FORBIDDEN, "You are not %s", "joined");
    assert_string_equal(err_errcode(e), "M_FORBIDDEN");
    assert_int_equal(err_status(e), 403);
    assert_string_equal(e->text, "You are not joined");
    assert_string_equal(e->fields, "");
    assert_int_equal(err_status(err(ERR_NOT_YET_UPLOADED, "x")), 504);
}

static void test_internal_hides_its_cause(void **state)
{
    const struct err *e = err_internal("disk %d is full", 3);
    assert_int_equal(err_status(e), 500);
    assert_null(strstr(e->text, "disk"));
    assert_string_equal(e->cause, "disk 3 is full");
}

static void test_fields(void **state)
{
    const struct err *e =
        err_with_fields(err(ERR_UNKNOWN_TOKEN, "Gone"), "\"soft_logout\":%s", "true");
    assert_string_equal(err_errcode(e), "M_UNKNOWN_TOKEN");
    assert_string_equal(e->text, "Gone");
    assert_string_equal(e->fields, "\"soft_logout\":true");
    e = err_limit_exceeded(1500);
    assert_int_equal(err_status(e), 429);
    assert_int_equal(e->retry_after_ms, 1500);
    assert_string_equal(e->fields, "\"retry_after_ms\":1500");
}

static void test_texts_are_utf8(void **state)
{
    char text[ERR_TEXT_MAX + 2];
    for (int before = ERR_TEXT_MAX - 4; before < ERR_TEXT_MAX; before++) {
        snprintf(text, sizeof text, "%*s\xf0\x9f\x98\x80", before, "x");
        const struct err *e = err(ERR_UNKNOWN, "%s", text);
        assert_true(utf8_valid(str_of(e->text)));
        assert_int_equal(strlen(e->text), before);
    }
    assert_string_equal(err(ERR_UNKNOWN, "near %.2s'", "a\xc3\xa4")->text, "near a");
}

static void test_ring(void **state)
{
    const struct err *first = err(ERR_NOT_FOUND, "first");
    for (int i = 1; i < ERR_RING; i++)
        assert_int_equal(err(ERR_FORBIDDEN, "other")->code, ERR_FORBIDDEN);
    assert_string_equal(first->text, "first");
    const struct err *copy = err_copy(first);
    assert_string_equal(copy->text, "first");
    assert_null(err_copy(NULL));
}

static void test_long_texts_are_cut(void **state)
{
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(strlen(err(ERR_UNKNOWN, "%s", text)->text), ERR_TEXT_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes),  cmocka_unit_test(test_internal_hides_its_cause),
        cmocka_unit_test(test_fields), cmocka_unit_test(test_texts_are_utf8),
        cmocka_unit_test(test_ring),   cmocka_unit_test(test_long_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/arena.h"

#include "check.h"

static void test_allocations(void **state)
{
    arena_auto struct arena *a = arena_create();
    for (size_t n = 0; n < 3000; n += 37) {
        unsigned char *p = arena_alloc(a, n);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, n); /* the next ones must be zero nevertheless */
    }
    assert_non_null(arena_alloc(a, 1000000));
}

static void test_texts(void **state)
{
    arena_auto struct arena *a = arena_create();
    assert_null(arena_strdup(a, NULL));
    assert_string_equal(arena_strdup(a, "text"), "text");
    assert_string_equal(arena_memdup(a, "texts", 4), "text");
    assert_string_equal(arena_memdup(a, NULL, 0), "");
    assert_string_equal(arena_printf(a, "%s-%d", "a", 7), "a-7");
}

static void test_reset_keeps_one_block(void **state)
{
    arena_auto struct arena *a = arena_create();
    arena_alloc(a, 100);
    for (int i = 0; i < 100; i++)
        arena_alloc(a, 5000);
    assert_true(arena_bytes(a) > 500000);
    arena_reset(a);
    assert_true(arena_bytes(a) > 5000 && arena_bytes(a) < 20000);
    arena_alloc(a, 1000000);
    arena_reset(a);
    assert_true(arena_bytes(a) < 20000);
    unsigned char *p = arena_alloc(a, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(p[i], 0);
}

static char order[8];

static void note(void *what)
{
    strcat(order, what);
}

static void test_deferred_calls_run_newest_first(void **state)
{
    order[0] = '\0';
    struct arena *a = arena_create();
    arena_defer(a, note, "1");
    arena_defer(a, note, "2");
    arena_reset(a);
    assert_string_equal(order, "21");
    arena_defer(a, note, "3");
    arena_destroy(a);
    assert_string_equal(order, "213");
    arena_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_reset_keeps_one_block),
        cmocka_unit_test(test_deferred_calls_run_newest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

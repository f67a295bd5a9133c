#include "base/map.h"

#include "check.h"

static void test_integers(void **state)
{
    enum { N = 5000 };
    static int values[N];
    struct map m = {0};
    assert_null(map_get_int(&m, 1));
    assert_null(map_remove_int(&m, 1));
    for (int i = 0; i < N; i++)
        assert_null(map_put_int(&m, (int64_t)i * 1024 - 7, &values[i]));
    assert_int_equal(m.n, N);
    for (int i = 0; i < N; i++)
        assert_ptr_equal(map_get_int(&m, (int64_t)i * 1024 - 7), &values[i]);
    assert_null(map_get_int(&m, 1));
    assert_ptr_equal(map_put_int(&m, -7, &values[1]), &values[0]);
    assert_int_equal(m.n, N);
    for (int i = 0; i < N; i += 2)
        assert_non_null(map_remove_int(&m, (int64_t)i * 1024 - 7));
    for (int i = 0; i < N; i++)
        assert_ptr_equal(map_get_int(&m, (int64_t)i * 1024 - 7), i % 2 ? &values[i] : NULL);
    assert_int_equal(m.n, N / 2);
    map_finish(&m);
}

static void test_strings(void **state)
{
    enum { N = 1000 };
    static char keys[N][8];
    struct map m = {0};
    for (int i = 0; i < N; i++) {
        snprintf(keys[i], sizeof keys[i], "k%d", i);
        assert_null(map_put(&m, str_of(keys[i]), keys[i]));
    }
    for (int i = 0; i < N; i++)
        assert_ptr_equal(map_get(&m, str_of(keys[i])), keys[i]);
    assert_null(map_get(&m, STR("k")));
    assert_null(map_get(&m, STR("")));
    assert_ptr_equal(map_remove(&m, STR("k5")), keys[5]);
    assert_null(map_remove(&m, STR("k5")));
    assert_int_equal(m.n, N - 1);
    map_finish(&m);
}

static void test_walk_sees_each_entry_once(void **state)
{
    int values[100], seen[100] = {0};
    struct map m = {0};
    for (int i = 0; i < 100; i++)
        map_put_int(&m, i, &values[i]);
    for (struct map_slot *s = NULL; (s = map_next(&m, s));)
        seen[(int *)s->value - values]++;
    for (int i = 0; i < 100; i++)
        assert_int_equal(seen[i], 1);
    map_finish(&m);
    assert_null(map_next(&(struct map){0}, NULL));
}

static void test_hash(void **state)
{
    assert_true(hash_bytes("a", 1) == hash_bytes("a", 1));
    assert_true(hash_bytes("a", 1) != hash_bytes("b", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_walk_sees_each_entry_once),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Large bodies, read by names and without a tree. */
#include "matrix/json_named.h"

#include "check.h"

static void test_bodies(void **state)
{
    static const struct {
        const char *proves, *body, *errcode, *wanted;
    } rows[] = {
        {"found", " {'a':1,'x':{'b':2}} ", NULL, "{\"b\":2}"},
        {"the last counts", "{'x':1,'x':{}}", NULL, "{}"},
        {"a key with escapes", "{'\\u0078':{}}", NULL, "{}"},
        {"nothing", "", "M_NOT_JSON", NULL},
        {"broken", "{'x':{}", "M_NOT_JSON", NULL},
        {"no object", "[]", "M_BAD_JSON", NULL},
        {"absent", "{}", "M_MISSING_PARAM", NULL},
        {"null", "{'x':null}", "M_MISSING_PARAM", NULL},
        {"another type", "{'x':[]}", "M_BAD_JSON", NULL},
    };
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str found = {0};
        const struct err *e = json_body_object(str_of(quoted(a, rows[i].body)), "x", &found);
        check_error(rows[i].proves, e, rows[i].errcode);
        if (rows[i].wanted)
            check_text(rows[i].proves, found, rows[i].wanted);
    }
}

static void test_integers(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct str o = str_of(quoted(a, "{'n':-5,'z':null,'f':1.5,'e':1e3,'s':'5','l':1234567890123456"
                                    "7890123}"));
    int64_t n = 0;
    check_error("an integer", json_named_int(o, "n", 7, &n), NULL);
    assert_int_equal(n, -5);
    check_error("absent", json_named_int(o, "none", 7, &n), NULL);
    assert_int_equal(n, 7);
    check_error("null", json_named_int(o, "z", 8, &n), NULL);
    assert_int_equal(n, 8);
    for (const char *key = "fesl"; *key; key++)
        check_error(key, json_named_int(o, (char[2]){*key}, 7, &n), "M_BAD_JSON");
    assert_int_equal(n, 8); /* written only on success */
}

static void check_list(const char *object, size_t max, const char *wanted, bool all)
{
    arena_auto struct arena *a = arena_create();
    struct json_named *list;
    size_t n;
    buf_auto struct buf got = {0};
    check_bool("all", object, json_named_list(a, str_of(quoted(a, object)), max, &list, &n), all);
    for (size_t i = 0; i < n; i++)
        buf_printf(&got, "%s=%.*s ", list[i].name, STR_FMT(list[i].value));
    check_text(object, buf_str(&got), wanted);
}

static void test_lists(void **state)
{
    check_list("{}", 5, "", true);
    check_list("{ 'a' : 1 , 'b':[2, 3] }", 5, "a=1 b=[2, 3] ", true);
    check_list("{'a':1,'b':2,'\\u0061':3,'c':4}", 3, "a=3 b=2 c=4 ", true);
    check_list("{'a':1,'b':2,'c':3}", 2, "a=1 b=2 ", false);
    check_list("{'a':1}", 0, "", false);
    check_list("{'a':1,'a':2,'a':3}", 1, "a=3 ", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/json.h"

#include "check.h"

static json_t *read_json(struct arena *a, const char *text)
{
    json_t *v = NULL;
    check_error(text, json_read(a, str_of(quoted(a, text)), &v), NULL);
    return v;
}

static char *nested(struct arena *a, int depth)
{
    char *text = arena_alloc(a, (size_t)depth * 2 + 1);
    memset(text, '[', (size_t)depth);
    memset(text + depth, ']', (size_t)depth);
    return text;
}

static void test_read(void **state)
{
    arena_auto struct arena *a = arena_create();
    json_t *v;
    check_error("depth at the limit", json_read(a, str_of(nested(a, JSON_DEPTH_MAX)), &v), NULL);
    check_error("too deep", json_read(a, str_of(nested(a, JSON_DEPTH_MAX + 1)), &v), "M_NOT_JSON");
    check_error("brackets in strings", json_read(a, STR("\"[[\\\"[\""), &v), NULL);
    check_error("nothing", json_read(a, (struct str){0}, &v), "M_NOT_JSON");
    check_error("rest", json_read(a, STR("{} x"), &v), "M_NOT_JSON");
    check_error("not UTF-8", json_read(a, STR("\"\xff\""), &v), "M_NOT_JSON");
    assert_int_equal(json_integer_value(json_object_get(read_json(a, "{'a':1,'a':2}"), "a")), 2);
}

static void test_typed_members(void **state)
{
    arena_auto struct arena *a = arena_create();
    const json_t *o =
        read_json(a, "{'s':'x','i':5,'b':true,'o':{},'l':[],'n':null,'z':'a\\u0000'}");
    const char *s = "before";
    int64_t i = 7;
    bool b = false;
    const json_t *v = NULL;
    check_error("string", json_need_string(o, "s", &s), NULL);
    assert_string_equal(s, "x");
    check_error("absent", json_need_string(o, "none", &s), "M_MISSING_PARAM");
    check_error("null is absent", json_need_string(o, "n", &s), "M_MISSING_PARAM");
    check_error("other type", json_need_string(o, "i", &s), "M_BAD_JSON");
    check_error("NUL in a string", json_need_string(o, "z", &s), "M_BAD_JSON");
    assert_string_equal(s, "x"); /* outputs are written only on success */
    check_error("default", json_want_string(o, "none", "def", &s), NULL);
    assert_string_equal(s, "def");
    check_error("integer", json_need_int(o, "i", &i), NULL);
    assert_int_equal(i, 5);
    check_error("not an integer", json_want_int(o, "s", 0, &i), "M_BAD_JSON");
    check_error("boolean", json_want_bool(o, "b", false, &b), NULL);
    assert_true(b);
    check_error("object", json_need_object(o, "o", &v), NULL);
    assert_true(json_is_object(v));
    check_error("not an object", json_need_object(o, "l", &v), "M_BAD_JSON");
    check_error("array", json_need_array(o, "l", &v), NULL);
    check_error("absent array", json_want_array(o, "none", &v), NULL);
    assert_null(v);
}

/* As Python's json module writes them, so that what is encoded again has the same bytes. */
static void test_floats(void **state)
{
    arena_auto struct arena *a = arena_create();
    const json_t *o =
        read_json(a, "[0.1,1.10,1.0,-0.0,1e-7,0.0001,1e15,1e16,1.5e300,123456789.123456789]");
    assert_string_equal(json_write(a, o), "[0.1,1.1,1.0,-0.0,1e-07,0.0001,1000000000000000.0,1e+16,"
                                          "1.5e+300,123456789.12345679]");
    json_t *v;
    check_error("float beyond doubles", json_read(a, STR("1e400"), &v), "M_BAD_JSON");
    check_error("integer beyond 64 bits", json_read(a, STR("[99999999999999999999]"), &v),
                "M_BAD_JSON");
}

static void test_lenient_access(void **state)
{
    arena_auto struct arena *a = arena_create();
    const json_t *o = read_json(a, "{'a':{'b':{'c':'deep'}},'i':5}");
    assert_string_equal(json_text(json_at(o, "a", "b", NULL), "c"), "deep");
    assert_null(json_at(o, "a", "x", "c", NULL));
    assert_null(json_text(o, "i"));
    assert_null(json_text(NULL, "i"));
    const json_t *texts = read_json(a, "['a','a\\u0000',5]");
    assert_string_equal(json_string_text(json_array_get(texts, 0)), "a");
    for (size_t i = 1; i < 4; i++)
        assert_null(json_string_text(json_array_get(texts, i)));
    assert_string_equal(json_write(a, o), quoted(a, "{'a':{'b':{'c':'deep'}},'i':5}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_typed_members),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_lenient_access),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

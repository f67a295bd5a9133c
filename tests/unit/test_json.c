#include "base/json.h"

#include "base/json_trees.h"
#include "check.h"
#include "waiting.h"

#include <malloc.h>
#include <pthread.h>

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

/* ---- memory ---- */

static char *repeated(struct arena *a, const char *before, const char *unit, size_t bytes,
                      const char *after)
{
    struct buf b = {0};
    buf_add_text(&b, before);
    for (size_t i = 0; b.n < bytes; i++) {
        char text[64];
        snprintf(text, sizeof text, unit, (unsigned)i);
        buf_add_text(&b, i ? "," : "");
        buf_add_text(&b, text);
    }
    buf_add_text(&b, after);
    char *copy = arena_memdup(a, b.p, b.n);
    buf_finish(&b);
    return copy;
}

static size_t in_use;

static void *counting_malloc(size_t n)
{
    void *p = malloc(n);
    in_use += malloc_usable_size(p) + 8;
    return p;
}

static void counting_free(void *p)
{
    if (p)
        in_use -= malloc_usable_size(p) + 8;
    free(p);
}

/* jansson never uses much more memory than was counted, and seldom far less. */
static void test_measure(void **state)
{
    static const struct {
        const char *before, *unit, *after;
    } shapes[] = {
        {"[", "{}", "]"},
        {"[", "[]", "]"},
        {"[", "1", "]"},
        {"[", "-1.5e3", "]"},
        {"[", "true", "]"},
        {"[", "\"\"", "]"},
        {"[", "\"a long one, \\\" and more of it, longer than most %u\"", "]"},
        {"{", "\"%u\":1", "}"},
        {"{", "\"key%u\":{\"a\":[1,null]}", "}"},
        {"[", "[[[{\"a\":{}}]]]", "]"},
        {"{\"x\":{", "\"@user%u:example.com\":[]", "}}"},
    };
    json_set_alloc_funcs(counting_malloc, counting_free);
    for (size_t i = 0; i < COUNT(shapes); i++) {
        arena_auto struct arena *a = arena_create();
        struct str text =
            str_of(repeated(a, shapes[i].before, shapes[i].unit, 100000, shapes[i].after));
        struct json_measure m = json_measure(text);
        json_auto_t *v = json_loadb(text.p, text.n, 0, NULL);
        assert_non_null(v);
        if (in_use > m.tree_bytes || in_use * 3 < m.tree_bytes)
            fail_msg("%s: %zu bytes were counted, %zu are used", shapes[i].unit, m.tree_bytes,
                     in_use);
        json_decref(v);
        v = NULL;
        assert_int_equal(in_use, 0);
    }
    json_set_alloc_funcs(malloc, free);
}

static void test_tree_bounds(void **state)
{
    arena_auto struct arena *a = arena_create();
    json_t *v;
    size_t before = json_trees_bytes();
    check_error("an event of nothing but objects",
                json_read(a, str_of(repeated(a, "[", "{}", 65536, "]")), &v), NULL);
    assert_true(arena_owned(a) > 4000000);
    check_error("2 MB of objects", json_read(a, str_of(repeated(a, "[", "{}", 2000000, "]")), &v),
                "M_TOO_LARGE");
    check_error("2 MB of arrays", json_read(a, str_of(repeated(a, "[", "[]", 2000000, "]")), &v),
                "M_TOO_LARGE");
    check_error("10 MB of numbers", json_read(a, str_of(repeated(a, "[", "1", 10000000, "]")), &v),
                "M_TOO_LARGE");
    check_error("one string of 10 MB",
                json_read(a, str_of(repeated(a, "[\"", "xxxxxxxxxxxxxxx", 10000000, "\"]")), &v),
                NULL);
    check_error(
        "2 MB of users",
        json_read(a, str_of(repeated(a, "{", "\"@user%u:example.com\":[]", 1500000, "}")), &v),
        NULL);
    check_error("broken", json_read(a, str_of(repeated(a, "[", "1", 500000, "}")), &v),
                "M_NOT_JSON");
    assert_true(json_trees_bytes() > before);
    arena_reset(a);
    assert_int_equal(json_trees_bytes(), before);
    assert_int_equal(arena_owned(a), 0);
}

static void test_budget(void **state)
{
    static struct budget b = {.size = 1000};
    assert_false(budget_is_over(&b, 1));
    assert_false(budget_take(&b, 1, 1001));
    assert_true(budget_take(&b, 1, 500));
    assert_false(budget_take(&b, 1, 1)); /* half of it, at most */
    assert_true(budget_take(&b, 2, 250));
    assert_false(budget_take(&b, 2, 1));
    assert_true(budget_take(&b, 3, 125));
    budget_give_back(&b, 1, 500);
    assert_true(budget_take(&b, 2, 100));
    budget_overdraw(&b, 4, 1000);
    assert_false(budget_take(&b, 5, 1));
    budget_give_back(&b, 4, 1000);
    assert_true(budget_take(&b, 5, 1));
    for (int i = 0; i < 1000; i++) /* twenty that take what they get, and return the rest */
        for (uint64_t hog = 10; hog < 30; hog++) {
            budget_take(&b, hog, 1);
            if (budget_is_over(&b, hog))
                budget_give_back(&b, hog, 1);
        }
    assert_true(budget_take(&b, 99, 5));
}

static void test_budget_of_shares(void **state)
{
    static struct budget b = {.size = 100, .share = 10};
    for (uint64_t source = 0; source < 10; source++) {
        assert_true(budget_take(&b, source, 4));
        assert_true(budget_take(&b, source, 6));
        assert_false(budget_take(&b, source, 1));
    }
    assert_false(budget_take(&b, 10, 1));
    budget_give_back(&b, 3, 4);
    assert_true(budget_take(&b, 10, 4));
}

/* ---- the memory of all trees ---- */

/* A tree of about so many bytes, for a source. */
static const struct err *read_tree(struct arena *a, uint64_t source, size_t bytes)
{
    json_t *v;
    buf_auto struct buf text = {0};
    buf_reserve(&text, bytes + 2);
    memset(text.p, 'x', bytes);
    text.p[0] = text.p[bytes - 1] = '"';
    text.n = bytes;
    arena_set_source(a, source);
    return json_read(a, buf_str(&text), &v);
}

enum { MIB = 1 << 20 };

/* Ten sources take all they get, and keep it. */
static void test_another_source_has_its_share(void **state)
{
    struct arena *hogs[30];
    size_t n = 0, before = json_trees_bytes();
    for (uint64_t source = 1; source <= 10; source++)
        for (size_t mib = 24; mib; mib /= 2) {
            struct tree_memory m = {.source = source, .bytes = mib * MIB};
            if (!tree_memory_take(&m)) /* the next would wait */
                continue;
            tree_memory_give_back(&m);
            hogs[n] = arena_create();
            check_error("a hog", read_tree(hogs[n++], source, mib * MIB - 1000), NULL);
            break;
        }
    assert_true(n >= 10);
    arena_auto struct arena *a = arena_create();
    check_error("the eleventh", read_tree(a, 11, 900 * 1024), NULL);
    assert_int_equal(json_trees_waiting(), 0);
    while (n)
        arena_destroy(hogs[--n]);
    arena_reset(a);
    assert_int_equal(json_trees_bytes(), before);
}

struct reader {
    pthread_t thread;
    struct arena *arena;
    uint64_t source;
    atomic_bool done;
};

static void *read_large(void *arg)
{
    struct reader *r = arg;
    check_error("a large one", read_tree(r->arena, r->source, 20 * MIB), NULL);
    atomic_store(&r->done, true);
    return NULL;
}

static void start_reader(struct reader *r, uint64_t source, int waiting)
{
    *r = (struct reader){.arena = arena_create(), .source = source};
    pthread_create(&r->thread, NULL, read_large, r);
    WAIT_UNTIL(json_trees_waiting() >= waiting);
}

static void end_reader(struct reader *r)
{
    pthread_join(r->thread, NULL);
    assert_true(atomic_load(&r->done));
    arena_destroy(r->arena);
}

/* Of the waiting sources, the one that holds nothing is next; later ones do not overtake it. */
static void test_sources_are_served_in_turn(void **state)
{
    arena_auto struct arena *first = arena_create(), *second = arena_create();
    struct reader same, other;
    check_error("first", read_tree(first, 1, 30 * MIB), NULL);
    check_error("second", read_tree(second, 2, 30 * MIB), NULL);
    start_reader(&same, 2, 1); /* 80 MiB and another 50 are too many */
    start_reader(&other, 3, 2);
    struct tree_memory late = {.source = 4, .bytes = 2 * MIB};
    assert_false(tree_memory_take(&late));
    arena_reset(first); /* space for one of them */
    end_reader(&other);
    assert_false(atomic_load(&same.done));
    arena_reset(second);
    end_reader(&same);
    assert_true(tree_memory_take(&late));
    tree_memory_give_back(&late);
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
        cmocka_unit_test(test_measure),
        cmocka_unit_test(test_tree_bounds),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_budget_of_shares),
        cmocka_unit_test(test_another_source_has_its_share),
        cmocka_unit_test(test_sources_are_served_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "check.h"

#include "http/query.h"

static const struct {
    const char *proves, *raw;
    bool plus;
    const char *wanted; /* NULL: M_INVALID_PARAM */
} decodings[] = {
    {"nothing to decode", "abc", false, "abc"},
    {"empty", "", false, ""},
    {"both cases of hex", "%2f%2F", false, "//"},
    {"UTF-8", "%C3%A9\xc3\xa9", false, "\xc3\xa9\xc3\xa9"},
    {"plus in a path", "a+b", false, "a+b"},
    {"plus in a query", "a+b%2B", true, "a b+"},
    {"a lone percent sign", "100%", false, "100%"},
    {"not hex", "%zz%4", false, "%zz%4"},
    {"decoded once", "%2541", false, "%41"},
    {"NUL", "a%00b", false, NULL},
    {"not UTF-8", "%ff", false, NULL},
    {"overlong UTF-8", "%c0%af", false, NULL},
    {"a surrogate", "%ed%a0%80", false, NULL},
    {"cut UTF-8", "%c3", false, NULL},
};

static void test_decoding(void **state)
{
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < COUNT(decodings); i++) {
        const char *got = NULL;
        const struct err *e = query_decode(a, str_of(decodings[i].raw), decodings[i].plus, &got);
        check_error(decodings[i].proves, e, decodings[i].wanted ? NULL : "M_INVALID_PARAM");
        if (!e)
            check_text(decodings[i].proves, str_of(got), decodings[i].wanted);
    }
}

static const struct {
    const char *proves, *text, *wanted; /* name=value; ... or NULL: M_INVALID_PARAM */
} queries[] = {
    {"none", NULL, ""},
    {"empty", "", ""},
    {"one", "a=b", "a=b;"},
    {"several, repeated", "a=b&a=c&d=e", "a=b;a=c;d=e;"},
    {"no value", "a&b=", "a=;b=;"},
    {"no name", "=x", "=x;"},
    {"the first equals sign divides", "a=b=c", "a=b=c;"},
    {"empty pairs", "&&a=b&&", "a=b;"},
    {"encoded separators", "a=%26%3D&%26=x", "a=&=;&=x;"},
    {"a filter", "filter=%7B%22a%22%3A+1%7D", "filter={\"a\": 1};"},
    {"bad bytes anywhere", "a=b&c=%ff", NULL},
};

static void test_queries(void **state)
{
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < COUNT(queries); i++) {
        struct url_query q;
        const struct err *e = query_parse(a, queries[i].text, &q);
        check_error(queries[i].proves, e, queries[i].wanted ? NULL : "M_INVALID_PARAM");
        if (e)
            continue;
        buf_auto struct buf b = {0};
        for (size_t p = 0; p < q.n; p++)
            buf_printf(&b, "%s=%s;", q.pairs[p].name, q.pairs[p].value);
        check_text(queries[i].proves, buf_str(&b), queries[i].wanted);
    }
}

static void test_too_many_parameters(void **state)
{
    arena_auto struct arena *a = arena_create();
    buf_auto struct buf b = {0};
    struct url_query q;
    for (int i = 0; i < QUERY_PAIRS_MAX; i++)
        buf_add_text(&b, i ? "&a" : "a");
    check_error("at the limit", query_parse(a, b.p, &q), NULL);
    assert_int_equal(q.n, QUERY_PAIRS_MAX);
    buf_add_text(&b, "&a");
    check_error("over the limit", query_parse(a, b.p, &q), "M_INVALID_PARAM");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decoding),
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_too_many_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

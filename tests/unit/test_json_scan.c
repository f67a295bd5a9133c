#include "matrix/json_scan.h"

#include "check.h"

static void test_check(void **state)
{
    static const struct {
        const char *proves, *text;
        bool valid;
    } rows[] = {
        {"empty object", "{}", true},
        {"white space around", " \t\r\n{ } \n", true},
        {"scalars are documents", "1", true},
        {"true", "true", true},
        {"false", "false", true},
        {"null", "null", true},
        {"words are whole", "nul", false},
        {"words are lower case", "True", false},
        {"nested", "{'a':[1,{'b':[]}],'c':'d'}", true},
        {"nothing", "", false},
        {"only white space", "  ", false},
        {"rest", "{}{}", false},
        {"unclosed object", "{'a':1", false},
        {"unclosed array", "[1", false},
        {"wrong bracket", "[1}", false},
        {"comma at the end of an object", "{'a':1,}", false},
        {"comma at the end of an array", "[1,]", false},
        {"leading comma", "[,1]", false},
        {"missing colon", "{'a' 1}", false},
        {"missing value", "{'a':}", false},
        {"key without quotes", "{a:1}", false},
        {"zero", "0", true},
        {"minus zero", "-0", true},
        {"fraction and exponent", "-1.5e+10", true},
        {"capital exponent", "1E-5", true},
        {"leading zero", "01", false},
        {"leading plus", "+1", false},
        {"only minus", "-", false},
        {"no digit before the point", ".5", false},
        {"no digit behind the point", "1.", false},
        {"no digit in the exponent", "1e", false},
        {"more digits than an integer has", "123456789012345678901234567890", true},
        {"NaN", "NaN", false},
        {"all escapes", "'\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9'", true},
        {"unknown escape", "'\\x'", false},
        {"cut escape", "'\\", false},
        {"cut \\u", "'\\u00e'", false},
        {"surrogate pair", "'\\ud83d\\ude00'", true},
        {"lone high surrogate", "'\\ud83d'", false},
        {"lone low surrogate", "'\\ude00'", false},
        {"high surrogate and no low one", "'\\ud83dx\\ude00'", false},
        {"two high surrogates", "'\\ud83d\\ud83d'", false},
        {"NUL in a string", "'\\u0000'", true},
        {"NUL in a key", "{'\\u0000':1}", false},
        {"escape in a key", "{'\\u0001':1}", true},
        {"control byte in a string", "'a\nb'", false},
        {"DEL in a string", "'\x7f'", true},
        {"unclosed string", "'abcdefghijklmnop", false},
        {"UTF-8", "'\xe6\x97\xa5\xf0\x9f\x98\x80'", true},
        {"broken UTF-8", "'\xe6\x97'", false},
        {"overlong UTF-8", "'\xc0\xaf'", false},
        {"UTF-8 surrogate", "'\xed\xa0\x80'", false},
        {"byte order mark", "\xef\xbb\xbf{}", false},
        {"bad bytes behind eight good ones", "'abcdefgh\x01'", false},
        {"comments", "{}/**/", false},
    };
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < COUNT(rows); i++)
        check_error(rows[i].proves, json_scan_check(str_of(quoted(a, rows[i].text))),
                    rows[i].valid ? NULL : "M_NOT_JSON");
    check_error("a NUL byte", json_scan_check(STR("{}\0")), "M_NOT_JSON");
}

static void test_depth(void **state)
{
    char text[2 * (JSON_DEPTH_MAX + 1) + 1] = "";
    for (int depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        check_error("depth", json_scan_check((struct str){text, (size_t)depth * 2}),
                    depth == JSON_DEPTH_MAX ? NULL : "M_NOT_JSON");
    }
}

static void test_get(void **state)
{
    static const struct {
        const char *proves, *doc, *key, *value;
    } rows[] = {
        {"number", "{'a':1,'b':2}", "b", "2"},
        {"the unchanged value", "{ 'a' : { 'b' : [ 1 , 2 ] } }", "a", "{ 'b' : [ 1 , 2 ] }"},
        {"a string keeps its quotes", "{'a':'x\\\"}'}", "a", "'x\\\"}'"},
        {"a word", "{'a':true ,'b':null}", "a", "true"},
        {"absent", "{'a':1}", "b", NULL},
        {"the last of two", "{'a':1,'a':2}", "a", "2"},
        {"only the top level", "{'x':{'a':1}}", "a", NULL},
        {"a prefix is another key", "{'ab':1}", "a", NULL},
        {"an escaped key", "{'\\u0061':1}", "a", "1"},
        {"another escaped key", "{'\\u0062':1}", "a", NULL},
        {"a key that looks like an escape", "{'\\\\u0061':1,'\\u0061':2}", "\\u0061", "1"},
        {"empty key", "{'':1}", "", "1"},
        {"empty object", "{}", "a", NULL},
        {"array", "['a',1]", "a", NULL},
        {"scalar", "5", "a", NULL},
    };
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str v = json_scan_get(str_of(quoted(a, rows[i].doc)), rows[i].key);
        if (!rows[i].value)
            check_bool(rows[i].proves, rows[i].doc, v.p == NULL, true);
        else
            check_text(rows[i].proves, v, quoted(a, rows[i].value));
    }
}

static void test_path(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct str doc =
        str_of(quoted(a, "{'content':{'m.relates_to':{'rel_type':'m.thread'}},'type':'x'}"));
    check_text("path", json_scan_path(doc, "content", "m.relates_to", "rel_type", NULL),
               "\"m.thread\"");
    assert_null(json_scan_path(doc, "content", "none", "rel_type", NULL).p);
    assert_null(json_scan_path(doc, "type", "x", NULL).p);
    check_text("no step", json_scan_path(doc, NULL), doc.p);
}

static void test_object(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct json_members ms;
    struct str doc = str_of(quoted(a, " {'b': 1, 'a':[2, 3] ,'b\\u0062':'x'} "));
    check_error("object", json_scan_object(a, doc, &ms), NULL);
    assert_int_equal(ms.n, 3);
    check_text("document order", ms.m[0].key, "b");
    check_text("raw value", ms.m[1].value, "[2, 3]");
    check_text("key still escaped", ms.m[2].key, "b\\u0062");
    check_error("an array", json_scan_object(a, STR("[]"), &ms), "M_BAD_JSON");
    check_error("empty", json_scan_object(a, STR("{ }"), &ms), NULL);
    assert_int_equal(ms.n, 0);
}

static void test_next_walks_arrays(void **state)
{
    struct str doc = STR(" [ 1 , \"two\" , [3] , {\"four\":4} ] ");
    static const char *const wanted[] = {"1", "\"two\"", "[3]", "{\"four\":4}"};
    struct json_member m;
    size_t n = 0;
    for (size_t pos = 0; json_scan_next(doc, &pos, &m); n++) {
        assert_true(n < 4);
        assert_int_equal(m.key.n, 0);
        check_text("element", m.value, wanted[n]);
    }
    assert_int_equal(n, 4);
}

/* The result may be meaningless, but stays within the bytes. */
static void test_next_survives_garbage(void **state)
{
    static const char *const rows[] = {"{\"",   "{\"a",  "{\"a\"", "{\"a\":", "{\"a\":\"", "[\"\\",
                                       "[[[",   "[1,,2", "{,}",    "{]",      "{\"a\":}",  "[}",
                                       "{\"\\", "",      " ",      "{a:1}"};
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t n = strlen(rows[i]), steps = 0;
        char *exact = malloc(n ? n : 1); /* so that the address sanitizer sees the end */
        memcpy(exact, rows[i], n);
        struct json_member m;
        for (size_t pos = 0; json_scan_next((struct str){exact, n}, &pos, &m); steps++)
            assert_true(steps < 10);
        json_scan_get((struct str){exact, n}, "a");
        free(exact);
    }
}

static void test_strings(void **state)
{
    static const struct {
        const char *proves, *raw, *text;
    } rows[] = {
        {"plain", "'abc'", "abc"},
        {"empty", "''", ""},
        {"escapes", "'\\\"\\\\\\/\\b\\f\\n\\r\\t'", "\"\\/\b\f\n\r\t"},
        {"two bytes", "'\\u00e9'", "\xc3\xa9"},
        {"three bytes", "'\\u65E5'", "\xe6\x97\xa5"},
        {"a pair", "'\\ud83d\\ude00!'", "\xf0\x9f\x98\x80!"},
        {"with NUL", "'a\\u0000b'", NULL},
        {"a number", "5", NULL},
        {"an object", "{}", NULL},
    };
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str raw = str_of(quoted(a, rows[i].raw));
        char *text = json_scan_string(a, raw);
        if (!rows[i].text)
            check_bool(rows[i].proves, rows[i].raw, text == NULL, true);
        else
            check_text(rows[i].proves, str_of(text), rows[i].text);
        if (rows[i].text)
            check_bool(rows[i].proves, rows[i].raw, json_scan_string_is(raw, rows[i].text), true);
        check_bool(rows[i].proves, rows[i].raw, json_scan_string_is(raw, "other"), false);
    }
    assert_null(json_scan_string(a, (struct str){0}));
    assert_false(json_scan_string_is(STR("\"a\\u0062\""), "a"));
    assert_false(json_scan_string_is(STR("\"a\\u0062\""), "abc"));
    assert_false(json_scan_string_is(STR("\"a\\u0000\""), "a"));
    assert_true(json_scan_string_is(STR("\"a\\u0062\""), "ab"));
}

static void test_ints(void **state)
{
    static const struct {
        const char *raw;
        bool ok;
        int64_t value;
    } rows[] = {
        {"0", true, 0},      {"-12", true, -12},
        {"1.0", false, 0},   {"1e3", false, 0},
        {"\"1\"", false, 0}, {"9223372036854775807", true, INT64_MAX},
        {"true", false, 0},  {"9223372036854775808", false, 0},
        {"", false, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t v = 0;
        check_bool("integer", rows[i].raw, json_scan_int(str_of(rows[i].raw), &v), rows[i].ok);
        assert_int_equal(v, rows[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_object),
        cmocka_unit_test(test_next_walks_arrays),
        cmocka_unit_test(test_next_survives_garbage),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_ints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "matrix/canonical_json.h"

#include "check.h"

#define L CANONICAL_LENIENT
#define S CANONICAL_STRICT
#define W CANONICAL_SHORTEST /* W: as it is written into signed requests */

#define NINES_10 "9999999999"
#define NINES_100                                                                                  \
    NINES_10 NINES_10 NINES_10 NINES_10 NINES_10 NINES_10 NINES_10 NINES_10 NINES_10 NINES_10

static const struct row {
    const char *proves, *text;
    enum canonical_mode mode;
    const char *canonical, *errcode;
} rows[] = {
    /* Appendices, "Canonical JSON", examples */
    {"example 1", "{}", S, "{}", NULL},
    {"example 2", "{\n    'one': 1,\n    'two': 'Two'\n}", S, "{'one':1,'two':'Two'}", NULL},
    {"example 3", "{\n    'b': '2',\n    'a': '1'\n}", S, "{'a':'1','b':'2'}", NULL},
    {"example 4", "{'b':'2','a':'1'}", S, "{'a':'1','b':'2'}", NULL},
    {"example 5",
     "{'auth':{'success':true,'mxid':'@john.doe:example.com','profile':{'display_name':'John "
     "Doe','three_pids':[{'medium':'email','address':'john.doe@example.org'},{'medium':'msisdn',"
     "'address':'123456789'}]}}}",
     S,
     "{'auth':{'mxid':'@john.doe:example.com','profile':{'display_name':'John "
     "Doe','three_pids':[{'address':'john.doe@example.org','medium':'email'},{'address':'123456789'"
     ",'medium':'msisdn'}]},'success':true}}",
     NULL},
    {"example 6", "{\n    'a': '日本語'\n}", S, "{'a':'日本語'}", NULL},
    {"example 7", "{\n    '本': 2,\n    '日': 1\n}", S, "{'日':1,'本':2}", NULL},
    {"example 8", "{\n    'a': '\\u65E5'\n}", S, "{'a':'日'}", NULL},
    {"example 9", "{\n    'a': null\n}", S, "{'a':null}", NULL},
    {"example 10", "{\n    'a': -0,\n    'b': 1e10\n}", L, "{'a':0,'b':10000000000}", NULL},

    {"shortest escapes", "'\\u0008\\u0009\\u000a\\u000c\\u000d\\u0022\\u005c\\/'", S,
     "'\\b\\t\\n\\f\\r\\\"\\\\/'", NULL},
    {"other controls stay \\u, in lower case", "'\\u001F\\u0000\\u000B'", S,
     "'\\u001f\\u0000\\u000b'", NULL},
    {"DEL is not escaped", "'\\u007f'", S, "'\x7f'", NULL},
    {"surrogate pairs become UTF-8", "'\\uD83D\\uDE00'", S, "'\xf0\x9f\x98\x80'", NULL},
    {"order is by code point, not UTF-16", "{'\\ud83d\\ude00':1,'\\uffff':2}", S,
     "{'\xef\xbf\xbf':2,'\xf0\x9f\x98\x80':1}", NULL},
    {"escaped keys sort as what they mean", "{'\\\\':1,'[':2,'\\u0041':3,'\\n':4}", S,
     "{'\\n':4,'A':3,'[':2,'\\\\':1}", NULL},
    {"control characters sort below space", "{' ':1,'\\u0001':2,'\\t':3}", S,
     "{'\\u0001':2,'\\t':3,' ':1}", NULL},
    {"a prefix comes first", "{'ab':1,'a':2,'':3}", S, "{'':3,'a':2,'ab':1}", NULL},
    {"inner objects are sorted in outer ones", "{'b':{'d':1,'c':[{'f':1,'e':2}]},'a':{}}", S,
     "{'a':{},'b':{'c':[{'e':2,'f':1}],'d':1}}", NULL},
    {"arrays keep their order", "[3, 1 ,2]", S, "[3,1,2]", NULL},
    {"scalars", " 'x' ", S, "'x'", NULL},

    {"greatest integer", "9007199254740991", S, "9007199254740991", NULL},
    {"smallest integer", "-9007199254740991", S, "-9007199254740991", NULL},
    {"strict: 2^53", "9007199254740992", S, NULL, "M_BAD_JSON"},
    {"strict: -2^53", "-9007199254740992", S, NULL, "M_BAD_JSON"},
    {"strict: beyond 64 bits", "99999999999999999999", S, NULL, "M_BAD_JSON"},
    {"strict: a float", "{'a':[1.5]}", S, NULL, "M_BAD_JSON"},
    {"strict: 1.0 is a float", "1.0", S, NULL, "M_BAD_JSON"},
    {"strict: an exponent", "1e10", S, NULL, "M_BAD_JSON"},
    {"strict: minus zero", "{'a':-0}", S, "{'a':0}", NULL},
    {"strict: a key twice", "{'a':1,'a':1}", S, NULL, "M_BAD_JSON"},
    {"strict: a key twice, once escaped", "{'a':1,'b':2,'\\u0061':1}", S, NULL, "M_BAD_JSON"},
    {"lenient: large integers stay", "99999999999999999999", L, "99999999999999999999", NULL},
    {"lenient: floats stay as written", "[1.50,1.0,-0.0,1e-7]", L, "[1.50,1.0,-0.0,1e-7]", NULL},
    {"lenient: large exponents stay", "[1e16,1E+16]", L, "[1e16,1E+16]", NULL},
    {"lenient: beyond doubles", "[1E400]", L, NULL, "M_BAD_JSON"},
    {"lenient: an integer beyond doubles", "9" NINES_100 NINES_100 NINES_100 NINES_100, L, NULL,
     "M_BAD_JSON"},
    {"lenient: an integer within doubles", NINES_100 NINES_100, L, NINES_100 NINES_100, NULL},
    {"signed: the shortest digits", "[1.10,0.10000000000000001,123456789.123456789]", W,
     "[1.1,0.1,123456789.12345679]", NULL},
    {"signed: floats remain floats", "[1.0,-0.0,100.00,0.5e0]", W, "[1.0,-0.0,100.0,0.5]", NULL},
    {"signed: exponents as Python has them", "[1e-7,0.00001,0.0001,1E16,12e99]", W,
     "[1e-07,1e-05,0.0001,1e+16,1.2e+100]", NULL},
    {"signed: below every double", "[1e-400]", W, "[0]", NULL},
    {"signed: small whole exponents are integers", "[1E2,1.5e1]", W, "[100,15]", NULL},
    {"signed: large integers stay", "99999999999999999999", W, "99999999999999999999", NULL},
    {"signed: beyond doubles", "1E400", W, NULL, "M_BAD_JSON"},
    {"lenient: small whole exponents are integers", "[1E2,1.5e1,-2e+0]", L, "[100,15,-2]", NULL},
    {"lenient: the last of two keys", "{'b':0,'a':1,'a':2,'\\u0061':3}", L, "{'a':3,'b':0}", NULL},

    {"malformed", "{'a':1,}", S, NULL, "M_NOT_JSON"},
    {"malformed, lenient", "{'a' 1}", L, NULL, "M_NOT_JSON"},
    {"rest", "{}x", S, NULL, "M_NOT_JSON"},
    {"nothing", "", S, NULL, "M_NOT_JSON"},
    {"not UTF-8", "'\xff'", S, NULL, "M_NOT_JSON"},
    {"lone surrogate", "'\\ud800'", S, NULL, "M_NOT_JSON"},
    {"NUL in a key", "{'\\u0000':1}", S, NULL, "M_NOT_JSON"},
};

static void test_rows(void **state)
{
    arena_auto struct arena *a = arena_create();
    for (const struct row *r = rows; r < rows + COUNT(rows); r++) {
        buf_auto struct buf b = {0};
        buf_add_text(&b, "before ");
        check_error(r->proves, canonical_json_add(&b, r->mode, str_of(quoted(a, r->text))),
                    r->errcode);
        char *wanted = arena_printf(a, "before %s", r->canonical ? quoted(a, r->canonical) : "");
        check_text(r->proves, buf_str(&b), wanted); /* on error nothing was appended */
    }
}

/* A tree does not say how a float was written. */
static bool has_real(const json_t *v)
{
    const char *key;
    json_t *member;
    size_t i;
    bool found = json_is_real(v);
    json_object_foreach ((json_t *)v, key, member)
        found |= has_real(member);
    json_array_foreach (v, i, member)
        found |= has_real(member);
    return found;
}

/* Whatever jansson can hold must come out the same by way of a tree. */
static void test_tree_agrees(void **state)
{
    arena_auto struct arena *a = arena_create();
    for (const struct row *r = rows; r < rows + COUNT(rows); r++) {
        buf_auto struct buf b = {0};
        char *text = quoted(a, r->text);
        json_auto_t *tree = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (!tree || (r->mode != S && has_real(tree)) || strstr(r->proves, "key twice"))
            continue;
        check_error(r->proves, canonical_json_add_tree(&b, r->mode, tree), r->errcode);
        check_text(r->proves, buf_str(&b), r->canonical ? quoted(a, r->canonical) : "");
    }
}

static void test_tree_reals(void **state)
{
    static const struct {
        double value;
        const char *lenient;
    } reals[] = {{1e10, "10000000000.0"},
                 {-0.0, "-0.0"},
                 {1.5, "1.5"},
                 {0.1, "0.1"},
                 {1e300, "1e+300"},
                 {0x1p-1017, "7.120236347223045e-307"}};
    for (size_t i = 0; i < COUNT(reals); i++) {
        buf_auto struct buf b = {0};
        json_auto_t *v = json_real(reals[i].value);
        check_error("strict", canonical_json_add_tree(&b, S, v), "M_BAD_JSON");
        check_error("lenient", canonical_json_add_tree(&b, L, v), NULL);
        check_text("lenient", buf_str(&b), reals[i].lenient);
    }
}

static void test_many_members(void **state)
{
    enum { N = 2000 };
    buf_auto struct buf in = {0}, out = {0}, wanted = {0};
    for (int i = 0; i < N; i++) {
        buf_printf(&in, "%s\"%05d\":{\"b\":%d,\"a\":0}", i ? "," : "{", (i * 7919) % N, i);
        buf_printf(&wanted, "%s\"%05d\":{\"a\":0,\"b\":", i ? "," : "{", i);
        for (int k = 0; k < N; k++)
            if ((k * 7919) % N == i)
                buf_printf(&wanted, "%d}", k);
    }
    buf_add_char(&in, '}');
    buf_add_char(&wanted, '}');
    check_error("many members", canonical_json_add(&out, S, buf_str(&in)), NULL);
    assert_true(str_eq(buf_str(&out), buf_str(&wanted)));
}

static void test_depth(void **state)
{
    for (int depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        buf_auto struct buf in = {0}, out = {0};
        for (int i = 0; i < depth; i++)
            buf_add_text(&in, "{\"a\":");
        buf_add_text(&in, "1");
        for (int i = 0; i < depth; i++)
            buf_add_char(&in, '}');
        check_error("depth", canonical_json_add(&out, S, buf_str(&in)),
                    depth == JSON_DEPTH_MAX ? NULL : "M_NOT_JSON");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),       cmocka_unit_test(test_tree_agrees),
        cmocka_unit_test(test_tree_reals), cmocka_unit_test(test_many_members),
        cmocka_unit_test(test_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

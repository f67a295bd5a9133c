#include "base/str.h"

#include "check.h"

static void test_comparisons(void **state)
{
    assert_true(str_cmp(STR("a"), STR("b")) < 0);
    assert_true(str_cmp(STR("ab"), STR("a")) > 0);
    assert_true(str_cmp(STR("\xff"), STR("a")) > 0); /* bytes are unsigned */
    assert_int_equal(str_cmp(STR(""), (struct str){0}), 0);
    assert_true(str_eq(STR(""), (struct str){0}));
    assert_false(str_eq(STR("a"), STR("A")));
    assert_true(str_starts_with(STR("m.room"), "m."));
    assert_false(str_starts_with(STR("m"), "m."));
    assert_true(str_ends_with(STR("a.org"), ".org"));
    assert_false(str_ends_with(STR("org"), ".org"));
    assert_true(str_eq_secret(STR("abc"), STR("abc")));
    assert_false(str_eq_secret(STR("abc"), STR("abd")));
    assert_false(str_eq_secret(STR("abc"), STR("abcd")));
}

static void test_integers(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } rows[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"42", true, 42},
        {"-42", true, -42},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775808", false, 0},
        {"-9223372036854775808", true, INT64_MIN},
        {"-9223372036854775809", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1.0", false, 0},
        {"0x1", false, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t value = 7;
        check_bool("decimal integer", rows[i].text, str_to_int64(str_of(rows[i].text), &value),
                   rows[i].ok);
        assert_int_equal(value, rows[i].ok ? rows[i].value : 7);
    }
}

static void test_utf8(void **state)
{
    static const struct {
        const char *proves, *text;
        bool valid;
    } rows[] = {
        {"ASCII", "abc\x7f", true},
        {"two bytes", "\xc3\xa9", true},
        {"three bytes", "\xe6\x97\xa5", true},
        {"four bytes", "\xf0\x9f\x98\x80", true},
        {"U+10FFFF", "\xf4\x8f\xbf\xbf", true},
        {"over U+10FFFF", "\xf4\x90\x80\x80", false},
        {"five bytes", "\xf8\x88\x80\x80\x80", false},
        {"overlong two bytes", "\xc0\xaf", false},
        {"overlong three bytes", "\xe0\x80\xaf", false},
        {"overlong four bytes", "\xf0\x80\x80\xaf", false},
        {"a surrogate", "\xed\xa0\x80", false},
        {"last before the surrogates", "\xed\x9f\xbf", true},
        {"a lone continuation", "\x80", false},
        {"a cut sequence", "\xe6\x97", false},
        {"a broken sequence", "\xe6\x28\xa5", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check_bool(rows[i].proves, rows[i].text, utf8_valid(str_of(rows[i].text)), rows[i].valid);
}

static void test_buf(void **state)
{
    buf_auto struct buf b = {0};
    assert_string_equal(buf_str(&b).p, "");
    for (int i = 0; i < 1000; i++)
        buf_add_char(&b, 'x');
    assert_int_equal(b.n, 1000);
    assert_int_equal(strlen(b.p), 1000);
    buf_truncate(&b, 3);
    assert_string_equal(b.p, "xxx");
    buf_clear(&b);
    buf_add_int(&b, INT64_MIN);
    buf_add_text(&b, ",");
    buf_add_int(&b, 0);
    buf_printf(&b, ",%s", "text");
    assert_string_equal(b.p, "-9223372036854775808,0,text");
    size_t n;
    char *stolen = buf_steal(&b, &n);
    assert_int_equal(n, strlen(stolen));
    assert_null(b.p);
    free(stolen);
}

static void test_json_string(void **state)
{
    buf_auto struct buf b = {0};
    buf_add_json_string(&b, (struct str){"\"\\/\b\f\n\r\t\x01\x1f\x7f\0\xc3\xa9", 15 - 1});
    assert_string_equal(b.p, "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\\u0000\xc3\xa9\"");
}

/* Appendices, "Unpadded Base64" */
static void test_base64(void **state)
{
    static const char *const rows[][2] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"},
    };
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < COUNT(rows); i++) {
        char back[16] = "";
        size_t n;
        assert_string_equal(base64_encode(a, BASE64_STANDARD, rows[i][0], strlen(rows[i][0])),
                            rows[i][1]);
        assert_true(base64_decode(BASE64_STANDARD, str_of(rows[i][1]), back, sizeof back, &n));
        check_text("decoded", (struct str){back, n}, rows[i][0]);
    }
    assert_string_equal(base64_encode(a, BASE64_STANDARD, "\xfb\xff", 2), "+/8");
    assert_string_equal(base64_encode(a, BASE64_URL, "\xfb\xff", 2), "-_8");
}

static void test_base64_decode(void **state)
{
    static const struct {
        const char *proves, *text;
        enum base64_kind kind;
        bool ok;
    } rows[] = {
        {"padding is accepted", "Zg==", BASE64_STANDARD, true},
        {"one pad", "Zm8=", BASE64_STANDARD, true},
        {"wrong amount of padding", "Zg=", BASE64_STANDARD, false},
        {"three pads", "Z===", BASE64_STANDARD, false},
        {"a single character", "Z", BASE64_STANDARD, false},
        {"URL alphabet in standard", "-_8", BASE64_STANDARD, false},
        {"standard alphabet in URL", "+/8", BASE64_URL, false},
        {"white space", "Zm9v\n", BASE64_STANDARD, false},
        {"padding inside", "Zg==Zg==", BASE64_STANDARD, false},
        {"more than the buffer holds", "Zm9vYmFyZm9vYmFyZm9vYmFy", BASE64_STANDARD, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char out[8];
        size_t n;
        check_bool(rows[i].proves, rows[i].text,
                   base64_decode(rows[i].kind, str_of(rows[i].text), out, sizeof out, &n),
                   rows[i].ok);
    }
}

static void test_hex(void **state)
{
    arena_auto struct arena *a = arena_create();
    assert_string_equal(hex_encode(a, "\x00\xab\xff", 3), "00abff");
}

static void test_trim(void **state)
{
    assert_true(str_is(str_trim(STR(" \ta b\r\n"), " \t\r\n"), "a b"));
    assert_true(str_eq(str_trim(STR(" a\0 "), " "), STR("a\0")));
    assert_true(str_eq(str_trim(STR("\0"), " "), STR("\0")));
    assert_int_equal(str_trim(STR("  "), " ").n, 0);
}

static void test_json_commas(void **state)
{
    static const struct {
        const char *before, *after;
    } rows[] = {
        {"", ""},
        {"[", "["},
        {"{", "{"},
        {"[1", "[1,"},
        {"[1,", "[1,"},
        {"{\"a\":", "{\"a\":"},
        {"[\"{\"", "[\"{\","},
        {"[{}", "[{},"},
        {"[[]", "[[],"},
        {"[true", "[true,"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_auto struct buf b = {0};
        buf_add_text(&b, rows[i].before);
        buf_add_json_comma(&b);
        buf_add_char(&b, '\0');
        assert_string_equal(b.p, rows[i].after);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_commas),   cmocka_unit_test(test_trim),
        cmocka_unit_test(test_comparisons),   cmocka_unit_test(test_integers),
        cmocka_unit_test(test_utf8),          cmocka_unit_test(test_buf),
        cmocka_unit_test(test_json_string),   cmocka_unit_test(test_base64),
        cmocka_unit_test(test_base64_decode), cmocka_unit_test(test_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

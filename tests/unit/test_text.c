#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct row {
    const char *text, *folded;
};

static void test_folding(void **state)
{
    static const struct row rows[] = {
        {"", ""},
        {"leon", "leon"},
        {"Leon", "leon"},
        {"L\u00e9on", "leon"},
        {"Le\u0301on", "leon"},             /* the same in combining form */
        {"\u212bngstr\u00f6m", "angstrom"}, /* the sign for the unit */
        {"STRASSE Stra\u00dfe", "strasse strasse"},
        {"S\u00f8ren \u0141\u00f3d\u017a \u0110uro", "soren lodz duro"},
        {"\u0152uvre c\u0153ur \u00c6r\u00f8", "oeuvre coeur aero"},
        {"D\u0131yarbak\u0131r \u0130zmir", "diyarbakir izmir"},
        {"\u00deor \u00d0\u00f3ra", "thor dora"},
        {"Vi\u1ec7t Nam", "viet nam"},
        {"\ufb01n \u2460 \uff21\uff22",
         "fin 1 ab"}, /* compatibility: ligature, circled, full width */
        {"\u0391\u03b8\u03ae\u03bd\u03b1\u03c2", "\u03b1\u03b8\u03b7\u03bd\u03b1\u03c3"},
        {"\u0401\u043b\u043a\u0430 \u041c\u043e\u0301\u0439",
         "\u0435\u043b\u043a\u0430 \u043c\u043e\u0439"},
        {"\u041a\u0438\u0457\u0432 \u0411\u044b\u045e",
         "\u043a\u0438\u0457\u0432 \u0431\u044b\u045e"},
        {"\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd", "\u05e9\u05dc\u05d5\u05dd"},
        {"\u0645\u064f\u062d\u0645\u0651\u062f \u0623\u062d\u0645\u062f",
         "\u0645\u062d\u0645\u062f \u0627\u062d\u0645\u062f"},
        {"\u304c \uff76\uff9e", "\u304c \u30ac"}, /* a voiced sound is another sound */
        {"\ud55c\uae00 \u1112\u1161\u11ab", "\ud55c\uae00 \ud55c"},
        {"\u0915\u093f \u0e01\u0e34", "\u0915\u093f \u0e01\u0e34"}, /* vowels stay */
        {"co\u00adop", "coop"},                                     /* soft hyphen */
        {"\U0001f980 caf\u00e9", "\U0001f980 cafe"},
        {"\u2764\ufe0f \U0001f468\u200d\U0001f469 \u3042\u6f22\u00c9",
         "\u2764 \U0001f468\U0001f469 \u3042\u6f22e"},
        {"\ua730\u1d05\ua751", "fdp"}, /* Latin beyond the table */
        {"l\u2019\u00c9cole \u2013 \u201cA\u201d\u2026", "l\u2019ecole \u2013 \u201ca\u201d..."},
        {"a\xff"
         "B",
         "a\ufffd"
         "b"},
    };
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str folded = text_fold(a, str_of(rows[i].text));
        if (!str_is(folded, rows[i].folded))
            fail_msg("\"%s\" became \"%.*s\"", rows[i].text, STR_FMT(folded));
    }
    assert_null(text_fold_string(a, NULL));
    assert_string_equal(text_fold_string(a, "\u00c9"), "e");
}

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80)
        return *out = (char)c, 1;
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c);
    return n;
}

/* Every character: its folded form is valid, folds to itself, has no more accents than its
 * capital's, and is the same alone and beside a character that the fast path does not handle. */
static void test_every_character(void **state)
{
    arena_auto struct arena *a = arena_create();
    for (uint32_t c = 1; c < 0x110000; c++) {
        char bytes[8];
        if (c >= 0xd800 && c < 0xe000)
            continue;
        size_t n = put_utf8(bytes, c);
        struct str folded = text_fold(a, (struct str){bytes, n});
        bool well = utf8_valid(folded) && str_eq(text_fold(a, folded), folded);
        memcpy(bytes + n, "\uff21", 3); /* full width A */
        struct str beside = text_fold(a, (struct str){bytes, n + 3});
        well &= beside.n == folded.n + 1 && memcmp(beside.p, folded.p, folded.n) == 0;
        if (!well)
            fail_msg("U+%04X becomes \"%.*s\"", c, STR_FMT(folded));
        if (c % 0x1000 == 0)
            arena_reset(a);
    }
}

/* Marks are sorted, in quadratic time. */
static void test_very_many_marks(void **state)
{
    static const struct {
        const char *mark, *one_of;
        size_t kept;
    } rows[] = {
        {"\u0301\u0323", "\u0301", 15},       /* above, below */
        {"\u0301\u034f\u0323", "\u0301", 15}, /* joined by a character that folding removes */
        {"\u0f73", "\u0f71", 30},             /* no mark by itself, but two when decomposed */
    };
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_auto struct buf b = {0};
        size_t found = 0;
        buf_add_char(&b, '1'); /* of no script whose marks are removed */
        for (size_t k = 0; k < 1000; k++)
            buf_add_text(&b, rows[i].mark);
        struct str folded = text_fold(a, buf_str(&b));
        for (const char *p = folded.p; (p = strstr(p, rows[i].one_of)); p++)
            found++;
        assert_in_range(found, 10, rows[i].kept);
        assert_true(folded.n <= 1 + 30 * 3);
        assert_true(str_eq(text_fold(a, folded), folded));
        assert_true(text_fold_case(a, buf_str(&b)).n <= 1 + 2 * 30 * 3);
    }
}

static void test_normalising(void **state)
{
    arena_auto struct arena *a = arena_create();
    static const struct row rows[] = {
        {"plain A", "plain A"},
        {"U\u0308bergro\u0308\u00dfe", "\u00dcbergr\u00f6\u00dfe"},
        {"\u00dcbergr\u00f6\u00dfe", "\u00dcbergr\u00f6\u00dfe"},
        {"\ufb01", "fi"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_true(str_is(text_normalise(a, str_of(rows[i].text)), rows[i].folded));
    assert_true(str_is(text_fold_case(a, STR("\u00c9LE\u0300VES")), "\u00e9l\u00e8ves"));
    /* U+FDFA is the one that grows most. */
    assert_int_equal(text_normalise(a, STR("\ufdfa")).n, 33);
}

static void test_ascii(void **state)
{
    char text[40];
    for (size_t n = 0; n < sizeof text; n++) {
        memset(text, 'x', sizeof text);
        assert_true(text_is_ascii((struct str){text, n}));
        for (size_t i = 0; i < n; i++) {
            text[i] = (char)0xc3;
            assert_false(text_is_ascii((struct str){text, n}));
            text[i] = 'x';
        }
    }
    arena_auto struct arena *a = arena_create();
    struct str s = STR("already so");
    assert_ptr_equal(text_fold(a, s).p, s.p); /* nothing is copied */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folding),         cmocka_unit_test(test_every_character),
        cmocka_unit_test(test_very_many_marks), cmocka_unit_test(test_normalising),
        cmocka_unit_test(test_ascii),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

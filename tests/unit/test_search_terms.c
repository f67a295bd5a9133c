#include "storage/rooms/search_terms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_words(void **state)
{
    static const struct {
        const char *text, *words; /* folded, with | between chunks; + begins a pair, . ends a run */
    } rows[] = {
        {"", ""},
        {" .,;! ", ""},
        {"Two  words", "two|words"},
        {"budget-2024_v2.xlsx", "budget 2024 v2 xlsx"},
        {"l\u2019\u00c9cole", "l ecole"},
        {"Cafe\u0301s", "cafes"},
        {"co\u00adop", "coop"},
        {"\u6771\u4eac\u30bf", "+\u6771\u4eac +\u4eac\u30bf .\u30bf"},
        {"a \u4eac b", "a|.\u4eac|b"},
        {"\u7b2c3\u56de", ".\u7b2c 3 .\u56de"},
        {"\uff76\uff9e\uff7d", "+\u30ac\u30b9 .\u30b9"}, /* half width, with a mark of its own */
        {"\u0915\u093f\u0924\u093e\u092c", "\u0915\u093f\u0924\u093e\u092c"},
        {"a\xff"
         "b",
         "a b"},
    };
    arena_auto struct arena *a = arena_create();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_auto struct buf out = {0};
        size_t n;
        const struct word *w = words_of(a, str_of(rows[i].text), &n);
        BUF_LIT(&out, "");
        for (size_t j = 0; j < n; j++) {
            buf_add_text(&out, j == 0 ? "" : w[j].chunk == w[j - 1].chunk ? " " : "|");
            buf_add_text(&out, w[j].kind == WORD_PAIR ? "+" : w[j].kind == WORD_LAST ? "." : "");
            buf_add_str(&out, w[j].folded);
        }
        assert_string_equal(out.p, rows[i].words);
    }
}

static void test_terms(void **state)
{
    static const struct {
        const char *term, *query;
    } rows[] = {
        {"", NULL},
        {"- ! \"\" * or", "(('or'))"},
        {"Budget r\u00e9port", "(('budget')&('report'))"},
        {"a.b c", "(('a':A<->'b':A)&('c'))"},
        {"\"A b\" -c -\"d e\"", "(('a':A<->'b':A)&!('c')&!('d':A<->'e':A))"},
        {"\u00ab a b \u00bb \u201cc\u201d \u201ed e\u201c",
         "(('a':A<->'b':A)&('c':A)&('d':A<->'e':A))"},
        {"\"open", "(('open'))"},
        {"a b OR c or", "(('a')&('b'))|(('c')&('or'))"},
        {"-a", "(('a'))"},
        {"-a -a -A", "(('a'))"},
        {"a b a \"a\" \"a\" a* a* -c -c", "(('a')&('b')&('a':A)&('a':*A)&!('c'))"},
        {"a a OR a", "(('a'))|(('a'))"},
        {"bud*", "(('bud':*A))"},
        {"x/bud*", "(('x':A<->'bud':*A))"},
        {"l'\u00e9cole qu\u2019il d'accord", "(('ecole')&('il')&('accord'))"},
        {"\u6771", "(('\u6771':*A))"},
        {"\u6771\u4eac\u30bf", "(('\u6771\u4eac':A<->'\u4eac\u30bf':A))"},
        {"\u7b2c3\u56de", "(('\u7b2c':A<->'3':A<->'\u56de':*A))"},
    };
    arena_auto struct arena *a = arena_create();
    struct search_stems *stems = search_stems_create(a);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct search_terms t;
        search_terms_parse(a, str_of(rows[i].term), &t);
        const char *query = search_terms_query(a, &t, stems);
        if (!rows[i].query)
            assert_null(query);
        else
            assert_string_equal(query, rows[i].query);
    }
}

static void test_bounds(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct search_stems *stems = search_stems_create(a);
    buf_auto struct buf text = {0};
    for (int i = 0; i < 60000; i++)
        buf_add_text(&text, i % 2 ? "\ufdfa" : "x ");
    size_t n;
    const struct word *w = words_of(a, buf_str(&text), &n);
    assert_int_equal(n, WORDS_MAX);
    for (size_t i = 0; i < n; i++)
        assert_true(w[i].folded.n <= WORD_BYTES_MAX && utf8_valid(w[i].folded));
    assert_true(strlen(search_vector(a, w, n, stems)) < SEARCH_VECTOR_MAX + 1024);
    struct search_terms t;
    search_terms_parse(a, buf_str(&text), &t);
    assert_int_equal(t.n, 3); /* x, \ufdfax, \ufdfa: each once */
    buf_auto struct buf different = {0};
    for (int i = 0; i < 1000; i++)
        buf_printf(&different, "x%d%s", i, i % 3 ? " " : "-");
    search_terms_parse(a, buf_str(&different), &t);
    size_t words = 0;
    for (size_t i = 0; i < t.n; i++)
        words += t.parts[i].n;
    assert_int_equal(words, SEARCH_WORDS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_terms),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "matrix/glob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

struct row {
    const char *proves, *pattern, *text;
    int flags;
    bool matches;
};

static void check(const struct row *rows, size_t n,
                  bool (*match)(struct str pattern, struct str text, int flags))
{
    for (size_t i = 0; i < n; i++)
        if (match(str_of(rows[i].pattern), str_of(rows[i].text), rows[i].flags) != rows[i].matches)
            fail_msg("%s: \"%s\" on \"%s\" should be %d", rows[i].proves, rows[i].pattern,
                     rows[i].text, rows[i].matches);
}
#define CHECK(rows, match) check(rows, sizeof rows / sizeof *rows, match)

static void test_whole_text(void **state)
{
    static const struct row rows[] = {
        {"plain text equals itself", "m.room.message", "m.room.message", 0, true},
        {"plain text is not a prefix", "m.room", "m.room.message", 0, false},
        {"plain text is not longer than the text", "m.room.message", "m.room", 0, false},
        {"the empty pattern matches the empty text", "", "", 0, true},
        {"the empty pattern matches nothing else", "", "a", 0, false},
        {"* matches nothing at all", "*", "", 0, true},
        {"* matches everything", "*", "anything", 0, true},
        {"** is *", "**", "x", 0, true},
        {"*** is *", "***", "", 0, true},
        {"* matches zero characters", "lunc?*", "LUNCH", 0, true},
        {"? takes one character", "lunc?*", "lunc", 0, false},
        {"the start is anchored", "lunc?*", " lunch", 0, false},
        {"? takes a whole code point", "caf?", "caf\xc3\xa9", 0, true},
        {"? takes only one code point", "caf?", "caf\xc3\xa9\xc3\xa9", 0, false},
        {"? before the end of text", "*?x", "\xe2\x82\xacx", 0, true},
        {"? is not empty", "?", "", 0, false},
        {"suffix after *", "*.evil.com", "a.b.evil.com", 0, true},
        {"the dot is not a wildcard", "*.evil.com", "evil-com", 0, false},
        {"the suffix must be present", "*.evil.com", "evil.com", 0, false},
        {"prefix and suffix do not overlap", "aba*aba", "ababa", 0, false},
        {"prefix and suffix may touch", "aba*aba", "abaaba", 0, true},
        {"the middle must follow in order", "a*b*c*d", "axcxbxd", 0, false},
        {"the middle follows in order", "a*b*c*d", "axbxcxd", 0, true},
        {"later chances are taken", "*aab*c", "aaaab-c", 0, true},
        {"? between stars", "*a?c*", "xxabcxx", 0, true},
        {"? between stars needs a character", "*a?c*", "xxacxx", 0, false},
        {"two middles cannot share", "*ab*ba*", "xabax", 0, false},
        {"brackets are ordinary", "[abc]", "a", 0, false},
        {"backslashes are ordinary", "a\\*", "a\\b", 0, true},
        {"case does not matter", "ALICE", "alice", 0, true},
        {"case does not matter beyond ASCII", "\xc3\x84RGER", "\xc3\xa4rger", 0, true},
        {"Greek folds, final sigma too", "\xce\xa3\xce\xb1\xcf\x82", "\xcf\x83\xce\x91\xcf\x83", 0,
         true},
        {"Cyrillic folds", "\xd0\x96\xd0\x81", "\xd0\xb6\xd1\x91", 0, true},
        {"Latin extended folds in pairs", "\xc5\x81\xc5\xbd", "\xc5\x82\xc5\xbe", 0, true},
        {"Y with diaeresis folds", "\xc5\xb8", "\xc3\xbf", 0, true},
        {"the multiplication sign is no letter", "\xc3\x97", "\xc3\xb7", 0, false},
        {"case matters if asked for", "M.room", "m.room", GLOB_CASE, false},
        {"? is ordinary if asked for", "m.?", "m.x", GLOB_STAR_ONLY, false},
        {"? equals itself then", "m.?", "m.?", GLOB_STAR_ONLY, true},
        {"* still works then", "m.*?", "m.x?", GLOB_STAR_ONLY, true},
        {"literal: * is ordinary", "a*", "ab", GLOB_LITERAL, false},
        {"literal: * equals itself", "a*", "A*", GLOB_LITERAL, true},
        {"malformed bytes equal no character", "\xff", "\xfe", 0, false},
        {"malformed bytes equal themselves", "a\xff*", "a\xff", 0, true},
        {"a cut-off character at the end", "*\xe2\x82", "x\xe2\x82", 0, true},
    };
    CHECK(rows, glob_matches);
}

static void test_words(void **state)
{
    static const struct row rows[] = {
        {"push.md: the pattern inside a word gap", "ex*ple", "An example event.", 0, true},
        {"push.md: at start and end", "ex*ple", "exple", 0, true},
        {"push.md: it may span words", "ex*ple", "An exciting triple-whammy", 0, true},
        {"the end must be a boundary", "ex*ple", "examples", 0, false},
        {"the start must be a boundary", "ex*ple", "an inexample", 0, false},
        {"a later occurrence counts", "cat", "concat cat", 0, true},
        {"an underscore is part of a word", "cat", "a_cat", 0, false},
        {"a digit is part of a word", "cat", "cat9", 0, false},
        {"a hyphen is not", "cat", "tom-cat", 0, true},
        {"letters beyond ASCII are not", "cat",
         "\xc3\xa9"
         "cat\xc3\xa9",
         0, true},
        {"boundary beside the pattern's own sign", "@room", "hi@room", 0, true},
        {"boundary after the pattern's own sign", "c++", "c++code", 0, true},
        {"@room as a word", "@room", "hello @room!", 0, true},
        {"@room goes on", "@room", "@roommate", 0, false},
        {"case does not matter", "ALICE", "hello alice", 0, true},
        {"* alone matches", "*", "whatever", 0, true},
        {"* alone matches the empty text", "*", "", 0, true},
        {"the empty pattern matches nothing", "", "text", 0, false},
        {"the empty text has no words", "a", "", 0, false},
        {"trailing star runs to the end", "foo*", "a foobar", 0, true},
        {"trailing star still wants the start", "foo*", "afoobar", 0, false},
        {"leading star still wants the end", "*bar", "a foobarx", 0, false},
        {"literal star", "a*b", "x a*b y", GLOB_LITERAL, true},
        {"literal star is no wildcard", "a*b", "x axb y", GLOB_LITERAL, false},
        {"? is one character", "gr?y", "grey or gray", 0, true},
        {"? is not two", "gr?y", "greay", 0, false},
    };
    CHECK(rows, glob_finds_words);
}

/* States beyond the first machine word. */
static void test_long_patterns(void **state)
{
    char pattern[300], text[600];
    for (size_t n = 60; n <= GLOB_LITERALS_MAX; n++) {
        memset(pattern, 'a', n);
        pattern[0] = pattern[n + 1] = '*';
        pattern[n] = 'b';
        memset(text, 'a', n + 20);
        strcpy(text + n + 20, "bz");
        assert_true(glob_matches((struct str){pattern, n + 2}, str_of(text), 0));
        text[n + 20] = 'c';
        assert_false(glob_matches((struct str){pattern, n + 2}, str_of(text), 0));
    }
}

static void test_pattern_length_limit(void **state)
{
    char pattern[GLOB_LITERALS_MAX + 3], text[400];
    memset(pattern, 'a', sizeof pattern);
    memset(text, 'a', sizeof text);
    pattern[0] = pattern[GLOB_LITERALS_MAX + 1] = '*';
    struct str all = {text, sizeof text};
    assert_true(glob_matches((struct str){pattern, GLOB_LITERALS_MAX + 2}, all, 0));
    pattern[GLOB_LITERALS_MAX + 1] = 'a';
    pattern[GLOB_LITERALS_MAX + 2] = '*';
    assert_false(glob_matches((struct str){pattern, GLOB_LITERALS_MAX + 3}, all, 0));
}

/* Patterns for which a backtracking matcher takes exponential time. */
static void test_no_backtracking(void **state)
{
    static char text[65536], pattern[200];
    memset(text, '-', sizeof text);
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = i % 2 ? '-' : '*';
    pattern[sizeof pattern - 1] = 'x';
    clock_t start = clock();
    assert_false(glob_finds_words((struct str){pattern, sizeof pattern},
                                  (struct str){text, sizeof text}, 0));
    assert_true(clock() - start < CLOCKS_PER_SEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_text),      cmocka_unit_test(test_words),
        cmocka_unit_test(test_long_patterns),   cmocka_unit_test(test_pattern_length_limit),
        cmocka_unit_test(test_no_backtracking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "rooms/names.h"

#include "base/text.h"

#include "check.h"

enum { ALICE = 1, BOB, LI, EMOJI, SPACED, NAMELESS, MEMBERS };

static struct name_index *some_members(void)
{
    struct name_index *n = name_index_create();
    name_index_put(n, ALICE, "@alice:test.example", "Alice Smith");
    name_index_put(n, BOB, "@bob.b:test.example", NULL);
    name_index_put(n, LI, "@u17:test.example", "李雷");
    name_index_put(n, EMOJI, "@u18:test.example", "Éric (ops)");
    name_index_put(n, SPACED, "@u19:test.example", "[bot] Alice");
    name_index_put(n, NAMELESS, "@u20:test.example", "");
    return n;
}

static void note(void *ctx, int64_t user)
{
    bool *found = ctx;
    found[user] = true;
}

/* The members found, as digits. */
static const char *found_in(struct arena *a, struct name_index *n, const char *body)
{
    bool found[MEMBERS + 1] = {false};
    buf_auto struct buf b = {0};
    name_index_find(n, text_fold_unless_ascii(a, str_of(body)), note, found);
    for (int i = 1; i < MEMBERS; i++)
        if (found[i])
            buf_add_int(&b, i);
    return arena_memdup(a, b.n ? b.p : "", b.n);
}

static void test_users_that_a_body_names(void **state)
{
    static const struct {
        const char *proves, *body, *found;
    } rows[] = {
        {"a whole display name", "hello Alice Smith!", "1"},
        {"upper and lower case", "ALICE SMITH", "1"},
        {"half a display name is none", "hello Smith", ""},
        {"the localpart", "alice?", "1"},
        {"a localpart of several words", "ask bob.b today", "2"},
        {"its first word alone is none", "ask bob today", ""},
        {"no match within a word", "malice and alices", ""},
        {"an underscore is part of the word", "_alice alice_", ""},
        {"a name without ASCII letters", "你好李雷，再见", "3"},
        {"half of it", "你好李", ""},
        {"case of other alphabets", "éRIC (OPS) is on call", "4"},
        {"a name without its accent", "eric (ops) is on call", "4"},
        {"its accent in combining form", "E\u0301ric (ops)", "4"},
        {"no match within a word with an accent", "am\u00e9ric (ops)", ""},
        {"a name that begins with a sign", "ping [bot] alice", "15"},
        {"numbers", "u17 u18 u19 u20", "3456"},
        {"several at once", "alice, bob.b", "12"},
        {"the empty name matches no member", " ", ""},
        {"an empty body", "", ""},
    };
    arena_auto struct arena *a = arena_create();
    struct name_index *n = some_members();
    for (size_t i = 0; i < COUNT(rows); i++)
        check_text(rows[i].proves, str_of(found_in(a, n, rows[i].body)), rows[i].found);
    name_index_destroy(n);
}

static void test_changed_names(void **state)
{
    arena_auto struct arena *a = arena_create();
    struct name_index *n = some_members();
    assert_string_equal(name_index_display_name(n, ALICE), "Alice Smith");
    name_index_put(n, ALICE, "@alice:test.example", "Carol");
    assert_string_equal(name_index_display_name(n, ALICE), "Carol");
    check_text("the old name is gone", str_of(found_in(a, n, "alice smith")), "1");
    check_text("the new one is found", str_of(found_in(a, n, "carol")), "1");
    name_index_remove(n, ALICE);
    name_index_remove(n, ALICE);
    assert_null(name_index_display_name(n, ALICE));
    check_text("who left is not found", str_of(found_in(a, n, "alice carol")), "");
    check_text("others with the same word are", str_of(found_in(a, n, "[bot] alice")), "5");
    name_index_destroy(n);
}

static void count(void *ctx, int64_t user)
{
    ++*(int *)ctx;
}

/* Many members join and leave; a body that repeats their word checks each once. */
static void test_many_of_one_word(void **state)
{
    enum { N = 2000 };
    arena_auto struct arena *a = arena_create();
    struct name_index *n = name_index_create();
    buf_auto struct buf body = {0};
    for (int i = 0; i < N; i++)
        name_index_put(n, i + 1, arena_printf(a, "@user_%d:x", i), "User");
    for (int i = 0; i < 5000; i++)
        BUF_LIT(&body, "user ");
    int found = 0;
    name_index_find(n, buf_str(&body), count, &found);
    assert_int_equal(found, N);
    for (int i = 0; i < N; i += 2)
        name_index_remove(n, i + 1);
    found = 0;
    name_index_find(n, STR("user user_1 user_2"), count, &found);
    assert_int_equal(found, N / 2 + 1); /* user_1 twice, user_2 is gone */
    for (int i = 1; i < N; i += 2)
        name_index_remove(n, i + 1);
    found = 0;
    name_index_find(n, buf_str(&body), count, &found);
    assert_int_equal(found, 0);
    name_index_destroy(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_users_that_a_body_names),
        cmocka_unit_test(test_changed_names),
        cmocka_unit_test(test_many_of_one_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Names that clients choose around accounts: registration tokens and profile fields. */
#include "base/clock.h"
#include "check.h"
#include "storage/users/registration_tokens.h"
#include "users/profile.h"

#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static void opaque_identifiers_of_at_most_64_bytes(void **state)
{
    static const struct {
        const char *token;
        bool well;
    } rows[] = {
        {"a", true},      {"Az09._~-", true}, {X64, true},  {"", false},
        {X64 "x", false}, {"a b", false},     {"ä", false}, {"a/b", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(registration_token_is_wellformed(str_of(rows[i].token)), rows[i].well);
}

static void tokens_run_out_by_uses_and_by_time(void **state)
{
    static const struct {
        int64_t uses_allowed, completed, expires_ts;
        bool usable;
    } rows[] = {
        {-1, 1000, 0, true}, {1, 0, 0, true},      {1, 1, 0, false},   {0, 0, 0, false},
        {-1, 0, 5000, true}, {-1, 0, 4999, false}, {2, 1, 5001, true}, {2, 2, 5001, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct registration_token t = {"t", rows[i].uses_allowed, rows[i].completed,
                                       rows[i].expires_ts};
        assert_int_equal(registration_token_is_usable(&t, 4999), rows[i].usable);
    }
}

static void profile_fields_are_namespaced(void **state)
{
    static const char *const good[] = {"displayname",           "avatar_url",   "m.tz",
                                       "org.example.job_title", "org.my-co.a0", "a.b"};
    static const char *const bad[] = {"",   "plain", "Upper.case", "1.a", ".a",
                                      "a.", "a b.c", "m.\xc3\xa4", "_a.b"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_null(profile_check_key(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct err *e = profile_check_key(bad[i]);
        assert_non_null(e);
        assert_int_equal(e->code, ERR_INVALID_PARAM);
    }
}

static void profile_fields_have_at_most_255_bytes(void **state)
{
    char name[300] = "a.";
    memset(name + 2, 'b', 253);
    assert_null(profile_check_key(name));
    name[255] = 'b';
    const struct err *e = profile_check_key(name);
    assert_non_null(e);
    assert_int_equal(e->code, ERR_KEY_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opaque_identifiers_of_at_most_64_bytes),
        cmocka_unit_test(tokens_run_out_by_uses_and_by_time),
        cmocka_unit_test(profile_fields_are_namespaced),
        cmocka_unit_test(profile_fields_have_at_most_255_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

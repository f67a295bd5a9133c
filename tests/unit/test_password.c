#include "server/account/password.h"

#include <crypt.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_round_trip(void **state)
{
    arena_auto struct arena *a = arena_create();
    const char *hash, *again;
    bool right, rehash;
    assert_null(password_hash(a, 1, "correct horse", &hash));
    assert_memory_equal(hash, "$argon2id$", 10);
    assert_null(password_hash(a, 1, "correct horse", &again));
    assert_string_not_equal(hash, again); /* salted */
    assert_null(password_verify(hash, "correct horse", 1, &right, &rehash));
    assert_true(right);
    assert_false(rehash);
    assert_null(password_verify(hash, "correct horse!", 1, &right, &rehash));
    assert_false(right);
    assert_false(rehash);
}

static void test_cost_is_stored_and_followed(void **state)
{
    arena_auto struct arena *a = arena_create();
    const char *hash;
    bool right, rehash;
    assert_null(password_hash(a, 2, "x", &hash));
    assert_non_null(strstr(hash, "m=8192,t=2,p=1"));
    assert_null(password_verify(hash, "x", 1, &right, &rehash));
    assert_true(right && rehash);
    assert_null(password_hash(a, 5, "x", &hash));
    assert_non_null(strstr(hash, "m=65536,t=2,p=1"));
}

/* Hashes of known passwords, made by other programs. */
static const struct {
    const char *hash, *password;
    bool right;
} imported[] = {
    {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", true},
    {"$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", true},
    {"$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*V", false},
    {"$2y$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a", "U*U*U", true},
};

static void test_bcrypt_of_imported_users(void **state)
{
    for (size_t i = 0; i < sizeof imported / sizeof *imported; i++) {
        bool right, rehash;
        assert_null(password_verify(imported[i].hash, imported[i].password, 1, &right, &rehash));
        assert_int_equal(right, imported[i].right);
        assert_int_equal(rehash, imported[i].right);
    }
}

#define TYPED "U\u0308bergro\u0308\u00dfe \ufb01n"
#define SET "\u00dcbergr\u00f6\u00dfe fin"

static void test_unicode_forms(void **state)
{
    arena_auto struct arena *a = arena_create();
    const char *hash;
    bool right, rehash;
    assert_null(password_hash(a, 1, SET, &hash));
    assert_null(password_verify(hash, TYPED, 1, &right, &rehash));
    assert_true(right && !rehash);
    assert_null(password_hash(a, 1, TYPED, &hash));
    assert_null(password_verify(hash, SET, 1, &right, &rehash));
    assert_true(right && !rehash);
    assert_null(password_verify(hash, TYPED "x", 1, &right, &rehash));
    assert_false(right);
    assert_null(password_verify(NULL, TYPED, 1, &right, &rehash));
    assert_false(right);
}

/* Hashes of the password as typed, not normalised: by an older version, and by another server. */
static void test_hashes_of_the_form_as_typed(void **state)
{
    char argon[crypto_pwhash_STRBYTES];
    assert_int_equal(crypto_pwhash_str_alg(argon, TYPED, strlen(TYPED), crypto_pwhash_OPSLIMIT_MIN,
                                           crypto_pwhash_MEMLIMIT_MIN,
                                           crypto_pwhash_ALG_ARGON2ID13),
                     0);
    struct crypt_data data = {0};
    const char *bcrypt = crypt_r(TYPED, "$2b$05$CCCCCCCCCCCCCCCCCCCCC.", &data);
    const char *hashes[] = {argon, bcrypt};
    for (size_t i = 0; i < 2; i++) {
        bool right, rehash;
        assert_null(password_verify(hashes[i], TYPED, 1, &right, &rehash));
        assert_true(right && rehash);
        assert_null(password_verify(hashes[i], SET, 1, &right, &rehash));
        assert_false(right); /* until it is hashed again */
    }
}

/* Bounded before and after: U+FDFA becomes eleven times as long. */
static void test_length_of_the_normalised_form(void **state)
{
    arena_auto struct arena *a = arena_create();
    char text[PASSWORD_BYTES_MAX + 1] = "";
    for (int i = 0; i < 16; i++)
        strcat(text, "\ufdfa");
    const char *hash;
    assert_int_equal(password_hash(a, 1, text, &hash)->code, ERR_INVALID_PARAM);
    bool right = true, rehash;
    assert_null(password_verify(NULL, text, 1, &right, &rehash));
    assert_false(right);
    text[15 * 3] = '\0'; /* 495 bytes */
    assert_null(password_hash(a, 1, text, &hash));
}

static void test_never_right(void **state)
{
    arena_auto struct arena *a = arena_create();
    char long_one[PASSWORD_BYTES_MAX + 2];
    memset(long_one, 'x', sizeof long_one - 1);
    long_one[sizeof long_one - 1] = '\0';
    bool right = true, rehash = true;
    assert_null(password_verify(NULL, "x", 1, &right, &rehash));
    assert_false(right || rehash);
    right = true;
    assert_null(password_verify(imported[0].hash, long_one, 1, &right, &rehash));
    assert_false(right);
    const char *hash;
    assert_int_equal(password_hash(a, 1, long_one, &hash)->code, ERR_INVALID_PARAM);
    assert_null(password_hash(a, 1, long_one + 1, &hash));
    assert_int_equal(password_verify("$argon2id$rubbish", "x", 1, &right, &rehash)->code,
                     ERR_INTERNAL);
    assert_int_equal(password_verify("$2b$rubbish", "x", 1, &right, &rehash)->code, ERR_INTERNAL);
    assert_int_equal(password_verify("", "", 1, &right, &rehash)->code, ERR_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_cost_is_stored_and_followed),
        cmocka_unit_test(test_bcrypt_of_imported_users),
        cmocka_unit_test(test_unicode_forms),
        cmocka_unit_test(test_hashes_of_the_form_as_typed),
        cmocka_unit_test(test_length_of_the_normalised_form),
        cmocka_unit_test(test_never_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

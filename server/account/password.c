#include "server/account/password.h"

#include "base/sodium.h"
#include "base/text.h"

#include <crypt.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

enum { COST_MAX = 10, MEMORY_OF_COST_1 = 4 << 20 };

static size_t memory_of(int64_t cost)
{
    if (cost <= 1)
        return crypto_pwhash_MEMLIMIT_MIN;
    return (size_t)MEMORY_OF_COST_1 << ((cost < COST_MAX ? cost : COST_MAX) - 1);
}

static unsigned long long rounds_of(int64_t cost)
{
    return cost <= 1 ? crypto_pwhash_OPSLIMIT_MIN : 2;
}

const struct err *password_normalise(struct arena *a, const char *password, const char **ret)
{
    struct str s = str_of(password);
    if (s.n <= PASSWORD_BYTES_MAX)
        s = text_normalise(a, s);
    if (s.n > PASSWORD_BYTES_MAX)
        return err(ERR_INVALID_PARAM, "A password may have at most %d bytes", PASSWORD_BYTES_MAX);
    *ret = s.p;
    return NULL;
}

const struct err *password_hash(struct arena *a, int64_t cost, const char *password,
                                const char **ret)
{
    TRY(password_normalise(a, password, &password));
    size_t n = strlen(password);
    char *hash = arena_alloc(a, crypto_pwhash_STRBYTES);
    sodium_begin();
    int failed = crypto_pwhash_str_alg(hash, password, n, rounds_of(cost), memory_of(cost),
                                       crypto_pwhash_ALG_ARGON2ID13);
    if (failed)
        return err_internal("argon2id: no memory for password_hash_cost %lld", (long long)cost);
    *ret = hash;
    return NULL;
}

static bool is_bcrypt(const char *hash)
{
    return strncmp(hash, "$2a$", 4) == 0 || strncmp(hash, "$2b$", 4) == 0 ||
           strncmp(hash, "$2y$", 4) == 0;
}

static const struct err *verify_bcrypt(const char *hash, const char *password, bool *ret_right)
{
    struct crypt_data data = {0};
    const char *made = crypt_r(password, hash, &data);
    size_t n = strlen(hash);
    bool well = made && strlen(made) == n;
    if (well)
        *ret_right = sodium_memcmp(made, hash, n) == 0;
    sodium_memzero(&data, sizeof data);
    return well ? NULL : err_internal("malformed bcrypt hash");
}

static const struct err *verify_argon2id(const char *hash, const char *password, bool *ret_right)
{
    if (crypto_pwhash_str_needs_rehash(hash, 1, crypto_pwhash_MEMLIMIT_MIN) < 0)
        return err_internal("malformed password hash");
    errno = 0;
    int failed = crypto_pwhash_str_verify(hash, password, strlen(password));
    if (failed && errno != EINVAL) /* EINVAL: another password */
        return err_internal("argon2id: no memory to check a hash");
    *ret_right = !failed;
    return NULL;
}

/* Does as much work as checking a hash of this cost. */
static const struct err *verify_nothing(const char *password, int64_t cost, bool *ret_right)
{
    unsigned char out[crypto_pwhash_BYTES_MIN], salt[crypto_pwhash_SALTBYTES] = {0};
    if (crypto_pwhash(out, sizeof out, password, strlen(password), salt, rounds_of(cost),
                      memory_of(cost), crypto_pwhash_ALG_ARGON2ID13))
        return err_internal("argon2id: no memory for password_hash_cost %lld", (long long)cost);
    *ret_right = false;
    return NULL;
}

static const struct err *verify_form(const char *hash, const char *password, int64_t cost,
                                     bool *ret_right)
{
    return !hash             ? verify_nothing(password, cost, ret_right)
           : is_bcrypt(hash) ? verify_bcrypt(hash, password, ret_right)
                             : verify_argon2id(hash, password, ret_right);
}

/* Tries the normalised form, then the form as typed, which older hashes and those of servers that
 * do not normalise have. Unless it is right, the time depends on the given password alone. */
static const struct err *verify_forms(const char *hash, const char *password, int64_t cost,
                                      bool *ret_right, bool *ret_as_typed)
{
    arena_auto struct arena *a = arena_create();
    const char *normalised = password;
    bool right = false, fits = !password_normalise(a, password, &normalised);
    bool differs = !fits || strcmp(normalised, password) != 0;
    if (fits)
        TRY(verify_form(hash, normalised, cost, &right));
    *ret_as_typed = differs && !right;
    if (*ret_as_typed)
        TRY(verify_form(hash, password, cost, &right));
    *ret_right = right;
    return NULL;
}

const struct err *password_verify(const char *hash, const char *password, int64_t cost,
                                  bool *ret_right, bool *ret_needs_rehash)
{
    bool right = false, as_typed = false;
    if (strlen(password) <= PASSWORD_BYTES_MAX) {
        sodium_begin();
        TRY(verify_forms(hash, password, cost, &right, &as_typed));
    }
    *ret_needs_rehash =
        right && (as_typed || is_bcrypt(hash) ||
                  crypto_pwhash_str_needs_rehash(hash, rounds_of(cost), memory_of(cost)));
    *ret_right = right;
    return NULL;
}

#include "matrix/sign.h"

#include "base/sodium.h"
#include "matrix/canonical_json.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

static const char algorithm[] = "ed25519";

void signing_key_make(struct signing_key *ret)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    char name[5] = "";
    sodium_begin();
    for (size_t i = 0; i + 1 < sizeof name; i++)
        name[i] = letters[randombytes_uniform(sizeof letters - 1)];
    snprintf(ret->id, sizeof ret->id, "%s:a_%s", algorithm, name);
    crypto_sign_keypair(ret->public_, ret->secret);
}

/* The next word of a line; an empty one at the end. */
static struct str sign_next_word(struct str *line)
{
    while (line->n && strchr(" \t\r\n", *line->p)) {
        line->p++;
        line->n--;
    }
    struct str word = {line->p, 0};
    while (line->n && !strchr(" \t\r\n", *line->p)) {
        line->p++;
        line->n--;
        word.n++;
    }
    return word;
}

static bool is_key_version(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '_')
            return false;
    }
    return s.n > 0;
}

const struct err *signing_key_parse(struct str line, struct signing_key *ret)
{
    struct str kind = sign_next_word(&line), version = sign_next_word(&line),
               seed64 = sign_next_word(&line);
    if (!str_is(kind, algorithm) || !seed64.n || sign_next_word(&line).n)
        return err(ERR_INVALID_PARAM,
                   "A signing key is a line of three words: ed25519, key version, base64 seed");
    struct signing_key k = {0};
    if (!is_key_version(version) || sizeof algorithm + version.n + 1 > sizeof k.id)
        return err(ERR_INVALID_PARAM,
                   "The version of a signing key is up to 55 letters, digits and underscores");
    unsigned char seed[crypto_sign_SEEDBYTES];
    size_t n;
    bool ok = base64_decode(BASE64_STANDARD, seed64, seed, sizeof seed, &n) && n == sizeof seed;
    if (ok) {
        snprintf(k.id, sizeof k.id, "%s:%.*s", algorithm, STR_FMT(version));
        sodium_begin();
        crypto_sign_seed_keypair(k.public_, k.secret, seed);
        *ret = k;
    }
    sodium_memzero(seed, sizeof seed);
    sodium_memzero(&k, sizeof k);
    return ok ? NULL
              : err(ERR_INVALID_PARAM, "The seed of a signing key is 32 bytes in base64 (43 "
                                       "characters)");
}

void signing_key_add_line(struct buf *b, const struct signing_key *k)
{
    unsigned char seed[crypto_sign_SEEDBYTES];
    crypto_sign_ed25519_sk_to_seed(seed, k->secret);
    buf_printf(b, "%s %s ", algorithm, k->id + sizeof algorithm);
    buf_add_base64(b, BASE64_STANDARD, seed, sizeof seed);
    buf_add_char(b, '\n');
    sodium_memzero(seed, sizeof seed);
}

void sign_bytes(const struct signing_key *k, struct str bytes, char ret[SIGNATURE_BASE64 + 1])
{
    unsigned char signature[SIGNATURE_BYTES];
    crypto_sign_detached(signature, NULL, (const unsigned char *)bytes.p, bytes.n, k->secret);
    sodium_bin2base64(ret, SIGNATURE_BASE64 + 1, signature, sizeof signature,
                      sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
}

bool sign_check(struct str public_key_base64, struct str bytes, struct str signature_base64)
{
    unsigned char key[crypto_sign_PUBLICKEYBYTES], signature[SIGNATURE_BYTES];
    size_t n;
    if (!base64_decode(BASE64_STANDARD, public_key_base64, key, sizeof key, &n) || n != sizeof key)
        return false;
    if (!base64_decode(BASE64_STANDARD, signature_base64, signature, sizeof signature, &n) ||
        n != sizeof signature)
        return false;
    return crypto_sign_verify_detached(signature, (const unsigned char *)bytes.p, bytes.n, key) ==
           0;
}

/* The bytes of an object that are signed. */
static const struct err *add_signed_bytes(struct buf *b, const json_t *object)
{
    json_auto_t *bare = json_copy((json_t *)object);
    json_object_del(bare, "signatures");
    json_object_del(bare, "unsigned");
    return canonical_json_add_tree(b, CANONICAL_LENIENT, bare);
}

/* The member that is an object, made if it does not exist. */
static json_t *need_member(json_t *object, const char *key)
{
    json_t *o = json_object_get(object, key);
    if (!json_is_object(o)) {
        o = json_object();
        json_object_set_new(object, key, o);
    }
    return o;
}

void sign_put_signature(json_t *signatures, const char *who, const char *key_id,
                        const char *signature)
{
    json_object_set_new(need_member(signatures, who), key_id, json_string(signature));
}

const struct err *sign_json(json_t *object, const char *who, const struct signing_key *k)
{
    buf_auto struct buf b = {0};
    char signature[SIGNATURE_BASE64 + 1];
    TRY(add_signed_bytes(&b, object));
    sign_bytes(k, buf_str(&b), signature);
    sign_put_signature(need_member(object, "signatures"), who, k->id, signature);
    return NULL;
}

bool sign_check_json(const json_t *object, const char *who, const char *key_id,
                     struct str public_key_base64)
{
    const char *signature = json_string_text(json_at(object, "signatures", who, key_id, NULL));
    buf_auto struct buf b = {0};
    return signature && !add_signed_bytes(&b, object) &&
           sign_check(public_key_base64, buf_str(&b), str_of(signature));
}

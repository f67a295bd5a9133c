/* Ed25519 signing of JSON objects (appendices, "Signing JSON") with libsodium, and Synapse's
 * signing-key file format ("ed25519 a_keyid base64seed"). */
#ifndef MATRIX_SIGN_H
#define MATRIX_SIGN_H

#include "base/json.h"

struct signing_key {
    char id[64];              /* "ed25519:a_AbCd" */
    unsigned char secret[64]; /* libsodium's secret key */
    unsigned char public_[32];
};

/* The keys of this server. */
struct signing_keys {
    struct signing_key current;        /* signs events and requests */
    const struct signing_key *further; /* published, and used for nothing else */
    size_t further_n;
};

enum { SIGNATURE_BYTES = 64, SIGNATURE_BASE64 = 86 };

/* A new random key with id "ed25519:a_XXXX". */
void signing_key_make(struct signing_key *ret);
/* One line of a key file. Errors are ERR_INVALID_PARAM with a helpful sentence. */
const struct err *signing_key_parse(struct str line, struct signing_key *ret);
void signing_key_add_line(struct buf *b, const struct signing_key *k); /* with newline */

/* Signs or checks plain bytes. The signature is unpadded base64. */
void sign_bytes(const struct signing_key *k, struct str bytes, char ret[SIGNATURE_BASE64 + 1]);
bool sign_check(struct str public_key_base64, struct str bytes, struct str signature_base64);

/* Signs an object: canonical JSON without `signatures` and `unsigned`; adds the signature under
 * signatures.<who>.<key id>. */
const struct err *sign_json(json_t *object, const char *who, const struct signing_key *k);

/* Adds an existing signature to a `signatures` object. */
void sign_put_signature(json_t *signatures, const char *who, const char *key_id,
                        const char *signature);

/* Whether the object has a valid signature of `who` by this key. */
bool sign_check_json(const json_t *object, const char *who, const char *key_id,
                     struct str public_key_base64);

#endif

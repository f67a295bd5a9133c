/* The public keys of end-to-end encryption as JSON objects: their form, their signed part, and
 * their signers (end-to-end encryption, "Key algorithms" and "Cross-signing"). Pure functions;
 * returned texts belong to the given object. */
#ifndef MATRIX_DEVICE_KEYS_H
#define MATRIX_DEVICE_KEYS_H

#include "base/json.h"

enum { KEY_NAME_MAX = 255, KEY_JSON_MAX = 16384 };

/* Splits "ed25519:ABC"; false when a half is missing or the whole is longer than KEY_NAME_MAX. */
bool key_name_split(struct arena *a, const char *name, const char **ret_algorithm,
                    const char **ret_id);

/* The bytes of a key that are signed: canonical, without `signatures` and `unsigned`. M_BAD_JSON
 * when it is too large. */
const struct err *key_signed_form(struct arena *a, const json_t *key, struct str *ret);

/* Checks device keys of exactly this user and device. If there is a well-formed signature by the
 * device itself, it must be valid (M_INVALID_SIGNATURE). A client that trusts a device checks all
 * of this anyway; the server only refuses malformed keys. */
const struct err *device_keys_check(const json_t *keys, const char *user_id, const char *device_id);

/* The device's key of that algorithm (ed25519, curve25519), NULL when it has none. */
const char *device_keys_find(const json_t *keys, const char *algorithm, const char *device_id);

/* A cross-signing key of exactly this user and usage ("master", "self_signing", "user_signing");
 * its signatures are not checked. ret_public_key: unpadded base64. */
const struct err *cross_signing_key_check(const json_t *key, const char *user_id, const char *usage,
                                          const char **ret_public_key);

/* One-time and fallback keys: a string, or an object with key and signatures. */
const struct err *one_time_key_check(const char *name, const json_t *key);

#endif

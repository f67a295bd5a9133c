/* The public keys of end-to-end encryption as JSON objects: what a well-formed one is, what of it
 * is signed, and by whom (end-to-end encryption, "Key algorithms" and "Cross-signing"). Pure
 * functions; texts that are returned belong to the object given. */
#ifndef MATRIX_DEVICE_KEYS_H
#define MATRIX_DEVICE_KEYS_H

#include "base/json.h"

enum { KEY_NAME_MAX = 255, KEY_JSON_MAX = 16384 };

/* "ed25519:ABC" in two; false when a half is missing or the whole is longer than KEY_NAME_MAX. */
bool key_name_split(struct arena *a, const char *name, const char **ret_algorithm,
                    const char **ret_id);

/* The bytes of a key that are signed: canonical, without `signatures` and `unsigned`. M_BAD_JSON
 * when it is too large. */
const struct err *key_signed_form(struct arena *a, const json_t *key, struct str *ret);

/* Device keys of just this user and device. A signature by the device itself is checked as far as
 * it can be: one that is there and well-formed must be right (M_INVALID_SIGNATURE). A client that
 * trusts a device checks all of this anyway; the server only keeps nonsense out. */
const struct err *device_keys_check(const json_t *keys, const char *user_id, const char *device_id);

/* The device's key of that algorithm (ed25519, curve25519), NULL when it has none. */
const char *device_keys_find(const json_t *keys, const char *algorithm, const char *device_id);

/* A cross-signing key of just this user and usage ("master", "self_signing", "user_signing"); its
 * signatures are not looked at. ret_public_key: unpadded base64. */
const struct err *cross_signing_key_check(const json_t *key, const char *user_id, const char *usage,
                                          const char **ret_public_key);

/* One-time and fallback keys: a string, or an object with key and signatures. */
const struct err *one_time_key_check(const char *name, const json_t *key);

#endif

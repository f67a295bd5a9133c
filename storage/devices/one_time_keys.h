/* One-time keys, each given out once, oldest first, and the fallback keys that are given out when
 * there are none left (end-to-end encryption, "One-time and fallback keys").
 *
 * The JSON of a key is stored as its device wrote it: an object, or a string. */
#ifndef STORAGE_DEVICES_ONE_TIME_KEYS_H
#define STORAGE_DEVICES_ONE_TIME_KEYS_H

#include "storage/db/write.h"

struct one_time_key {
    const char *algorithm, *key_id; /* together "signed_curve25519:AAAAHg" */
    struct str json;                /* canonical */
};

enum one_time_key_found { ONE_TIME_KEY_IS_NEW, ONE_TIME_KEY_IS_SAME, ONE_TIME_KEY_DIFFERS };

/* For each of these keys, what the device has or had under its id; and how many keys it has in all.
 */
const struct err *one_time_keys_find(struct tx *tx, int64_t device, const struct one_time_key *keys,
                                     size_t n, const enum one_time_key_found **ret,
                                     int64_t *ret_total);
/* True if the device did not upload this key, of this id and value, as a one-time key before. */
const struct err *fallback_key_is_free(struct tx *tx, int64_t device,
                                       const struct one_time_key *key, bool *ret);

/* Adds keys; one whose id the device already has is skipped. */
void one_time_keys_write(struct write *w, int64_t device, const struct one_time_key *keys,
                         size_t n);
/* Replaces the fallback key of the same algorithm. The new one counts as unused. */
void fallback_key_write(struct write *w, int64_t device, const struct one_time_key *key);
/* Deletes all keys of a device whose identity key changed: they are signed by its old key. */
void one_time_keys_delete(struct write *w, int64_t device);
/* Writes a CHANGE_DEVICE_KEYS: the counts of the device have changed. */
void device_keys_change_write(struct write *w, int64_t user, int64_t device, const char *device_id);

struct key_claim {
    const char *user_id, *device_id, *algorithm;
};
struct claimed_key {
    int64_t user, device;
    const char *user_id, *device_id;
    struct one_time_key key;
    bool changes_counts; /* a one-time key was given out, or a fallback key for the first time */
};

/* Gives out a key for each claim that can be served; no two calls ever give the same one-time key.
 * Commits at once, even if the caller fails later: losing a key is better than giving it out twice.
 * The caller then writes that the counts changed (device_keys_change_write). */
const struct err *one_time_keys_claim(struct tx *tx, const struct key_claim *claims, size_t n,
                                      const struct claimed_key **ret, size_t *ret_n);

#endif

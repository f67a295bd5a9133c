/* Public keys of devices and users, and the signatures that tie them together (end-to-end
 * encryption, "Key Distribution" and "Cross-signing"). One-time keys:
 * storage/devices/one_time_keys.h.
 *
 * A key's JSON is kept canonical and without `signatures` and `unsigned`; each signature is a row
 * of its own, whether it was part of the key or was uploaded later by another user. Callers check
 * keys and signatures before they write (matrix/device_keys.h); nothing is checked here. */
#ifndef STORAGE_DEVICES_E2EE_KEYS_H
#define STORAGE_DEVICES_E2EE_KEYS_H

#include "storage/devices/devices.h"

enum key_kind { /* stored as these numbers */
                KEY_DEVICE = 0,
                KEY_MASTER = 1,
                KEY_SELF_SIGNING = 2,
                KEY_USER_SIGNING = 3,
                KEY_KIND_COUNT
};

struct public_key {
    enum key_kind kind;
    int64_t user;
    const char *user_id;
    const char *name;         /* device id, or the public key itself */
    const char *display_name; /* devices; NULL: none */
    struct str json;          /* p == NULL: there is no such key */
    /* JSON objects `{"ed25519:KEY": "signature"}`, NULL when there are none: */
    const char *owner_signatures;     /* by the owner's keys */
    const char *requester_signatures; /* by the requester's, when that is another user */
};

/* Every key of these users that the requester (0: a server) may see, with the signatures that they
 * may see: user-signing keys and the signatures made with them are shown to their owner alone. */
const struct err *public_keys_read(struct tx *tx, const char *const *user_ids, size_t n,
                                   int64_t requester, const struct public_key **ret, size_t *ret_n);

/* One device's keys (only name and json are filled). */
const struct err *device_keys_get(struct tx *tx, int64_t user, const char *device_id,
                                  struct public_key *ret);
/* A user's cross-signing keys, indexed by kind (only name and json are filled); KEY_DEVICE stays
 * empty. */
const struct err *cross_signing_keys_get(struct tx *tx, int64_t user,
                                         struct public_key ret[KEY_KIND_COUNT]);

/* Does the user have a device, or a cross-signing key, of that name? Their names must differ. */
const struct err *device_id_exists(struct tx *tx, int64_t user, const char *device_id, bool *ret);
const struct err *cross_signing_key_exists(struct tx *tx, int64_t user, const char *public_key,
                                           bool *ret);

/* Replaces the key of the same device (of the same kind); signatures of the old one are deleted. */
void device_keys_write(struct write *w, int64_t user, const char *device_id,
                       const char *display_name, struct str json);
void cross_signing_key_write(struct write *w, int64_t user, enum key_kind kind,
                             const char *public_key, struct str json);
void cross_signing_key_delete(struct write *w, int64_t user, enum key_kind kind);

/* Deletes the keys of a device that a user of another server no longer has. */
void device_keys_delete(struct write *w, int64_t user, const char *device_id);

struct key_signature {
    int64_t target;
    const char *target_key; /* device id or public key */
    int64_t signer;
    const char *signer_key; /* "ed25519:…" */
    const char *signature;
};
void key_signature_write(struct write *w, const struct key_signature *s);

/* Notifies the signer's own devices that they signed a key of another user (a change of kind
 * CHANGE_DEVICE_LIST that is private to the signer, with the user id of the target). */
void user_signature_change_write(struct write *w, int64_t signer, int64_t target,
                                 const char *target_id);

/* M_TOO_LARGE when the user has signed the keys of USERS_SIGNED_MAX other users. */
enum { USERS_SIGNED_MAX = 20000 };
const struct err *user_signatures_check_number(struct tx *tx, int64_t signer);

/* Deletes keys, signatures, one-time keys and waiting messages of devices. The caller writes the
 * change of the device list (storage/devices/device_lists.h). The write is a large one. */
void e2ee_delete_devices(struct write *w, int64_t user, const struct device *devices, size_t n);
/* Deletes a user's cross-signing keys and key backups. */
void e2ee_delete_user(struct write *w, int64_t user);

#endif

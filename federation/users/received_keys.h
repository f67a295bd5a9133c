/* The keys of other servers' users as their servers tell them (server-server-api, "Device
 * Management", "End-to-End Encryption"): what is malformed is left out, what is new is stored.
 *
 * Whether a signature is worth anything the clients judge, who trust no server; here it only must
 * be a signature. */
#ifndef FEDERATION_USERS_RECEIVED_KEYS_H
#define FEDERATION_USERS_RECEIVED_KEYS_H

#include "storage/db/job.h"
#include "storage/devices/e2ee_keys.h"
#include "storage/devices/remote_devices.h"

enum { RECEIVED_DEVICES_MAX = 500, RECEIVED_NAME_MAX = 255 };

struct received_key {
    enum key_kind kind;
    const char *name;         /* device id, or public key */
    const char *display_name; /* devices; NULL: not told */
    struct str form;          /* canonical, without signatures */
    const json_t *signatures; /* by the owner: names of keys -> signatures; NULL: none */
};
struct received_keys {
    const char *user_id;
    int64_t user; /* for writing */
    struct received_key *keys;
    size_t n, cap;
};

/* Device keys, or a cross-signing key of that kind; NULL, or what is malformed, is left out. What
 * was told must live as long as the list. */
void received_keys_add_device(struct arena *a, struct received_keys *t, const char *device_id,
                              const json_t *keys, const char *display_name);
void received_keys_add_cross_signing(struct arena *a, struct received_keys *t, enum key_kind kind,
                                     const json_t *key);

/* Keys that are stored, of one user or many. */
struct stored_keys {
    const struct public_key *keys;
    size_t n;
};
const struct err *stored_keys_read(struct job *job, const char *const *user_ids, size_t n,
                                   struct stored_keys *ret);

/* Adds to the write what differs from what is stored; true when anything does. whole: what was not
 * told is not there any more. */
bool received_keys_write(struct job *job, struct write *w, const struct received_keys *t,
                         const struct stored_keys *stored, bool whole);

/* The same of a whole list, which their server told when it was as in l and our log stood at
 * `position`. stream_id -1: it did not say. */
const struct err *received_list_write(struct job *job, struct write *w,
                                      const struct received_keys *t,
                                      const struct stored_keys *stored, const struct remote_list *l,
                                      int64_t position, int64_t stream_id);

#endif

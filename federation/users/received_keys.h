/* The keys of other servers' users, received from their servers (server-server-api, "Device
 * Management", "End-to-End Encryption"): malformed keys are skipped, new ones are stored.
 *
 * Clients verify the signatures, since they trust no server; here a signature only must be
 * well-formed. */
#ifndef FEDERATION_USERS_RECEIVED_KEYS_H
#define FEDERATION_USERS_RECEIVED_KEYS_H

#include "storage/db/job.h"
#include "storage/devices/e2ee_keys.h"
#include "storage/devices/remote_devices.h"

enum { RECEIVED_DEVICES_MAX = 500, RECEIVED_NAME_MAX = 255 };

struct received_key {
    enum key_kind kind;
    const char *name;         /* device id, or public key */
    const char *display_name; /* of a device; NULL: none */
    struct str form;          /* canonical, without signatures */
    const json_t *signatures; /* by the owner: key ids -> signatures; NULL: none */
};
struct received_keys {
    const char *user_id;
    int64_t user; /* for writing */
    struct received_key *keys;
    size_t n, cap;
};

/* Adds device keys, or a cross-signing key of that kind; NULL and malformed ones are skipped. The
 * JSON must live as long as the list. */
void received_keys_add_device(struct arena *a, struct received_keys *t, const char *device_id,
                              const json_t *keys, const char *display_name);
void received_keys_add_cross_signing(struct arena *a, struct received_keys *t, enum key_kind kind,
                                     const json_t *key);

/* Stored keys of one user or several. */
struct stored_keys {
    const struct public_key *keys;
    size_t n;
};
const struct err *stored_keys_read(struct job *job, const char *const *user_ids, size_t n,
                                   struct stored_keys *ret);

/* Adds what differs from the stored keys to the write; true if anything does. whole: stored keys
 * that were not received are removed. */
bool received_keys_write(struct job *job, struct write *w, const struct received_keys *t,
                         const struct stored_keys *stored, bool whole);

/* The same for a whole list, requested when the stored list was l and our log at `position`.
 * stream_id -1: not given. */
const struct err *received_list_write(struct job *job, struct write *w,
                                      const struct received_keys *t,
                                      const struct stored_keys *stored, const struct remote_list *l,
                                      int64_t position, int64_t stream_id);

#endif

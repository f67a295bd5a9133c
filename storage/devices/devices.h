/* Devices of local users. Tokens belong to a device and are deleted with it
 * (storage/users/tokens.h). */
#ifndef STORAGE_DEVICES_DEVICES_H
#define STORAGE_DEVICES_DEVICES_H

#include "storage/db/write.h"

struct device {
    int64_t id; /* devices.id */
    const char *device_id;
    const char *display_name;    /* NULL: none */
    int64_t last_seen_ts;        /* ms; 0: never */
    const char *last_seen_ip;    /* NULL: never */
    const char *last_seen_agent; /* NULL: never, or no User-Agent */
};

/* A list has all of a user's devices, so that ending all sessions misses none: more than
 * DEVICES_MAX are only possible by simultaneous logins. */
enum { DEVICES_MAX = 2000, DEVICES_LISTED_MAX = 10000 };

/* In the tx's arena, the newest first. */
const struct err *devices_list(struct tx *tx, int64_t user, const struct device **ret,
                               size_t *ret_n);
const struct err *devices_find(struct tx *tx, int64_t user, const char *device_id, bool *ret_found,
                               struct device *ret);

/* Creates the device, or finds the one of that name and keeps its display name. An error if the
 * user already has DEVICES_MAX. */
const struct err *devices_open(struct tx *tx, int64_t user, const char *device_id,
                               const char *display_name, int64_t *ret_id, bool *ret_is_new);

/* Parts of a write: */
void devices_write_name(struct write *w, int64_t device, const char *display_name);
/* Removes devices with their tokens, pushers and sliding connections; their keys and messages:
 * storage/devices/e2ee_keys.h. Needs users_write_changed in the same write; does not write that the
 * device list changed. */
void devices_write_deletion(struct write *w, const struct device *devices, size_t n);

/* When, from where and by which program devices were last used; data older than what is stored is
 * ignored. */
struct device_seen {
    int64_t device, ts;
    const char *ip;
    const char *agent; /* UTF-8; NULL: not given */
};
const struct err *devices_seen(struct tx *tx, const struct device_seen *seen, size_t n);

#endif

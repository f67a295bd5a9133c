/* Who has changed devices or cross-signing keys, and when last: device_list_changes, one row a
 * user, by which clients that share a room with the user are told. Other servers are told of each
 * device: device_changes, for our own users (server-server-api, "Device Management"). */
#ifndef STORAGE_DEVICES_DEVICE_LISTS_H
#define STORAGE_DEVICES_DEVICE_LISTS_H

#include "storage/db/write.h"

/* Stores what the change `at` of this write, a CHANGE_DEVICE_LIST of the user, says. */
void device_lists_write(struct write *w, int64_t user, int at);

/* Stores that the change `at`, a CHANGE_DEVICE_LIST, is of this device. Each device that changes
 * needs a change of its own. */
#define CROSS_SIGNING_KEYS "" /* in place of a device id */
void device_change_write(struct write *w, int64_t user, const char *device_id, int at);
/* Forgets the oldest of a user who has very many; once in each write. Who would have needed them
 * finds the chain broken, and asks for the whole list. */
void device_changes_prune(struct write *w, int64_t user);

struct device_change {
    int64_t user, position;
    const char *user_id, *device_id;
    bool is_there;  /* the device has not been removed (it may have no keys) */
    int64_t before; /* the device change of the user that came last up to `from`; 0: none */
};
/* The oldest of those after `from` up to `until`, of users who are joined to one of these rooms. */
const struct err *device_changes_read(struct tx *tx, const int64_t *rooms, size_t rooms_n,
                                      int64_t from, int64_t until, int limit,
                                      const struct device_change **ret, size_t *ret_n);
/* Users who were joined to none of these rooms at `from` and joined one until `until`, in the order
 * of joining: the newest change of their devices, if it is not after `from`. */
struct device_joiner {
    struct device_change change; /* `before` is the change before it */
    int64_t joined;              /* position */
};
const struct err *device_joiners_read(struct tx *tx, const int64_t *rooms, size_t rooms_n,
                                      int64_t from, int64_t until, int limit,
                                      const struct device_joiner **ret, size_t *ret_n);
const struct err *device_changes_exist(struct tx *tx, int64_t from, int64_t until, bool *ret);
/* The newest change of a user's devices; 0: none. */
const struct err *device_changes_newest(struct tx *tx, int64_t user, int64_t *ret);

#endif

/* Changes of devices and cross-signing keys. device_list_changes has one row a user, with the last
 * change, for clients that share a room with the user. device_changes has the changes of each
 * device of our users, for other servers (server-server-api, "Device Management"). */
#ifndef STORAGE_DEVICES_DEVICE_LISTS_H
#define STORAGE_DEVICES_DEVICE_LISTS_H

#include "storage/db/write.h"

/* Stores the change `at` of this write, a CHANGE_DEVICE_LIST of the user. */
void device_lists_write(struct write *w, int64_t user, int at);

/* Stores that the change `at`, a CHANGE_DEVICE_LIST, is one of this device. Each changed device
 * needs a change of its own. */
#define CROSS_SIGNING_KEYS "" /* in place of a device id */
void device_change_write(struct write *w, int64_t user, const char *device_id, int at);
/* Deletes the oldest changes of a user who has very many; call once in each write. A server that
 * still needed them finds a gap in the chain and asks for the whole list. */
void device_changes_prune(struct write *w, int64_t user);

struct device_change {
    int64_t user, position;
    const char *user_id, *device_id;
    bool is_there;  /* the device has not been deleted (it may have no keys) */
    int64_t before; /* the user's last device change up to `from`; 0: none */
};
/* The oldest changes after `from` up to `until`, of users who are joined to one of these rooms. */
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

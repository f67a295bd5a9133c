/* Telling of changes of devices and their keys: clients that share a room with the user, and, of
 * our own users, other servers that do. */
#ifndef USERS_DEVICE_CHANGES_H
#define USERS_DEVICE_CHANGES_H

#include "storage/db/job.h"
#include "storage/devices/device_lists.h"

/* Says in the write that these devices (or CROSS_SIGNING_KEYS) of a user of ours changed, one or
 * more. */
const struct err *device_changes_add(struct job *job, struct write *w, int64_t user,
                                     const char *user_id, const char *const *device_ids, size_t n);

/* The same of a user of another server, whose list is not ours to tell other servers. */
const struct err *remote_devices_change_add(struct job *job, struct write *w, int64_t user,
                                            const char *user_id);

#endif

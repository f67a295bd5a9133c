/* Announces changes of devices and their keys to clients that share a room with the user and, for
 * our own users, to other servers that share one. */
#ifndef USERS_DEVICE_CHANGES_H
#define USERS_DEVICE_CHANGES_H

#include "storage/db/job.h"
#include "storage/devices/device_lists.h"

/* Adds to the write that these devices (or CROSS_SIGNING_KEYS) of our user changed; n > 0. */
const struct err *device_changes_add(struct job *job, struct write *w, int64_t user,
                                     const char *user_id, const char *const *device_ids, size_t n);

/* The same for a user of another server. That change is not sent to other servers. */
const struct err *remote_devices_change_add(struct job *job, struct write *w, int64_t user,
                                            const char *user_id);

#endif

/* Ends sessions: removes devices with their tokens and keys, in one write of the log, by which
 * every node forgets the tokens and other users learn of the changed device list. */
#ifndef SERVER_ACCOUNT_SESSIONS_END_H
#define SERVER_ACCOUNT_SESSIONS_END_H

#include "storage/db/job.h"
#include "storage/devices/devices.h"

/* Ignores unknown devices: they were removed before. */
const struct err *sessions_end_device(struct job *job, int64_t user, const char *user_id,
                                      const char *device_id);
const struct err *sessions_end_devices(struct job *job, int64_t user, const char *user_id,
                                       const char *const *device_ids, size_t n);
/* All of the user's, except the device of this row (0: all). */
const struct err *sessions_end_all(struct job *job, int64_t user, const char *user_id,
                                   int64_t but_device);

/* The same as part of a larger write, which needs users_write_changed. */
const struct err *sessions_write_end_all(struct job *job, struct write *w, int64_t user,
                                         const char *user_id, int64_t but_device);

#endif

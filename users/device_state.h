/* What /sync needs to know of a device besides its user's rooms: the number of one-time keys left,
 * the unused fallback keys, and whether to-device messages wait. In the usual case nothing has
 * changed and the answer comes from memory.
 *
 * An entry is what the database said at some position of the log. Later changes are read from the
 * feed when the entry is used, so it is never older than a position read from the feed before. */
#ifndef USERS_DEVICE_STATE_H
#define USERS_DEVICE_STATE_H

#include "storage/db/job.h"
#include "storage/devices/to_device.h"

struct device_states;
struct device_states *device_states_create(struct cache_budget *b);
void device_states_destroy(struct device_states *s); /* NULL-safe */

/* The device: devices.id, and its name in the log. */
struct device_ref {
    int64_t user, device;
    const char *device_id;
};

/* The texts are in the job's arena. */
const struct err *device_state_get(struct job *job, const struct device_ref *device,
                                   struct device_summary *ret);

/* Deletes the messages that the device acknowledged by sending the token `since`, and reads at most
 * `limit` of those up to `until`. If *ret_more is true, the next token must be the position of the
 * last message returned (storage/devices/to_device.h). */
const struct err *device_state_read_messages(struct job *job, const struct device_ref *device,
                                             int64_t since, int64_t until, int limit,
                                             const struct to_device_message **ret, size_t *ret_n,
                                             bool *ret_more);

#endif

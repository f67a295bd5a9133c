/* What /sync needs to know of a device besides its user's rooms: how many one-time keys it has
 * left, which fallback keys are unused, and the to-device messages that wait for it. In the usual
 * case nothing has changed and the answer comes from memory.
 *
 * An entry is what the database said at some position of the log; what happened since is taken from
 * the feed when the entry is used, so that it can never be older than a position that was read from
 * the feed before. Bounded; the least recently used entries go first. */
#ifndef USERS_DEVICE_STATE_H
#define USERS_DEVICE_STATE_H

#include "storage/db/job.h"
#include "storage/devices/to_device.h"

struct device_states;
struct device_states *device_states_create(void);
void device_states_destroy(struct device_states *s); /* NULL-safe */
void device_states_add_metrics(struct device_states *s, struct buf *out);

/* Whose: devices.id, and what the log calls the device. */
struct device_ref {
    int64_t user, device;
    const char *device_id;
};

/* The texts live in the job's arena. */
const struct err *device_state_get(struct job *job, const struct device_ref *device,
                                   struct device_summary *ret);

/* Forgets the messages that the device has acknowledged by coming back with the token `since`, and
 * reads at most limit of those up to `until`. With *ret_more the next token must be the position
 * of the last message returned (storage/devices/to_device.h). */
const struct err *device_state_read_messages(struct job *job, const struct device_ref *device,
                                             int64_t since, int64_t until, int limit,
                                             const struct to_device_message **ret, size_t *ret_n,
                                             bool *ret_more);

#endif

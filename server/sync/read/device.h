/* What is for one device: to-device messages, the users whose keys it must query anew, and the
 * number of its one-time keys. */
#ifndef SERVER_SYNC_READ_DEVICE_H
#define SERVER_SYNC_READ_DEVICE_H

#include "server/sync/read/reader.h"
#include "users/device_state.h"

struct sync_to_device {
    const struct to_device_message *messages; /* in the arena */
    size_t n;
};

/* Deletes what the device acknowledged by `since`, and reads at most `limit` messages. If more
 * wait, range->until becomes the position of the last of them, since messages at or before the next
 * token count as delivered: so call it before other readers. No SQL while no message waits. */
const struct err *sync_to_device_read(const struct sync_reader *who, int limit,
                                      struct sync_range *range, struct sync_to_device *ret);

struct sync_device_lists {
    const char *const *changed, *const *left; /* user ids, in the arena */
    size_t changed_n, left_n;
};

/* Nothing for an initial range. members_changed: a membership of one of the user's rooms may have
 * changed in the range. One query, only then, or if keys changed anywhere, or the feed does not
 * reach back. */
const struct err *sync_device_lists_read(const struct sync_reader *who,
                                         const struct sync_range *range, bool members_changed,
                                         struct sync_device_lists *ret);

/* Usually from memory. */
const struct err *sync_key_counts_read(const struct sync_reader *who, struct device_summary *ret);

#endif

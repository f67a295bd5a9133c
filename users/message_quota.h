/* Bounds the to-device messages that wait: those that one source (a user of ours, another server)
 * has sent, and those for one device. At a bound the oldest messages of that source are dropped,
 * or, for a device, the oldest of the source that has most there. An honest client's oldest
 * messages wait for devices that no one reads any more, and no sender can push out messages of
 * others.
 *
 * The database is only asked once a source or device has been sent an eighth of its bound since the
 * last check. Additions are counted in memory, deliveries are not. */
#ifndef USERS_MESSAGE_QUOTA_H
#define USERS_MESSAGE_QUOTA_H

#include "storage/db/job.h"
#include "storage/devices/to_device.h"

enum { DEVICE_WAITING_MAX = 50000 }; /* messages */

struct message_quota;
struct message_quota *message_quota_create(void);
void message_quota_destroy(struct message_quota *q); /* NULL-safe */
void message_quota_add_metrics(struct message_quota *q, struct buf *out);

/* After a commit: the source has added `bytes`, and this message waits for these devices. */
const struct err *message_quota_caused(struct job *job, int64_t source, size_t bytes);
const struct err *message_quota_waits(struct job *job, const struct to_device_address *to, size_t n,
                                      size_t message_bytes);

#endif

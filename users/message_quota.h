/* How much waits for devices, bounded: what one source (a user of ours, another server) has caused,
 * and what waits for one device. At a bound the oldest of what the source has caused goes, or of
 * the source that has most there: honest clients' oldest messages wait for devices that are read no
 * more, and no sender can push out what others have sent.
 *
 * Nothing is asked of the database until a source or device has been sent an eighth of its bound
 * since the last look: what is added is counted in memory, what is delivered is not. */
#ifndef USERS_MESSAGE_QUOTA_H
#define USERS_MESSAGE_QUOTA_H

#include "storage/db/job.h"
#include "storage/devices/to_device.h"

enum { DEVICE_WAITING_MAX = 50000 }; /* messages */

struct message_quota;
struct message_quota *message_quota_create(void);
void message_quota_destroy(struct message_quota *q); /* NULL-safe */
void message_quota_add_metrics(struct message_quota *q, struct buf *out);

/* After a commit: the source has caused `bytes` more, and this message waits for these devices. */
const struct err *message_quota_caused(struct job *job, int64_t source, size_t bytes);
const struct err *message_quota_waits(struct job *job, const struct to_device_address *to, size_t n,
                                      size_t message_bytes);

#endif

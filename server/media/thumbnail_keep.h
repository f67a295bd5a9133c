/* Thumbnails are kept within a budget (`thumbnail_budget`): those that were sent last stay. What
 * goes is made again when it is asked for. With its original a thumbnail goes by
 * server/media/retention.h.
 */
#ifndef SERVER_MEDIA_THUMBNAIL_KEEP_H
#define SERVER_MEDIA_THUMBNAIL_KEEP_H

#include "storage/db/job.h"

/* It is in this file, and is being sent. What is new is counted, and others go for it; what is not
 * is noted once an hour. */
const struct err *thumbnail_sent(struct job *job, struct str sha256, const char *variant, int fd,
                                 bool is_new);

/* Removes the oldest of what is beyond the budget, a bounded part. */
const struct err *thumbnails_sweep(struct job *job);

#endif

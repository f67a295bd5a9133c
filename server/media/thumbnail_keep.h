/* Thumbnails are kept within a budget (`thumbnail_budget`): those sent most recently stay. A
 * removed one is made again on request. server/media/retention.h removes thumbnails together with
 * their original. */
#ifndef SERVER_MEDIA_THUMBNAIL_KEEP_H
#define SERVER_MEDIA_THUMBNAIL_KEEP_H

#include "storage/db/job.h"

/* The thumbnail in this file is being sent. A new one is counted, and may displace others; for an
 * old one this is recorded at most once an hour. */
const struct err *thumbnail_sent(struct job *job, struct str sha256, const char *variant, int fd,
                                 bool is_new);

/* Removes the oldest beyond the budget, a bounded part at a time. */
const struct err *thumbnails_sweep(struct job *job);

#endif

/* Media of other servers is kept only for a while: files sent most recently stay, within a budget
 * (`remote_media_budget`, `media_retention.remote_media_lifetime`). Removed files are fetched again
 * on request. An open file can still be read; several nodes may do this at once. */
#ifndef SERVER_MEDIA_RETENTION_H
#define SERVER_MEDIA_RETENTION_H

#include "storage/db/job.h"
#include "storage/media.h"

/* Records that it is being sent, at most once an hour. */
const struct err *remote_media_sent(struct job *job, const struct media *m);

/* Removes files that were not sent for too long, and the oldest beyond the budget, but not `newest`
 * (NULL: none), which has just arrived. A bounded part at a time. */
const struct err *remote_media_sweep(struct job *job, const struct media *newest);

/* For a row without its file: returns an error that says what to do. The row of another server's
 * media is removed, so that it is fetched again. */
const struct err *media_is_missing(struct job *job, const struct media *m);

#endif

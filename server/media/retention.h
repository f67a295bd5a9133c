/* Media of other servers is kept only for a while: those that were sent last stay, within a budget
 * (`remote_media_budget`, `media_retention.remote_media_lifetime`). What goes is fetched again when
 * it is asked for. Whoever reads a file goes on reading it; several nodes may do this at once. */
#ifndef SERVER_MEDIA_RETENTION_H
#define SERVER_MEDIA_RETENTION_H

#include "storage/db/job.h"
#include "storage/media.h"

/* Notes that it is being sent, once an hour. */
const struct err *remote_media_sent(struct job *job, const struct media *m);

/* Removes what was not sent for too long, and the oldest of what is beyond the budget, but not
 * `newest` (NULL: none), which has just come. A bounded part at a time. */
const struct err *remote_media_sweep(struct job *job, const struct media *newest);

/* The file of a row is not there: an error that says what to do. A row of another server's goes, so
 * that the media is fetched anew. */
const struct err *media_is_missing(struct job *job, const struct media *m);

#endif

/* The log as another process reads it: each batch of changes that a command commits is a row, which
 * the running server publishes in its own feed. */
#ifndef STORAGE_DB_LOG_BATCHES_H
#define STORAGE_DB_LOG_BATCHES_H

#include "storage/db/db.h"
#include "storage/db/feed.h"

/* Adds a change to a batch that is being encoded (an empty buffer at first). */
void log_batch_add(struct buf *b, const struct change *c);
void log_batch_end(struct buf *b);

/* The changes of an encoded batch, the first at this position, in the arena. False: malformed. */
bool log_batch_decode(struct arena *a, struct str encoded, int64_t first, struct change **ret,
                      size_t *ret_n);

/* All changes in (after, until]. *ret_covers is false when some are missing, or when there are too
 * many. */
const struct err *log_batches_read(struct tx *tx, int64_t after, int64_t until,
                                   const struct change **ret, size_t *ret_n, bool *ret_covers);

#endif

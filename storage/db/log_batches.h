/* The log as another process reads it: a batch of changes is a row, if others read it (log_view.h).
 */
#ifndef STORAGE_DB_LOG_BATCHES_H
#define STORAGE_DB_LOG_BATCHES_H

#include "storage/db/db.h"
#include "storage/db/feed.h"

/* Adds a change to a batch that is being encoded (an empty buffer at first). */
void log_batch_add(struct buf *b, const struct change *c);
void log_batch_end(struct buf *b);

/* Reads the n changes of a batch, of which the first is at this position. What they point to is in
 * the arena. Kinds and room versions of a newer version of this program are CHANGE_UNKNOWN. False:
 * the batch is malformed, or has not n changes. */
bool log_batch_decode(struct arena *a, struct str encoded, int64_t first, struct change *ret,
                      size_t n);

struct log_batch {
    int64_t first, last, node, batch; /* node: 0 for rows of earlier versions */
    struct str encoded;
};

/* The head of the log, and the batches after a position, as they are at one time. */
struct log_look {
    int64_t position, epoch, members;
    const struct log_batch *list;
    size_t n;
    bool is_cut; /* there may be more batches */
};
const struct err *log_batches_look(struct tx *tx, int64_t after, struct log_look *ret);

/* Was this batch committed? Where its last change is. */
const struct err *log_batches_find(struct tx *tx, int64_t node, int64_t batch, bool *ret_found,
                                   int64_t *ret_last);

#endif

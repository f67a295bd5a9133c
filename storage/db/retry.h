/* The retry of a write after a conflict. What is written often depends on what was read before. If
 * that has changed since, the write fails with ERR_CONFLICT (storage/db/write.h), and the whole is
 * tried again:
 *
 *     struct retry retry = {0};
 *     do
 *         e = read_and_write(...);
 *     while (retry_conflict(&retry, e));
 */
#ifndef STORAGE_DB_RETRY_H
#define STORAGE_DB_RETRY_H

#include "base/err.h"

enum { RETRY_ATTEMPTS_MAX = 24, RETRY_OUTRUN_MAX = 96 };

struct retry {
    int attempts; /* that have failed; 0 again after progress */
    int outrun;   /* ... and those beside that lost to a write of another node, which is known: the
                     room goes on, so that more of them are allowed, and the first need no pause */
    bool was_outrun; /* so was the last one; set by the caller */
};

/* Is e a conflict, and may the caller try again? If so, sleeps for a random time that grows with
 * the attempts. */
bool retry_conflict(struct retry *r, const struct err *e);

#endif

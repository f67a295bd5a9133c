/* The committer: stores the writes that wait, many in one transaction, in the order in which they
 * were queued (docs/architecture.md). */
#ifndef STORAGE_DB_COMMITTER_H
#define STORAGE_DB_COMMITTER_H

#include "storage/db/write.h"

struct committer_settings {
    const char *uri;
    struct feed *feed;
    struct epochs *epochs;    /* the committer adds those that it begins; NULL: not wanted */
    int statement_timeout_ms; /* 0: that of storage/db/db_wait.h */
    bool is_server;           /* one server at a time has the database; commands may share it */
    /* Another process writes the log, or the database went back in time: nothing is committed any
     * more, and this process must end. Called by the thread that commits; must not block. */
    void (*on_lost)(void *ctx, const char *why);
    void *ctx;
};
const struct err *committer_start(const struct committer_settings *settings,
                                  struct committer **ret);
void committer_stop(struct committer *c); /* waits for the current commit */
/* A sentence on what keeps it from committing; NULL: nothing. *ret_since: mono_ms() of its
 * beginning, 0 if that does not matter. */
const char *committer_trouble(struct committer *c, int64_t *ret_since);
void committer_add_metrics(struct committer *c, struct buf *out);

#endif

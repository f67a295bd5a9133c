/* The committer: stores the writes that wait, many in one transaction, in the order in which they
 * were queued (docs/architecture.md). */
#ifndef STORAGE_DB_COMMITTER_H
#define STORAGE_DB_COMMITTER_H

#include "storage/db/write.h"
#include "storage/nodes/log_view.h"

struct committer_settings {
    struct log_view_settings log;
    int statement_timeout_ms; /* 0: that of storage/db/db_wait.h */
};
const struct err *committer_start(const struct committer_settings *settings,
                                  struct committer **ret);
struct log_view *committer_view(struct committer *c);
void committer_stop(struct committer *c); /* waits for the current commit */
/* A sentence on what keeps it from committing; NULL: nothing. *ret_since: mono_ms() of its
 * beginning, 0 if that does not matter. */
const char *committer_trouble(struct committer *c, int64_t *ret_since);
void committer_add_metrics(struct committer *c, struct buf *out);

#endif

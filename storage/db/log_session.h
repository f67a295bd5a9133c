/* The committer's session: its connection, and the lock that tells commands whether a server uses
 * the database. Private to the committer. */
#ifndef STORAGE_DB_LOG_SESSION_H
#define STORAGE_DB_LOG_SESSION_H

#include "storage/db/pipeline.h"
#include "storage/nodes/log_view.h"

struct log_session {
    struct pipeline pipeline;
    char *uri;
    char name[40]; /* of the connection, unique to this process */
    struct log_view *view;
    int limit_ms; /* of a statement's answer */
    bool has_lock;
};

struct log_head {
    int64_t node, batch, position, epoch, members;
};

/* Connects, ends the session's earlier connection, and takes the lock: servers share it, a command
 * has it alone or not at all. ERR_CONFLICT: a command, or a server of an earlier version, has it.
 */
const struct err *log_session_open(struct log_session *s);
void log_session_close(struct log_session *s);
bool log_session_is_open(const struct log_session *s);

const struct err *log_session_read(struct log_session *s, struct log_head *ret);

/* Begins an epoch at the head, after the one that the head names. ERR_CONFLICT: another process was
 * first. */
const struct err *log_session_begin(struct log_session *s, const struct log_head *head);

#endif

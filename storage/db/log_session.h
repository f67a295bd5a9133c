/* The committer's session: its connection, the lock that lets one server at a time use the
 * database, and the epoch in which it commits (storage/db/epochs.h). Private to the committer. */
#ifndef STORAGE_DB_LOG_SESSION_H
#define STORAGE_DB_LOG_SESSION_H

#include "storage/db/epochs.h"
#include "storage/db/pipeline.h"

struct log_session {
    struct pipeline pipeline;
    char *uri;
    char name[40]; /* of the connection, unique to this process */
    struct epochs *epochs;
    int limit_ms;   /* of a statement's answer */
    bool is_server; /* false: a command, which may share the log with the running server */
    bool has_lock;
    int64_t epoch; /* checked by every commit: no other process has the log; 0: none begun */
    int64_t late;  /* one whose beginning was not answered, and may be committed later; or 0 */
};

struct log_head {
    int64_t node, batch, position, epoch;
};

/* Connects, ends the session's earlier connection, and takes the lock. ERR_CONFLICT: another server
 * has it. */
const struct err *log_session_open(struct log_session *s);
void log_session_close(struct log_session *s);
bool log_session_is_open(const struct log_session *s);

const struct err *log_session_read(struct log_session *s, struct log_head *ret);

/* Is this the epoch in which this process last committed? */
bool log_session_owns(const struct log_session *s, int64_t epoch);

/* Begins an epoch at the head, after the one that the head names; a command stays in the epoch of
 * the running server. ERR_CONFLICT: another process was first. */
const struct err *log_session_begin(struct log_session *s, const struct log_head *head);

#endif

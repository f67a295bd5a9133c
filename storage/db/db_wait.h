/* Waiting for PostgreSQL, with a deadline on this side: a server that is stopped, or behind a
 * network that swallows what is sent, answers nothing and closes nothing, for as long as it lasts.
 *
 * All that runs on a connection goes through here: it is sent without blocking (db_connect makes
 * the connection so) and its results are waited for with poll(). What is late can only be closed:
 * neither that nor the sending blocks then. Deadlines are of mono_ms(). */
#ifndef STORAGE_DB_DB_WAIT_H
#define STORAGE_DB_DB_WAIT_H

#include "base/err.h"

#include <libpq-fe.h>

enum {
    DB_LIMIT_MS = 10 * 1000,                 /* of a request's statement, unless configured */
    DB_BACKGROUND_LIMIT_MS = 35 * 1000,      /* PostgreSQL's own limit of 30 s comes first */
    DB_MIGRATION_LIMIT_MS = 24 * 3600 * 1000 /* an index on a large table may take long */
};

/* Of a statement that begins now, as db_limit_statements has said. */
int64_t db_statement_deadline(void);

/* Sends what is queued and reads until PQgetResult would not block. False: it is late. */
bool db_wait(PGconn *pg, int64_t deadline);

/* Sends what is queued, all of it. False: it is late, or the connection is lost. */
bool db_wait_sent(PGconn *pg, int64_t deadline);

/* As PQexec: the last result of the command that was sent. NULL: it is late, or the connection is
 * lost. */
PGresult *db_wait_last(PGconn *pg, int64_t deadline, bool *ret_late);

/* Runs commands of a connection that is not of a pool. ret (may be NULL): the last result, which
 * is good. what: for the cause. */
const struct err *db_ask(PGconn *pg, const char *sql, int limit_ms, const char *what,
                         PGresult **ret);

#endif

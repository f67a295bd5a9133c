/* Waiting for PostgreSQL, with a deadline on this side: a server that is stopped, or behind a
 * network that drops packets, neither answers nor closes the connection.
 *
 * All statements go through here: they are sent without blocking (db_connect sets the connection to
 * that) and their results are waited for with poll(). A late connection can only be closed, which
 * does not block either. Deadlines are of mono_unmoved_ms(). */
#ifndef STORAGE_DB_DB_WAIT_H
#define STORAGE_DB_DB_WAIT_H

#include "base/err.h"

#include <libpq-fe.h>

enum {
    DB_LIMIT_MS = 10 * 1000,                 /* of a request's statement, unless configured */
    DB_BACKGROUND_LIMIT_MS = 35 * 1000,      /* PostgreSQL's own limit of 30 s comes first */
    DB_MIGRATION_LIMIT_MS = 24 * 3600 * 1000 /* an index on a large table may take long */
};

/* The deadline of a statement that begins now, by the limit of db_limit_statements. */
int64_t db_statement_deadline(void);

/* Sends all queued data and reads until PQgetResult would not block. False: it is late. */
bool db_wait(PGconn *pg, int64_t deadline);

/* Sends all queued data. False: it is late, or the connection is lost. */
bool db_wait_sent(PGconn *pg, int64_t deadline);

/* As PQexec: the last result of the command that was sent. NULL: it is late, or the connection is
 * lost. */
PGresult *db_wait_last(PGconn *pg, int64_t deadline, bool *ret_late);

/* Runs commands on a connection outside of the pool. ret (may be NULL): the last result, if all
 * succeeded. what: for the cause of an error. */
const struct err *db_ask(PGconn *pg, const char *sql, int limit_ms, const char *what,
                         PGresult **ret);

#endif

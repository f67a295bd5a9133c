/* One connection to PostgreSQL and what runs on it: what db.c, the committer and migrate.c share.
 *
 * A connection belongs to one thread at a time. Errors of statements follow storage/db/db.h; a
 * connection that is lost (db_connection_is_lost) can only be closed. */
#ifndef STORAGE_DB_DB_CONNECTION_H
#define STORAGE_DB_DB_CONNECTION_H

#include "storage/db/db.h"
#include "storage/db/db_params.h"

#include <libpq-fe.h>

/* Opens a connection with Concorde's session settings: time limits, keep-alives, no notices on
 * standard error; nothing that is sent on it blocks (storage/db/db_wait.h). Waits for each address
 * of the URI for five seconds, unless the URI sets another time. ERR_UNAVAILABLE when that fails;
 * the cause has the reason. */
const struct err *db_connect(const char *uri, PGconn **ret);

/* The error for a failed result (NULL: the connection itself failed) by its SQLSTATE. what: the
 * statement's name, for the cause. */
const struct err *db_result_error(PGconn *pg, const PGresult *result, const char *what);

struct db_connection;
/* The same, and notes whether the connection is stale from now on. */
const struct err *db_connection_failure(struct db_connection *c, const PGresult *result,
                                        const struct sql *s);

/* ERR_UNAVAILABLE with a Retry-After between one and two seconds. */
const struct err *db_away(const char *cause);

/* The same, for a statement that was not answered in time. */
const struct err *db_late(const char *what);

bool db_result_is_good(const PGresult *result);

/* Writes the name of a prepared statement on a connection. Returns its argument. */
enum { DB_STATEMENT_NAME = 16 };
const char *db_statement_name(const struct sql *s, char *ret);

struct db_connection {
    PGconn *pg;
    bool *prepared; /* by the statement's id */
    struct db_encoded encoded;
    int64_t asked_ms; /* when the pool lent it, or a transaction's next statement began */
    int64_t deadline; /* of the current statement (mono_unmoved_ms()); set by the caller */
    bool late;        /* a statement was not answered by then: the connection is lost */
    bool failed;      /* the transaction open on it failed and was rolled back */
    bool stale;       /* to be replaced: its server or its prepared statements no longer fit */
    struct replica_need replayed; /* of a replica: what it had when it was last asked */
    struct db_connection *next;   /* the pool's list of idle ones */
};

const struct err *db_connection_open(const char *uri, struct db_connection **ret);
void db_connection_close(struct db_connection *c); /* NULL-safe */

bool db_connection_is_lost(const struct db_connection *c);

/* For an idle connection of the pool: false if the server has closed it. One poll(). */
bool db_connection_is_alive_when_idle(struct db_connection *c);

/* A command without parameters or result: BEGIN, COMMIT. */
const struct err *db_connection_command(struct db_connection *c, const char *command);

/* Runs a statement, preparing it at its first use on this connection. The caller clears ret. */
const struct err *db_connection_run(struct db_connection *c, struct sql *s,
                                    const struct db_param *params, size_t n, PGresult **ret);

/* In pipeline mode: the result of the next command; NULL when the connection failed or is late. */
PGresult *db_connection_next_result(struct db_connection *c);

/* Runs several in one round trip, as one implicit transaction when none is open. */
const struct err *db_connection_run_many(struct db_connection *c, struct arena *arena,
                                         const struct db_batch_query *queries, size_t n);

#endif

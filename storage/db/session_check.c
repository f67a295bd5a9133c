#include "storage/db/session_check.h"

#include "storage/db/db_connection.h"
#include "storage/db/db_wait.h"

#include <stdlib.h>

/* The first column of the first row; -1: no row. */
static const struct err *session_check_ask(PGconn *pg, const char *sql, int *ret)
{
    PGresult *result;
    TRY(db_ask(pg, sql, DB_LIMIT_MS, "the check of the session", &result));
    bool any = PQntuples(result) && PQnfields(result) && !PQgetisnull(result, 0, 0);
    *ret = any ? atoi(PQgetvalue(result, 0, 0)) : -1;
    PQclear(result);
    return NULL;
}

/* A setting made in one session must be visible in it, also while another session is in a
 * transaction, and must not be visible in that one. */
static const struct err *session_check_compare(PGconn *one, PGconn *other, bool *ret_good)
{
    enum { MARK = 4711 };
    int unused, in_one, in_other;
    TRY(session_check_ask(one, "SELECT set_config('concorde.mark', '4711', false)", &unused));
    TRY(session_check_ask(other, "BEGIN", &unused));
    TRY(session_check_ask(other, "SELECT nullif(current_setting('concorde.mark', true), '')",
                          &in_other));
    TRY(session_check_ask(one, "SELECT nullif(current_setting('concorde.mark', true), '')",
                          &in_one));
    *ret_good = in_one == MARK && in_other != MARK;
    return session_check_ask(other, "ROLLBACK", &unused);
}

static const struct err *check_behind_proxy(const char *uri, PGconn *one)
{
    PGconn *other;
    bool good = false;
    TRY(db_connect(uri, &other));
    const struct err *e = session_check_compare(one, other, &good);
    PQfinish(other);
    if (!e && !good)
        e = err(ERR_INVALID_PARAM,
                "`database` is a proxy that gives each transaction another session: set "
                "pool_mode = session in pgbouncer, or connect to PostgreSQL itself");
    return e;
}

const struct err *session_check(const char *uri)
{
    PGconn *pg;
    int pid;
    TRY(db_connect(uri, &pg));
    const struct err *e = session_check_ask(pg, "SELECT pg_backend_pid()", &pid);
    if (!e && pid != PQbackendPID(pg)) /* a proxy gives process ids of its own */
        e = check_behind_proxy(uri, pg);
    PQfinish(pg);
    return e;
}

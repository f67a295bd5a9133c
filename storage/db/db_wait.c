#include "storage/db/db_wait.h"

#include "base/clock.h"
#include "storage/db/db_connection.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>

static _Thread_local int limit_of_thread = DB_BACKGROUND_LIMIT_MS;

int db_limit_statements(int limit_ms)
{
    int before = limit_of_thread;
    limit_of_thread = limit_ms;
    return before;
}

int64_t db_statement_deadline(void)
{
    return mono_unmoved_ms() + limit_of_thread;
}

/* Has libpq's TLS or GSSAPI layer bytes that were read from the socket already? poll() does not see
 * them. */
static bool has_decrypted(PGconn *pg)
{
    const SSL *ssl = PQsslInUse(pg) ? PQsslStruct(pg, "OpenSSL") : NULL;
    return ssl && SSL_pending(ssl) > 0;
}

/* Waits until the socket is, or may be, readable (or writable, if wanted). False: the deadline is
 * over. */
static bool wait_for_socket(PGconn *pg, bool to_write, int64_t deadline)
{
    enum { GSS_SLICE_MS = 10 }; /* GSSAPI does not say how much it has decrypted */
    struct pollfd p = {.fd = PQsocket(pg), .events = (short)(to_write ? POLLIN | POLLOUT : POLLIN)};
    if (has_decrypted(pg))
        return true;
    for (;;) {
        int64_t left = deadline - mono_unmoved_ms();
        bool is_slice = PQgssEncInUse(pg) && left > GSS_SLICE_MS;
        int n = poll(&p, 1, left <= 0 ? 0 : is_slice ? GSS_SLICE_MS : (int)left);
        if (n > 0 || (n == 0 && is_slice))
            return true;
        if (n == 0 || errno != EINTR)
            return false;
    }
}

/* Waits for the server and reads what has arrived. *ret_lost: PQgetResult then gives the error. */
static bool take_more(PGconn *pg, bool to_write, int64_t deadline, bool *ret_lost)
{
    *ret_lost = PQsocket(pg) < 0;
    if (*ret_lost)
        return true;
    if (!wait_for_socket(pg, to_write, deadline))
        return false;
    *ret_lost = !PQconsumeInput(pg);
    return !*ret_lost || PQstatus(pg) == CONNECTION_BAD;
}

bool db_wait(PGconn *pg, int64_t deadline)
{
    for (bool lost = false; !lost;) {
        int unsent = PQflush(pg);
        if (!PQisBusy(pg))
            return true;
        if (!take_more(pg, unsent > 0, deadline, &lost))
            return false;
    }
    return true;
}

bool db_wait_sent(PGconn *pg, int64_t deadline)
{
    bool lost = false;
    int unsent;
    while ((unsent = PQflush(pg)) > 0 && !lost)
        if (!take_more(pg, true, deadline, &lost))
            return false;
    return unsent == 0;
}

PGresult *db_wait_last(PGconn *pg, int64_t deadline, bool *ret_late)
{
    PGresult *last = NULL;
    *ret_late = false;
    for (;;) {
        *ret_late = !db_wait(pg, deadline);
        PGresult *result = *ret_late ? NULL : PQgetResult(pg);
        if (result || *ret_late)
            PQclear(last);
        if (*ret_late)
            return NULL;
        if (!result)
            return last;
        last = result;
    }
}

const struct err *db_ask(PGconn *pg, const char *sql, int limit_ms, const char *what,
                         PGresult **ret)
{
    bool late = false;
    PGresult *result =
        PQsendQuery(pg, sql) ? db_wait_last(pg, mono_unmoved_ms() + limit_ms, &late) : NULL;
    const struct err *e = late                        ? db_late(what)
                          : db_result_is_good(result) ? NULL
                                                      : db_result_error(pg, result, what);
    if (!e && ret)
        *ret = result;
    else
        PQclear(result);
    return e;
}

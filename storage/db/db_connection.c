#include "storage/db/db_connection.h"

#include "base/clock.h"
#include "base/mem.h"
#include "storage/db/db_rows.h"
#include "storage/db/db_wait.h"

#include <assert.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>

static void ignore_notice(void *ctx, const PGresult *result)
{
}

/* The cause of an error is one line of the log. */
static const char *one_line(const char *message, char *out, size_t size)
{
    snprintf(out, size, "%s", message ? message : "");
    for (char *p = out; *p; p++)
        if (*p == '\n')
            *p = p[1] ? ' ' : '\0';
    return out;
}

const struct err *db_away(const char *cause)
{
    char line[ERR_CAUSE_MAX];
    int spread_ms = (int)(mono_us() % 1000); /* so that not all clients retry at once */
    return err_unavailable(1000 + spread_ms, "database: %s", one_line(cause, line, sizeof line));
}

const struct err *db_late(const char *what)
{
    char cause[ERR_CAUSE_MAX];
    snprintf(cause, sizeof cause, "%s was not answered in time", what);
    return db_away(cause);
}

/* SQLSTATE prefixes; what is not listed is ERR_INTERNAL. */
static const struct {
    const char *prefix;
    enum err_code code;
} by_sqlstate[] = {
    {"23505", ERR_CONFLICT},    /* unique_violation */
    {"40001", ERR_CONFLICT},    /* serialization_failure */
    {"40P01", ERR_CONFLICT},    /* deadlock_detected */
    {"08", ERR_UNAVAILABLE},    /* connection exceptions */
    {"57014", ERR_TOO_SLOW},    /* statement_timeout */
    {"57P", ERR_UNAVAILABLE},   /* shutting down, crashed, starting up */
    {"53", ERR_UNAVAILABLE},    /* out of connections, memory or disk */
    {"25006", ERR_UNAVAILABLE}, /* read-only: a standby after a failover */
    {"LE001", ERR_LEASE_LOST},  /* of lease_check() */
    {"25P03", ERR_UNAVAILABLE}, /* idle_in_transaction_session_timeout */
};

#define DISK_FULL "53100"
static _Atomic int64_t disk_full_mono_ms; /* when a statement last failed for that; 0: never */

bool db_disk_is_full(int64_t within_ms)
{
    int64_t at = atomic_load(&disk_full_mono_ms);
    return at && mono_ms() - at < within_ms;
}

const struct err *db_result_error(PGconn *pg, const PGresult *result, const char *what)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *message =
        result && *PQresultErrorMessage(result) ? PQresultErrorMessage(result) : PQerrorMessage(pg);
    if (!state && PQstatus(pg) == CONNECTION_BAD)
        return db_away(message);
    char line[ERR_CAUSE_MAX];
    one_line(message, line, sizeof line);
    for (size_t i = 0; state && i < sizeof by_sqlstate / sizeof *by_sqlstate; i++) {
        if (strncmp(state, by_sqlstate[i].prefix, strlen(by_sqlstate[i].prefix)) != 0)
            continue;
        if (strcmp(state, DISK_FULL) == 0)
            atomic_store(&disk_full_mono_ms, mono_ms());
        if (by_sqlstate[i].code == ERR_UNAVAILABLE)
            return db_away(message);
        const char *text = by_sqlstate[i].code == ERR_TOO_SLOW
                               ? "This takes too long: ask for less at once"
                           : by_sqlstate[i].code == ERR_LEASE_LOST
                               ? "Another node does this work now"
                               : "Another request changed this at the same time";
        return err_with_cause(err(by_sqlstate[i].code, "%s", text), "%s: %s", what, line);
    }
    return err_internal("%s: %s %s", what, state ? state : "", line);
}

bool db_result_is_good(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

/* client_connection_check_interval: so that the server ends a statement soon after this side has
 * given it up (PostgreSQL 14, on systems that support it). jit: never worth its compile time for
 * short statements. The schema is named in functions, too. */
static const char session_settings[] =
    "SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '10s'; SET jit = off;"
    "SET random_page_cost = 1.1;" /* the default is for disks that turn */
    "SET search_path = public;"
    "SET client_min_messages = warning; SET bytea_output = hex; SET standard_conforming_strings = "
    "on; DO $$ BEGIN PERFORM set_config('client_connection_check_interval', '5s', false); "
    "EXCEPTION WHEN OTHERS THEN NULL; END $$";

/* False if host or port contain the rest of a password with an @ or a slash. */
static bool is_whole(const PQconninfoOption *options)
{
    for (; options->keyword; options++) {
        const char *v = options->val ? options->val : "";
        if ((strcmp(options->keyword, "host") == 0 && strchr(v, '@')) ||
            (strcmp(options->keyword, "port") == 0 && v[strspn(v, "0123456789,")]))
            return false;
    }
    return true;
}

/* libpq's message on a malformed URI quotes it, and would put a part of its password into the log.
 */
static const struct err *check_uri(const char *uri)
{
    if (!strstr(uri, "://") && !strchr(uri, '='))
        return NULL; /* the name of a database */
    PQconninfoOption *options = PQconninfoParse(uri, NULL);
    bool well = options && is_whole(options);
    PQconninfoFree(options);
    return well ? NULL
                : err(ERR_INVALID_PARAM, "`database` is malformed: the password's special "
                                         "characters must be percent-encoded");
}

bool db_uri_is_valid(const char *uri)
{
    return !check_uri(uri);
}

const struct err *db_connect(const char *uri, PGconn **ret)
{
    enum { SETTINGS_LIMIT_MS = 5000 };
    TRY(check_uri(uri));
    /* The connection string is last, so its settings win. */
    static const char *const keys[] = {
        "application_name",    "connect_timeout",  "keepalives_idle",
        "keepalives_interval", "keepalives_count", "tcp_user_timeout",
        "client_encoding",     "dbname",           NULL};
    const char *values[] = {"concorde", "5", "10", "5", "3", "20000", "UTF8", uri, NULL};
    PGconn *pg = PQconnectdbParams(keys, values, 1);
    const struct err *e = NULL;
    PQsetNoticeReceiver(pg, ignore_notice, NULL);
    if (PQstatus(pg) != CONNECTION_OK || PQsetnonblocking(pg, 1) != 0)
        e = db_away(PQerrorMessage(pg));
    else
        e = db_ask(pg, session_settings, SETTINGS_LIMIT_MS, "the session's settings", NULL);
    if (e && e->code != ERR_UNAVAILABLE)
        e = db_away(e->cause);
    if (e)
        PQfinish(pg);
    else
        *ret = pg;
    return e;
}

static size_t registered_n(void)
{
    const struct sql *newest = db_registered_sql();
    return newest ? (size_t)newest->id : 0;
}

const struct err *db_connection_open(const char *uri, struct db_connection **ret)
{
    PGconn *pg;
    TRY(db_connect(uri, &pg));
    struct db_connection *c = mem_zalloc(sizeof *c);
    c->pg = pg;
    c->deadline = db_statement_deadline();
    c->prepared = mem_zalloc((registered_n() + 1) * sizeof *c->prepared);
    *ret = c;
    return NULL;
}

void db_connection_close(struct db_connection *c)
{
    if (!c)
        return;
    PQfinish(c->pg);
    db_encoded_finish(&c->encoded);
    free(c->prepared);
    free(c);
}

bool db_connection_is_lost(const struct db_connection *c)
{
    return c->late || PQstatus(c->pg) == CONNECTION_BAD;
}

bool db_connection_is_alive_when_idle(struct db_connection *c)
{
    struct pollfd p = {.fd = PQsocket(c->pg), .events = POLLIN};
    /* Unsolicited data are the end of the connection or a notice of changed settings, which is rare
     * enough to reconnect. */
    return poll(&p, 1, 0) == 0;
}

/* The result of the statement that was sent; NULL if sending failed, or if it is late. */
static PGresult *db_connection_finish(struct db_connection *c, int sent)
{
    return sent ? db_wait_last(c->pg, c->deadline, &c->late) : NULL;
}

const struct err *db_connection_command(struct db_connection *c, const char *command)
{
    PGresult *result = db_connection_finish(c, PQsendQuery(c->pg, command));
    const struct err *e = c->late                     ? db_late(command)
                          : db_result_is_good(result) ? NULL
                                                      : db_result_error(c->pg, result, command);
    /* COMMIT of a failed transaction "succeeds" with the tag ROLLBACK. */
    if (!e && strcmp(command, "COMMIT") == 0 && strcmp(PQcmdStatus(result), "COMMIT") != 0)
        e = err_internal("COMMIT answered %s", PQcmdStatus(result));
    PQclear(result);
    return e;
}

const char *db_statement_name(const struct sql *s, char *out)
{
    snprintf(out, DB_STATEMENT_NAME, "s%d", s->id);
    return out;
}

/* 0A000: the schema changed under a prepared statement. 26000: it was dropped. 57P: the server
 * is shutting down. 25006: it is a standby now. */
static bool means_stale(const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return state && (strcmp(state, "0A000") == 0 || strcmp(state, "26000") == 0 ||
                     strncmp(state, "57P", 3) == 0 || strcmp(state, "25006") == 0);
}

const struct err *db_connection_failure(struct db_connection *c, const PGresult *result,
                                        const struct sql *s)
{
    if (c->late)
        return db_late(s->name);
    c->stale |= means_stale(result);
    return db_result_error(c->pg, result, s->name);
}

const struct err *db_connection_run(struct db_connection *c, struct sql *s,
                                    const struct db_param *params, size_t n, PGresult **ret)
{
    char name[DB_STATEMENT_NAME];
    db_statement_name(s, name);
    struct db_encoded *e = &c->encoded;
    db_encode(e, params, n);
    if (!c->prepared[s->id]) {
        PGresult *result =
            db_connection_finish(c, PQsendPrepare(c->pg, name, s->text, e->n, e->types));
        if (!db_result_is_good(result)) {
            const struct err *error = db_connection_failure(c, result, s);
            PQclear(result);
            return error;
        }
        PQclear(result);
        c->prepared[s->id] = true;
    }
    PGresult *result = db_connection_finish(
        c, PQsendQueryPrepared(c->pg, name, e->n, e->values, e->lengths, e->formats, 1));
    if (!db_result_is_good(result)) {
        const struct err *error = db_connection_failure(c, result, s);
        PQclear(result);
        return error;
    }
    *ret = result;
    return NULL;
}

/* ---- several in one round trip ---- */

static bool db_connection_send_one(struct db_connection *c, const struct db_batch_query *q,
                                   bool prepare)
{
    char name[DB_STATEMENT_NAME];
    db_statement_name(q->sql, name);
    struct db_encoded *e = &c->encoded;
    db_encode(e, q->params, q->params_n);
    if (prepare && !PQsendPrepare(c->pg, name, q->sql->text, e->n, e->types))
        return false;
    return PQsendQueryPrepared(c->pg, name, e->n, e->values, e->lengths, e->formats, 1);
}

static PGresult *one_result(struct db_connection *c)
{
    c->late |= !db_wait(c->pg, c->deadline);
    return c->late ? NULL : PQgetResult(c->pg);
}

PGresult *db_connection_next_result(struct db_connection *c)
{
    PGresult *result = one_result(c);
    if (result && PQresultStatus(result) != PGRES_PIPELINE_SYNC)
        PQclear(one_result(c)); /* the NULL that ends one command's results */
    return result;
}

static const struct err *db_connection_read_one(struct db_connection *c, struct arena *arena,
                                                const struct db_batch_query *q, bool prepare)
{
    if (prepare) {
        PGresult *result = db_connection_next_result(c);
        bool good = result && db_result_is_good(result);
        const struct err *e = good ? NULL : db_connection_failure(c, result, q->sql);
        PQclear(result);
        if (e)
            return e;
        c->prepared[q->sql->id] = true;
    }
    PGresult *result = db_connection_next_result(c);
    if (!result || !db_result_is_good(result)) {
        const struct err *e = db_connection_failure(c, result, q->sql);
        PQclear(result);
        return e;
    }
    rows_init(q->ret, arena, result);
    return NULL;
}

/* After a failure: reads on to the synchronisation point, where the connection is usable again. */
static void read_to_sync(struct db_connection *c)
{
    for (;;) {
        PGresult *result = db_connection_next_result(c);
        bool done = !result || PQresultStatus(result) == PGRES_PIPELINE_SYNC;
        PQclear(result);
        if (done)
            return;
    }
}

const struct err *db_connection_run_many(struct db_connection *c, struct arena *arena,
                                         const struct db_batch_query *queries, size_t n)
{
    bool *prepare = arena_alloc_array(arena, n, sizeof *prepare);
    bool *sent = arena_alloc_array(arena, registered_n() + 1, sizeof *sent);
    bool good = PQenterPipelineMode(c->pg);
    for (size_t i = 0; good && i < n; i++) {
        int id = queries[i].sql->id;
        prepare[i] = !c->prepared[id] && !sent[id];
        sent[id] = true;
        good = db_connection_send_one(c, &queries[i], prepare[i]);
    }
    if (!good || !PQpipelineSync(c->pg)) {
        c->stale = true;
        return db_result_error(c->pg, NULL, "pipeline");
    }
    const struct err *e = NULL;
    for (size_t i = 0; !e && i < n; i++)
        e = db_connection_read_one(c, arena, &queries[i], prepare[i]);
    read_to_sync(c);
    if (!PQexitPipelineMode(c->pg) && !e)
        e = c->late ? db_late("pipeline") : db_result_error(c->pg, NULL, "pipeline");
    return e;
}

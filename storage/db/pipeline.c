#include "storage/db/pipeline.h"

#include "base/clock.h"
#include "base/mem.h"
#include "storage/db/db_rows.h"
#include "storage/db/db_wait.h"

#include <stdio.h>

/* The committer's statements access rows by their keys only. Each is planned once: a new plan for
 * every batch costs more than the batch, and a table that grows must not keep a plan that scans it.
 */
static const char planner_settings[] = "SET plan_cache_mode = force_generic_plan; SET "
                                       "enable_seqscan = off; SET enable_hashjoin = off; "
                                       "SET enable_mergejoin = off";

const struct err *pipeline_open(const char *uri, const char *name, const char *settings,
                                int limit_ms, struct pipeline *ret)
{
    struct db_connection *c;
    char set_name[128];
    snprintf(set_name, sizeof set_name, "SET application_name = '%s'", name);
    TRY(db_connection_open(uri, &c));
    const struct err *e = db_connection_command(c, planner_settings);
    if (!e)
        e = db_connection_command(c, settings);
    if (!e)
        e = db_connection_command(c, set_name);
    if (!e && !PQenterPipelineMode(c->pg))
        e = err_internal("libpq refuses pipeline mode");
    if (e) {
        db_connection_close(c);
        return e;
    }
    *ret = (struct pipeline){.connection = c, .limit_ms = limit_ms};
    return NULL;
}

void pipeline_close(struct pipeline *p)
{
    db_connection_close(p->connection);
    db_encoded_finish(&p->encoded);
    free(p->queued);
    *p = (struct pipeline){0};
}

bool pipeline_is_open(const struct pipeline *p)
{
    return p->connection && !db_connection_is_lost(p->connection);
}

bool pipeline_is_stale(const struct pipeline *p)
{
    return p->connection->stale;
}

bool pipeline_is_late(const struct pipeline *p)
{
    return p->connection && p->connection->late;
}

/* Is a PREPARE of this statement already queued? */
static bool is_queued(const struct pipeline *p, const struct sql *s)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->queued[i].sql == s)
            return true;
    return false;
}

/* Large batches take longer: ten seconds more for a MiB, up to PostgreSQL's own limit. */
static int64_t next_deadline(const struct pipeline *p)
{
    enum { MS_PER_KIB = 10 };
    size_t limit = (size_t)p->limit_ms + p->bytes / 1024 * MS_PER_KIB;
    bool is_most = limit > DB_BACKGROUND_LIMIT_MS && p->bytes >= 1024;
    return mono_unmoved_ms() + (is_most ? DB_BACKGROUND_LIMIT_MS : (int64_t)limit);
}

/* libpq buffers what it cannot send at once, and moves the buffer with every part that it sends. */
static bool send_large(struct pipeline *p, const struct db_encoded *e)
{
    enum { HELD_MAX = 256 * 1024 };
    size_t n = 0;
    for (int i = 0; i < e->n; i++)
        n += e->values[i] ? (size_t)e->lengths[i] : 0;
    p->bytes += n;
    p->unsent += n;
    if (p->unsent < HELD_MAX)
        return true;
    p->unsent = 0;
    p->connection->deadline = next_deadline(p);
    if (db_wait_sent(p->connection->pg, p->connection->deadline))
        return true;
    p->connection->late = !db_connection_is_lost(p->connection);
    return false;
}

const struct err *pipeline_send_encoded(struct pipeline *p, struct sql *s,
                                        const struct db_encoded *e)
{
    PGconn *pg = p->connection->pg;
    char name[DB_STATEMENT_NAME];
    db_statement_name(s, name);
    bool prepare = !p->connection->prepared[s->id] && !is_queued(p, s);
    if ((prepare && !PQsendPrepare(pg, name, s->text, e->n, e->types)) ||
        !PQsendQueryPrepared(pg, name, e->n, e->values, e->lengths, e->formats, 1) ||
        !send_large(p, e)) {
        p->connection->stale = true;
        return db_connection_failure(p->connection, NULL, s);
    }
    if (p->n == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 32;
        p->queued = mem_realloc_array(p->queued, p->cap, sizeof *p->queued);
    }
    p->queued[p->n++] = (struct queued){s, prepare};
    return NULL;
}

const struct err *pipeline_send(struct pipeline *p, struct sql *s, const struct db_param *params,
                                size_t n)
{
    db_encode(&p->encoded, params, n);
    return pipeline_send_encoded(p, s, &p->encoded);
}

/* Reads one result; keeps the first error. False when the connection failed. */
static bool read_result(struct pipeline *p, const struct queued *q, bool is_prepare,
                        const struct err **e, PGresult **ret)
{
    p->connection->deadline = next_deadline(p);
    PGresult *result = db_connection_next_result(p->connection);
    if (!result) {
        *e = db_connection_failure(p->connection, NULL, q->sql);
        return false;
    }
    bool good = db_result_is_good(result);
    if (good && is_prepare)
        p->connection->prepared[q->sql->id] = true;
    if (!good && !*e && PQresultStatus(result) != PGRES_PIPELINE_ABORTED)
        *e = db_connection_failure(p->connection, result, q->sql);
    if (ret && good)
        *ret = result;
    else
        PQclear(result);
    return true;
}

/* *ret: of the statement `which`, NULL if it gave none; also on an error. */
static const struct err *pipeline_collect(struct pipeline *p, size_t which, PGresult **ret)
{
    const struct err *e = NULL;
    size_t n = p->n;
    p->n = p->unsent = 0; /* kept until now: the deadlines of the answers depend on the size */
    bool connected = PQpipelineSync(p->connection->pg);
    for (size_t i = 0; connected && i < n; i++) {
        const struct queued *q = &p->queued[i];
        if (q->prepare)
            connected = read_result(p, q, true, &e, NULL);
        if (connected)
            connected = read_result(p, q, false, &e, i == which ? ret : NULL);
    }
    if (connected)
        PQclear(db_connection_next_result(p->connection)); /* the synchronisation point */
    else if (!e)
        e = db_result_error(p->connection->pg, NULL, "pipeline");
    p->bytes = 0;
    return e;
}

const struct err *pipeline_run(struct pipeline *p, size_t which, int64_t *ret, int columns)
{
    PGresult *wanted = NULL;
    const struct err *e = pipeline_collect(p, which, &wanted);
    if (!e && columns && (!wanted || PQntuples(wanted) == 0 || PQnfields(wanted) < columns))
        e = err_internal("%s gave no row", p->queued[which].sql->name);
    for (int i = 0; !e && i < columns; i++)
        ret[i] = result_int(wanted, 0, i);
    PQclear(wanted);
    return e;
}

const struct err *pipeline_run_pairs(struct pipeline *p, size_t which, struct arena *a,
                                     int64_t **ret, size_t *ret_n)
{
    PGresult *wanted = NULL;
    const struct err *e = pipeline_collect(p, which, &wanted);
    if (!e && (!wanted || PQnfields(wanted) != 2))
        e = err_internal("%s gave no pairs", p->queued[which].sql->name);
    if (!e) {
        *ret_n = (size_t)PQntuples(wanted);
        *ret = arena_alloc_array(a, *ret_n * 2, sizeof **ret);
    }
    for (size_t i = 0; !e && i < 2 * *ret_n; i++)
        (*ret)[i] = result_int(wanted, (int)i / 2, (int)i % 2);
    PQclear(wanted);
    return e;
}

#include "storage/db/db.h"

#include "base/clock.h"
#include "base/mem.h"
#include "storage/db/db_pool.h"
#include "storage/db/db_rows.h"
#include "storage/db/db_wait.h"
#include "storage/nodes/replica.h"

#include <assert.h>
#include <stdatomic.h>

/* What one statement cost so far, for the metrics. */
struct tally {
    atomic_llong runs, errors, us;
};

struct db {
    struct db_pool *pool;
    struct replica *replica; /* NULL: there is none */
    struct tally *tallies;   /* by the statement's id */
    atomic_llong statements;
};

/* ---- the registry of statements ---- */

static struct sql *newest_sql;

void db_register_sql(struct sql *s)
{
    s->id = newest_sql ? newest_sql->id + 1 : 1;
    s->next = newest_sql;
    newest_sql = s;
}

const struct sql *db_registered_sql(void)
{
    return newest_sql;
}

/* ---- opening ---- */

const struct err *db_open(const char *uri, int connections, struct db **ret)
{
    struct db_pool *pool;
    TRY(db_pool_create(uri, connections, &pool));
    struct db *db = mem_zalloc(sizeof *db);
    db->pool = pool;
    size_t n = newest_sql ? (size_t)newest_sql->id + 1 : 1;
    db->tallies = mem_zalloc(n * sizeof *db->tallies);
    *ret = db;
    return NULL;
}

const struct err *db_use_replica(struct db *db, const char *uri, int connections)
{
    return replica_create(uri, connections, &db->replica);
}

void db_close(struct db *db)
{
    if (!db)
        return;
    replica_destroy(db->replica);
    db_pool_destroy(db->pool);
    free(db->tallies);
    free(db);
}

int64_t db_silence_ms(struct db *db)
{
    return db_pool_silence_ms(db->pool);
}

/* Synapse's metric names, by which its dashboards show the costliest transactions. */
static void add_times(struct db *db, struct buf *out)
{
    BUF_LIT(out, "# HELP synapse_storage_transaction_time_count_total Runs of each statement.\n"
                 "# TYPE synapse_storage_transaction_time_count_total counter\n");
    for (const struct sql *s = newest_sql; s; s = s->next) {
        long long runs = atomic_load(&db->tallies[s->id].runs);
        if (runs)
            buf_printf(out, "synapse_storage_transaction_time_count_total{desc=\"%s\"} %lld\n",
                       s->name, runs);
    }
    BUF_LIT(out, "# HELP synapse_storage_transaction_time_sum_total Seconds that each has taken.\n"
                 "# TYPE synapse_storage_transaction_time_sum_total counter\n");
    for (const struct sql *s = newest_sql; s; s = s->next) {
        struct tally *t = &db->tallies[s->id];
        if (atomic_load(&t->runs))
            buf_printf(out, "synapse_storage_transaction_time_sum_total{desc=\"%s\"} %.6f\n",
                       s->name, (double)atomic_load(&t->us) / 1e6);
    }
}

void db_add_metrics(struct db *db, struct buf *out)
{
    db_pool_add_metrics(db->pool, out);
    replica_add_metrics(db->replica, out);
    add_times(db, out);
    buf_printf(out,
               "# HELP concorde_db_statements_total Statements so far, without those of commits.\n"
               "# TYPE concorde_db_statements_total counter\nconcorde_db_statements_total %lld\n",
               (long long)db_statements(db));
    BUF_LIT(out, "# HELP concorde_db_errors_total Statements that failed.\n"
                 "# TYPE concorde_db_errors_total counter\n");
    for (const struct sql *s = newest_sql; s; s = s->next) {
        long long errors = atomic_load(&db->tallies[s->id].errors);
        if (errors)
            buf_printf(out, "concorde_db_errors_total{statement=\"%s\"} %lld\n", s->name, errors);
    }
}

static void count_run(struct db *db, const struct sql *s, int64_t started_us, const struct err *e)
{
    struct tally *t = &db->tallies[s->id];
    atomic_fetch_add_explicit(&t->runs, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->us, mono_us() - started_us, memory_order_relaxed);
    if (e)
        atomic_fetch_add_explicit(&t->errors, 1, memory_order_relaxed);
}

/* ---- transactions ---- */

void tx_init(struct tx *tx, struct db *db, struct arena *arena)
{
    *tx = (struct tx){.db = db, .arena = arena};
}

static bool must_be_replaced(const struct db_connection *c)
{
    return db_connection_is_lost(c) || c->stale;
}

static void end_transaction(struct tx *tx)
{
    db_pool_give(tx->db->pool, tx->connection);
    tx->connection = NULL;
    tx->in_transaction = false;
}

/* In a transaction, whose connection may have been taken long ago. */
static void begin_statement(struct db_connection *c)
{
    c->asked_ms = mono_unmoved_ms();
    c->deadline = db_statement_deadline();
}

const struct err *tx_begin(struct tx *tx)
{
    assert(!tx->in_transaction);
    const struct err *e = NULL;
    int64_t deadline = db_statement_deadline();
    /* A BEGIN that is lost with its connection has done nothing: retry on a new one. */
    for (int attempt = 0; attempt < 2; attempt++) {
        struct db_connection *c;
        TRY(db_pool_take(tx->db->pool, deadline, &c));
        e = db_connection_command(c, "BEGIN");
        if (!e) {
            tx->connection = c;
            tx->in_transaction = true;
            return NULL;
        }
        bool late = c->late;
        c->stale = true;
        db_pool_give(tx->db->pool, c);
        if (late)
            break;
    }
    return e;
}

const struct err *tx_commit(struct tx *tx)
{
    assert(tx->in_transaction);
    begin_statement(tx->connection);
    const struct err *e = tx->connection->failed
                              ? err_internal("commit of a transaction that failed before")
                              : db_connection_command(tx->connection, "COMMIT");
    end_transaction(tx);
    return e;
}

static void roll_back(struct db_connection *c)
{
    begin_statement(c);
    if (db_connection_is_lost(c) || db_connection_command(c, "ROLLBACK"))
        c->stale = true;
}

void tx_rollback(struct tx *tx)
{
    if (!tx->in_transaction)
        return;
    if (!tx->connection->failed)
        roll_back(tx->connection);
    end_transaction(tx);
}

void tx_finish(struct tx *tx)
{
    tx_rollback(tx);
}

/* ---- statements ---- */

/* One or several statements. */
struct work {
    struct sql *sql; /* NULL: several */
    const struct db_param *params;
    size_t n;
    const struct db_batch_query *queries;
    PGresult *result; /* of the one */
};

static const struct err *run_on(struct db_connection *c, struct tx *tx, struct work *w)
{
    if (!w->sql)
        return db_connection_run_many(c, tx->arena, w->queries, w->n);
    return db_connection_run(c, w->sql, w->params, w->n, &w->result);
}

static const struct err *run_in_transaction(struct tx *tx, struct work *w)
{
    struct db_connection *c = tx->connection;
    if (c->failed)
        return err_internal("%s: the transaction failed before", w->sql ? w->sql->name : "batch");
    begin_statement(c);
    const struct err *e = run_on(c, tx, w);
    if (e) {
        roll_back(c);
        c->failed = true;
    }
    return e;
}

static bool is_plain_read(const struct sql *s)
{
    return strncmp(s->text, "SELECT", 6) == 0;
}

static bool may_repeat(const struct work *w)
{
    if (w->sql)
        return is_plain_read(w->sql);
    for (size_t i = 0; i < w->n; i++)
        if (!is_plain_read(w->queries[i].sql))
            return false;
    return true;
}

static bool find_need(struct tx *tx)
{
    struct tx primary;
    tx_init(&primary, tx->db, tx->arena);
    return tx->need.wal || !replica_read_need(&primary, &tx->need);
}

/* False: the primary must be asked, since the replica lacks something, or failed. */
static bool run_on_replica(struct tx *tx, struct work *w, const struct err **ret)
{
    struct replica *r = tx->db->replica;
    struct db_connection *c;
    if (!find_need(tx) || !replica_take(r, &tx->need, &c))
        return false;
    *ret = run_on(c, tx, w);
    bool is_good = !*ret || (*ret)->code == ERR_TOO_SLOW;
    replica_give(r, c, is_good);
    return is_good;
}

static const struct err *run_alone(struct tx *tx, struct work *w)
{
    const struct err *done;
    if (tx->may_lag && tx->db->replica && run_on_replica(tx, w, &done))
        return done;
    int64_t deadline = db_statement_deadline();
    for (int attempt = 0;; attempt++) {
        struct db_connection *c;
        TRY(db_pool_take(tx->db->pool, deadline, &c));
        const struct err *e = run_on(c, tx, w);
        bool replace = must_be_replaced(c) && !c->late;
        db_pool_give(tx->db->pool, c);
        if (!e || !replace || attempt > 0 || !may_repeat(w))
            return e;
    }
}

int64_t db_statements(struct db *db)
{
    return atomic_load(&db->statements);
}

static const struct err *db_run(struct tx *tx, struct work *w)
{
    int64_t started_us = mono_us();
    long long n = w->sql ? 1 : (long long)w->n;
    tx->statements += n;
    atomic_fetch_add_explicit(&tx->db->statements, n, memory_order_relaxed);
    const struct err *e = tx->in_transaction ? run_in_transaction(tx, w) : run_alone(tx, w);
    /* Several are counted under the first one's name: they share one round trip. */
    count_run(tx->db, w->sql ? w->sql : w->queries[0].sql, started_us, e);
    return e;
}

const struct err *db_exec(struct tx *tx, struct sql *s, const struct db_param *params,
                          size_t params_n, int64_t *ret_rows)
{
    struct work w = {.sql = s, .params = params, .n = params_n};
    TRY(db_run(tx, &w));
    if (ret_rows)
        *ret_rows = atoll(PQcmdTuples(w.result));
    PQclear(w.result);
    return NULL;
}

const struct err *db_one(struct tx *tx, struct sql *s, const struct db_param *params,
                         size_t params_n, bool *ret_found, const struct db_out *outs, size_t outs_n)
{
    struct work w = {.sql = s, .params = params, .n = params_n};
    TRY(db_run(tx, &w));
    bool found = result_first_row(tx->arena, w.result, outs, outs_n);
    PQclear(w.result);
    if (ret_found)
        *ret_found = found;
    return NULL;
}

const struct err *db_query(struct tx *tx, struct sql *s, const struct db_param *params,
                           size_t params_n, struct rows *ret)
{
    struct work w = {.sql = s, .params = params, .n = params_n};
    TRY(db_run(tx, &w));
    rows_init(ret, tx->arena, w.result);
    return NULL;
}

const struct err *db_query_many(struct tx *tx, const struct db_batch_query *queries, size_t n)
{
    if (n == 0)
        return NULL;
    struct work w = {.queries = queries, .n = n};
    return db_run(tx, &w);
}

const struct err *db_list(struct tx *tx, struct sql *s, const struct db_param *params,
                          size_t params_n, const struct db_out *outs, size_t outs_n, void *one,
                          size_t size, void *ret_list, size_t *ret_n)
{
    struct rows rows;
    TRY(db_query(tx, s, params, params_n, &rows));
    rows_list(&rows, outs, outs_n, one, size, ret_list, ret_n);
    return NULL;
}

const struct err *db_ints(struct tx *tx, struct sql *s, const struct db_param *params,
                          size_t params_n, const int64_t **ret, size_t *ret_n)
{
    struct rows rows;
    int64_t one;
    TRY(db_query(tx, s, params, params_n, &rows));
    rows_list(&rows, R(INT_OUT(&one)), LIST(one, ret, ret_n));
    rows_finish(&rows);
    return NULL;
}

#include "storage/nodes/replica.h"

#include "base/clock.h"
#include "base/mem.h"
#include "storage/db/db_pool.h"
#include "storage/db/db_wait.h"

#include <stdatomic.h>
#include <time.h>

enum {
    TAKE_MS = 100, /* for a connection */
    ASK_MS = 500,  /* for the position */
    WAIT_MS = 50,  /* for what is missing */
    LOOK_MS = 5,
    PAUSE_MS = 500,
    ANSWER_MS = 2000
};

enum fallback { AWAY, BEHIND, FAILED, FALLBACKS };
static const char *const fallback_names[FALLBACKS] = {"away", "behind", "failed"};

struct replica {
    struct db_pool *pool;
    _Atomic int64_t paused_until; /* mono_unmoved_ms() */
    _Atomic int64_t lag;          /* bytes, when it was last looked at */
    atomic_llong reads, fallbacks[FALLBACKS];
};

const struct err *replica_create(const char *uri, int connections, struct replica **ret)
{
    struct db_pool *pool;
    TRY(db_pool_create_later(uri, connections, &pool));
    struct replica *r = mem_zalloc(sizeof *r);
    r->pool = pool;
    *ret = r;
    return NULL;
}

void replica_destroy(struct replica *r)
{
    if (!r)
        return;
    db_pool_destroy(r->pool);
    free(r);
}

/* The epoch tells another database, or one that was restored, from a standby of this one. WAL 0: it
 * is no standby. */
SQL(replica_need_sql, "SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::int8, epoch "
                      "FROM log_head")
SQL(replica_has_sql, "SELECT CASE WHEN pg_is_in_recovery() THEN "
                     "COALESCE((pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::int8, 0) ELSE 0 END, "
                     "epoch FROM log_head")

const struct err *replica_read_need(struct tx *tx, struct replica_need *ret)
{
    return db_one(tx, &replica_need_sql, NO_PARAMS, NULL,
                  R(INT_OUT(&ret->wal), INT_OUT(&ret->epoch)));
}

static bool replica_has(const struct db_connection *c, const struct replica_need *need)
{
    return c->replayed.wal >= need->wal && c->replayed.epoch == need->epoch;
}

static const struct err *replica_look(struct db_connection *c)
{
    arena_auto struct arena *a = arena_create();
    struct rows rows;
    c->deadline = mono_unmoved_ms() + ASK_MS;
    TRY(db_connection_run_many(c, a,
                               &(struct db_batch_query){.sql = &replica_has_sql, .ret = &rows}, 1));
    if (rows_next(&rows))
        c->replayed = (struct replica_need){row_int(&rows, 0), row_int(&rows, 1)};
    return NULL;
}

static bool replica_is_paused(const struct replica *r)
{
    return mono_unmoved_ms() < r->paused_until;
}

static int64_t replica_lag(const struct db_connection *c, const struct replica_need *need)
{
    return c->replayed.wal < need->wal ? need->wal - c->replayed.wal : 0;
}

/* Waits a little for what is missing. */
static bool replica_catches_up(struct replica *r, struct db_connection *c,
                               const struct replica_need *need)
{
    int64_t until = mono_unmoved_ms() + WAIT_MS;
    while (!replica_has(c, need)) {
        if (replica_look(c) || !c->replayed.wal)
            return false;
        r->lag = replica_lag(c, need);
        if (replica_has(c, need))
            break;
        if (mono_unmoved_ms() >= until || replica_is_paused(r))
            return false;
        nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
    }
    return true;
}

bool replica_take(struct replica *r, const struct replica_need *need, struct db_connection **ret)
{
    struct db_connection *c;
    if (replica_is_paused(r)) {
        r->fallbacks[BEHIND]++;
        return false;
    }
    int64_t limit = db_statement_deadline();
    if (db_pool_take(r->pool, mono_unmoved_ms() + TAKE_MS, &c)) {
        r->fallbacks[AWAY]++;
        return false;
    }
    if (!replica_catches_up(r, c, need)) {
        bool is_away = db_connection_is_lost(c);
        if (!is_away)
            r->paused_until = mono_unmoved_ms() + PAUSE_MS;
        r->fallbacks[is_away ? AWAY : BEHIND]++;
        db_pool_give(r->pool, c);
        return false;
    }
    c->deadline = mono_unmoved_ms() + ANSWER_MS;
    c->deadline = c->deadline < limit ? c->deadline : limit;
    *ret = c;
    return true;
}

void replica_give(struct replica *r, struct db_connection *c, bool was_good)
{
    if (was_good)
        r->reads++;
    else
        r->fallbacks[FAILED]++;
    db_pool_give(r->pool, c);
}

void replica_add_metrics(struct replica *r, struct buf *out)
{
    if (!r)
        return;
    buf_printf(out,
               "# HELP concorde_replica_reads_total Reads that the replica has answered.\n"
               "# TYPE concorde_replica_reads_total counter\nconcorde_replica_reads_total %lld\n"
               "# HELP concorde_replica_lag_bytes WAL that it lacked when a read needed it.\n"
               "# TYPE concorde_replica_lag_bytes gauge\nconcorde_replica_lag_bytes %lld\n"
               "# HELP concorde_replica_fallbacks_total Reads that the primary had to answer.\n"
               "# TYPE concorde_replica_fallbacks_total counter\n",
               (long long)r->reads, (long long)r->lag);
    for (int i = 0; i < FALLBACKS; i++)
        buf_printf(out, "concorde_replica_fallbacks_total{reason=\"%s\"} %lld\n", fallback_names[i],
                   (long long)r->fallbacks[i]);
}

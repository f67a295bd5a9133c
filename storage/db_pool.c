#include "storage/db_pool.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"

#include <assert.h>

enum { WAIT_MS = 5000, PAUSE_MIN_MS = 100, PAUSE_MAX_MS = 500 };

struct db_pool {
    char *uri;
    int max;
    struct lock lock;
    pthread_cond_t returned;
    struct db_connection *idle; /* newest first */
    int idle_n, open;           /* open: idle, in use, or being opened */
    bool away;                  /* the last attempt to connect failed */
    bool trying;                /* while away: a thread is trying */
    int64_t next_try_ms;
    int pause_ms;
    int64_t waits, timeouts, connects, connect_failures, lost;
};

const struct err *db_pool_create(const char *uri, int max, struct db_pool **ret)
{
    assert(max > 0);
    struct db_connection *first;
    TRY(db_connection_open(uri, &first));
    struct db_pool *p = mem_zalloc(sizeof *p);
    p->uri = mem_strdup(uri);
    p->max = max;
    lock_init(&p->lock, RANK_DB_POOL);
    cond_init(&p->returned);
    p->idle = first;
    p->idle_n = p->open = 1;
    p->connects = 1;
    *ret = p;
    return NULL;
}

void db_pool_destroy(struct db_pool *p)
{
    if (!p)
        return;
    assert(p->open == p->idle_n);
    while (p->idle) {
        struct db_connection *c = p->idle;
        p->idle = c->next;
        db_connection_close(c);
    }
    pthread_cond_destroy(&p->returned);
    lock_finish(&p->lock);
    free(p->uri);
    free(p);
}

static void open_failed_locked(struct db_pool *p)
{
    p->open--;
    p->connect_failures++;
    p->pause_ms = p->away ? p->pause_ms * 2 : PAUSE_MIN_MS;
    if (p->pause_ms > PAUSE_MAX_MS)
        p->pause_ms = PAUSE_MAX_MS;
    p->away = true;
    p->next_try_ms = mono_ms() + p->pause_ms;
}

/* Opens one more connection; the caller has counted it in p->open. on_trial: it is the one attempt
 * that is made while the database is away. */
static const struct err *open_another(struct db_pool *p, bool on_trial, struct db_connection **ret)
{
    struct db_connection *c;
    const struct err *e = db_connection_open(p->uri, &c);
    LOCKED(&p->lock);
    if (on_trial)
        p->trying = false;
    if (e || on_trial)
        pthread_cond_broadcast(&p->returned); /* those who wait may have to think again */
    if (e) {
        open_failed_locked(p);
        return e;
    }
    p->away = false;
    p->connects++;
    *ret = c;
    return NULL;
}

enum next_step { USE_IDLE, OPEN_ANOTHER, SAY_AWAY, SAY_BUSY };

static enum next_step choose_locked(struct db_pool *p)
{
    int64_t deadline = mono_ms() + WAIT_MS;
    bool waited = false;
    for (;;) {
        if (p->idle)
            return USE_IDLE;
        bool may_try = !p->away || (!p->trying && mono_ms() >= p->next_try_ms);
        if (p->open < p->max && may_try)
            return OPEN_ANOTHER;
        bool in_use = p->open - p->trying > 0;
        if (p->away && !in_use)
            return SAY_AWAY;
        if (!waited)
            p->waits++;
        waited = true;
        if (lock_wait_until(&p->lock, &p->returned, deadline) && !p->idle) {
            p->timeouts++;
            return SAY_BUSY;
        }
    }
}

const struct err *db_pool_take(struct db_pool *p, struct db_connection **ret)
{
    for (;;) {
        struct db_connection *c = NULL;
        bool on_trial = false;
        lock_take(&p->lock);
        enum next_step step = choose_locked(p);
        if (step == USE_IDLE) {
            c = p->idle;
            p->idle = c->next;
            p->idle_n--;
        } else if (step == OPEN_ANOTHER) {
            p->open++;
            on_trial = p->away;
            p->trying |= on_trial;
        }
        lock_release(&p->lock);
        if (step == SAY_AWAY)
            return db_away("the database is away");
        if (step == SAY_BUSY)
            return db_away("all connections of the pool are in use");
        if (step == OPEN_ANOTHER)
            return open_another(p, on_trial, ret);
        if (db_connection_is_alive_when_idle(c)) {
            *ret = c;
            return NULL;
        }
        c->stale = true; /* the server hung up while it was idle: on to the next */
        db_pool_give(p, c);
    }
}

void db_pool_give(struct db_pool *p, struct db_connection *c)
{
    bool lost = db_connection_is_lost(c);
    bool keep = !lost && !c->stale && PQtransactionStatus(c->pg) == PQTRANS_IDLE;
    if (!keep)
        db_connection_close(c);
    LOCKED(&p->lock);
    p->lost += lost;
    if (keep) {
        c->failed = false;
        c->next = p->idle;
        p->idle = c;
        p->idle_n++;
        pthread_cond_signal(&p->returned);
    } else {
        p->open--;
        pthread_cond_broadcast(&p->returned);
    }
}

void db_pool_add_metrics(struct db_pool *p, struct buf *out)
{
    LOCKED(&p->lock);
    buf_printf(out,
               "# HELP concorde_db_connections Connections to the database.\n"
               "# TYPE concorde_db_connections gauge\n"
               "concorde_db_connections{state=\"idle\"} %d\n"
               "concorde_db_connections{state=\"in_use\"} %d\n"
               "# HELP concorde_db_connections_max The most connections that may be open.\n"
               "# TYPE concorde_db_connections_max gauge\n"
               "concorde_db_connections_max %d\n"
               "# HELP concorde_db_away 1 while the database cannot be reached.\n"
               "# TYPE concorde_db_away gauge\n"
               "concorde_db_away %d\n",
               p->idle_n, p->open - p->idle_n, p->max, p->away);
    buf_printf(out,
               "# HELP concorde_db_pool_waits_total Waits for a free connection.\n"
               "# TYPE concorde_db_pool_waits_total counter\n"
               "concorde_db_pool_waits_total %lld\n"
               "# HELP concorde_db_pool_timeouts_total Waits for a connection that were given up.\n"
               "# TYPE concorde_db_pool_timeouts_total counter\n"
               "concorde_db_pool_timeouts_total %lld\n"
               "# HELP concorde_db_connects_total Connections that were opened.\n"
               "# TYPE concorde_db_connects_total counter\n"
               "concorde_db_connects_total %lld\n"
               "# HELP concorde_db_connect_failures_total Connections that could not be opened.\n"
               "# TYPE concorde_db_connect_failures_total counter\n"
               "concorde_db_connect_failures_total %lld\n"
               "# HELP concorde_db_connections_lost_total Connections that broke.\n"
               "# TYPE concorde_db_connections_lost_total counter\n"
               "concorde_db_connections_lost_total %lld\n",
               (long long)p->waits, (long long)p->timeouts, (long long)p->connects,
               (long long)p->connect_failures, (long long)p->lost);
}

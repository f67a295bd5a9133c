#include "storage/db/db_pool.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/thread.h"

#include <assert.h>
#include <signal.h>

enum { WAIT_MS = 5000, DOUBT_MS = 1000, PAUSE_MIN_MS = 100, PAUSE_MAX_MS = 500 };

struct db_pool {
    char *uri;
    int max;
    struct lock lock;
    pthread_cond_t returned;    /* for threads that wait for a connection */
    pthread_cond_t needed;      /* for the opener */
    struct db_connection *idle; /* newest first */
    int idle_n, open;           /* open: idle, in use, or being opened */
    int opening, waiting;       /* opening: 1 or 0; waiting: threads that wait */
    bool away;                  /* the last attempt to connect failed */
    bool hung;                  /* a statement was late, and none was answered since */
    bool stopping;
    int64_t next_try_ms;
    int pause_ms;
    int64_t doubted_ms;  /* since when a late statement puts the database in doubt; 0: it is not */
    int64_t answered_ms; /* when it last answered */
    int64_t asked_ms;    /* since when a statement is unanswered; 0: none is */
    int64_t waits, timeouts, connects, connect_failures, lost, late;
    pthread_t opener;
};

/* ---- opening ---- */

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

static void add_idle_locked(struct db_pool *p, struct db_connection *c)
{
    c->next = p->idle;
    p->idle = c;
    p->idle_n++;
}

static void note_answer_locked(struct db_pool *p)
{
    p->hung = false;
    p->doubted_ms = p->asked_ms = 0;
    p->answered_ms = mono_unmoved_ms();
}

/* Waits until another connection is to be opened. False: the pool ends. */
static bool wait_for_need_locked(struct db_pool *p)
{
    for (;;) {
        if (p->stopping)
            return false;
        bool wanted = (p->away || p->doubted_ms || p->waiting > p->idle_n) && p->open < p->max;
        if (wanted && (!p->away || mono_ms() >= p->next_try_ms))
            return true;
        if (wanted)
            lock_wait_until(&p->lock, &p->needed, p->next_try_ms);
        else
            lock_wait(&p->lock, &p->needed);
    }
}

static void open_another_locked(struct db_pool *p)
{
    struct db_connection *c = NULL;
    p->open++;
    p->opening = 1;
    lock_release(&p->lock);
    const struct err *e = db_connection_open(p->uri, &c);
    lock_take(&p->lock);
    p->opening = 0;
    p->doubted_ms = 0;
    if (e) {
        open_failed_locked(p);
    } else {
        p->away = false;
        p->connects++;
        note_answer_locked(p);
        add_idle_locked(p, c);
    }
    pthread_cond_broadcast(&p->returned); /* they may have to give up */
}

static void *open_when_needed(void *what)
{
    struct db_pool *p = what;
    LOCKED(&p->lock);
    while (wait_for_need_locked(p))
        open_another_locked(p);
    return NULL;
}

/* ---- beginning and end ---- */

static void close_all(struct db_connection *c)
{
    while (c) {
        struct db_connection *next = c->next;
        db_connection_close(c);
        c = next;
    }
}

static const struct err *start_opener(struct db_pool *p)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the threads that expect them */
    bool started = thread_start(&p->opener, "db-opener", open_when_needed, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started ? NULL : err_internal("cannot start the thread that opens connections");
}

static void free_pool(struct db_pool *p)
{
    close_all(p->idle);
    pthread_cond_destroy(&p->returned);
    pthread_cond_destroy(&p->needed);
    lock_finish(&p->lock);
    free(p->uri);
    free(p);
}

/* first: NULL: the opener's first task is to connect. */
static const struct err *create_pool(const char *uri, int max, struct db_connection *first,
                                     struct db_pool **ret)
{
    assert(max > 0);
    struct db_pool *p = mem_zalloc(sizeof *p);
    p->uri = mem_strdup(uri);
    p->max = max;
    lock_init(&p->lock, RANK_DB_POOL);
    cond_init(&p->returned);
    cond_init(&p->needed);
    if (first)
        add_idle_locked(p, first);
    p->away = !first;
    p->open = p->idle_n;
    p->connects = p->idle_n;
    const struct err *e = start_opener(p);
    if (e)
        free_pool(p);
    else
        *ret = p;
    return e;
}

const struct err *db_pool_create(const char *uri, int max, struct db_pool **ret)
{
    struct db_connection *first;
    TRY(db_connection_open(uri, &first));
    return create_pool(uri, max, first, ret);
}

const struct err *db_pool_create_later(const char *uri, int max, struct db_pool **ret)
{
    return create_pool(uri, max, NULL, ret);
}

void db_pool_destroy(struct db_pool *p)
{
    if (!p)
        return;
    lock_take(&p->lock);
    p->stopping = true;
    pthread_cond_signal(&p->needed);
    lock_release(&p->lock);
    pthread_join(p->opener, NULL);
    assert(p->open == p->idle_n);
    free_pool(p);
}

/* ---- taking ---- */

enum next_step { WAIT, USE_IDLE, SAY_AWAY };

static enum next_step db_pool_choose_locked(const struct db_pool *p, int64_t now)
{
    bool in_use = p->open > p->idle_n + p->opening;
    if (p->doubted_ms)
        return now - p->doubted_ms < DOUBT_MS ? WAIT : SAY_AWAY;
    if (p->idle)
        return USE_IDLE;
    /* Connections that are in use may still be good. */
    return p->away && (!in_use || p->hung) ? SAY_AWAY : WAIT;
}

/* Waits for a change; false when it is too late for one. */
static bool wait_for_change_locked(struct db_pool *p, int64_t deadline)
{
    int64_t until = p->doubted_ms ? p->doubted_ms + DOUBT_MS : deadline;
    until = until < deadline ? until : deadline;
    p->waiting++;
    pthread_cond_signal(&p->needed);
    lock_wait_until(&p->lock, &p->returned, until + clock_moved_ms());
    p->waiting--;
    return p->idle || mono_unmoved_ms() < deadline;
}

static const struct err *db_pool_take_idle_locked(struct db_pool *p, int64_t deadline,
                                                  struct db_connection **ret)
{
    int64_t now = mono_unmoved_ms(), give_up = now + WAIT_MS < deadline ? now + WAIT_MS : deadline;
    enum next_step step = db_pool_choose_locked(p, now);
    p->waits += step == WAIT;
    for (; step == WAIT; step = db_pool_choose_locked(p, now = mono_unmoved_ms()))
        if (!wait_for_change_locked(p, give_up)) {
            p->timeouts++;
            return db_away("all connections of the pool are in use");
        }
    if (step == SAY_AWAY)
        return db_away("the database cannot be reached");
    struct db_connection *c = p->idle;
    p->idle = c->next;
    p->idle_n--;
    if (!p->asked_ms)
        p->asked_ms = now;
    c->asked_ms = now;
    c->deadline = deadline;
    *ret = c;
    return NULL;
}

static const struct err *take_idle(struct db_pool *p, int64_t deadline, struct db_connection **ret)
{
    LOCKED(&p->lock);
    return db_pool_take_idle_locked(p, deadline, ret);
}

const struct err *db_pool_take(struct db_pool *p, int64_t deadline, struct db_connection **ret)
{
    for (;;) {
        struct db_connection *c = NULL;
        TRY(take_idle(p, deadline, &c));
        if (db_connection_is_alive_when_idle(c)) {
            *ret = c;
            return NULL;
        }
        c->stale = true; /* the server closed it while it was idle: try the next */
        db_pool_give(p, c);
    }
}

/* ---- giving back ---- */

/* Returns the idle connections for the caller to close, so that no other statement waits on them.
 */
static struct db_connection *doubt_locked(struct db_pool *p)
{
    struct db_connection *idle = p->idle;
    p->hung = true;
    p->doubted_ms = mono_unmoved_ms();
    p->open -= p->idle_n;
    p->idle_n = 0;
    p->idle = NULL;
    pthread_cond_signal(&p->needed);
    return idle;
}

void db_pool_give(struct db_pool *p, struct db_connection *c)
{
    bool lost = db_connection_is_lost(c), late = c->late;
    bool keep = !lost && !c->stale && PQtransactionStatus(c->pg) == PQTRANS_IDLE;
    int64_t asked_ms = c->asked_ms;
    struct db_connection *unfit = NULL;
    if (!keep)
        db_connection_close(c);
    lock_take(&p->lock);
    p->lost += lost;
    p->late += late;
    if (keep) {
        c->failed = false;
        note_answer_locked(p);
        add_idle_locked(p, c);
        pthread_cond_signal(&p->returned);
    } else {
        p->open--;
        if (late && p->answered_ms <= asked_ms && !p->hung)
            unfit = doubt_locked(p);
        pthread_cond_broadcast(&p->returned);
        pthread_cond_signal(&p->needed);
    }
    lock_release(&p->lock);
    close_all(unfit);
}

int64_t db_pool_silence_ms(struct db_pool *p)
{
    LOCKED(&p->lock);
    return p->asked_ms ? mono_unmoved_ms() - p->asked_ms : 0;
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
               p->idle_n, p->open - p->idle_n, p->max, p->away || p->doubted_ms);
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
               "concorde_db_connections_lost_total %lld\n"
               "# HELP concorde_db_statement_timeouts_total Statements that were not answered in "
               "time.\n"
               "# TYPE concorde_db_statement_timeouts_total counter\n"
               "concorde_db_statement_timeouts_total %lld\n",
               (long long)p->waits, (long long)p->timeouts, (long long)p->connects,
               (long long)p->connect_failures, (long long)p->lost, (long long)p->late);
}

#include "storage/nodes/follower.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/thread.h"
#include "storage/db/db_connection.h"
#include "storage/db/db_wait.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    FRESH_MS = 5000,   /* less than NODE_DEAD_MS: until then no other node counts on our absence */
    BARRIER_MS = 5000, /* of a request's wait */
    HUNG_MS = 2000,
    LOOK_LIMIT_MS = 5000, /* of a statement */
    RETRY_AFTER_MS = 1000,
    PAUSE_MS = 200,
    FLIGHT_WAIT_MS = 100
};

struct follower {
    struct follower_settings s;
    pthread_t thread;
    int wake; /* eventfd */
    PGconn *listening;
    int64_t next_beat;    /* follower_now() */
    int64_t said_members; /* a new node waits until all have said that they know of it */

    struct lock lock;
    pthread_cond_t looked;
    /* Looks are numbered. A barrier needs one that began after it came. */
    int64_t asked, done, failed;
    bool stopping;
    _Atomic int64_t looking_since; /* follower_now() when the present look began; 0: none is made */
    _Atomic bool is_failing;       /* the last look failed */
    int (*count_parked)(const void *of);
    const void *parked_of;
    _Atomic int64_t fresh_at; /* follower_now() when the last good look began */
    _Atomic int64_t beat_at;  /* and when the last sign of life was stored */
    _Atomic int64_t looks, notifications, barriers, lost_connections;
};

/* Others do not wait while this machine is suspended. */
static int64_t follower_now(void)
{
    return boot_ms() - clock_moved_ms();
}

/* ---- LISTEN ---- */

static void follower_disconnect(struct follower *f)
{
    if (f->listening)
        PQfinish(f->listening);
    f->listening = NULL;
}

static const struct err *listen_to(struct follower *f, const char *channel)
{
    char sql[80];
    snprintf(sql, sizeof sql, "LISTEN %s", channel);
    return db_ask(f->listening, sql, LOOK_LIMIT_MS, "listening to the log", NULL);
}

static const struct err *follower_connect(struct follower *f)
{
    const struct follower_channel *c = f->s.channels;
    TRY(db_connect(f->s.uri, &f->listening));
    const struct err *e = listen_to(f, "concorde_log");
    for (; !e && c && c->name; c++)
        e = listen_to(f, c->name);
    if (e)
        follower_disconnect(f);
    return e;
}

static void follower_dispatch(struct follower *f, const PGnotify *n)
{
    for (const struct follower_channel *c = f->s.channels; c && c->name; c++)
        if (strcmp(c->name, n->relname) == 0)
            c->on_notify(c->ctx, n->extra);
}

static void take_notifications(struct follower *f)
{
    if (!PQconsumeInput(f->listening)) {
        f->lost_connections++;
        follower_disconnect(f);
        return;
    }
    for (PGnotify *n; (n = PQnotifies(f->listening)); PQfreemem(n)) {
        f->notifications++;
        follower_dispatch(f, n);
    }
}

/* Waits for a notification, for someone who asks, or for the time of the next sign of life. */
static void follower_wait(struct follower *f)
{
    int64_t left = f->next_beat - follower_now();
    struct pollfd fds[] = {{.fd = f->wake, .events = POLLIN},
                           {.fd = f->listening ? PQsocket(f->listening) : -1, .events = POLLIN}};
    uint64_t unused;
    if (poll(fds, 2, left > 0 ? (int)left : 0) < 0)
        return;
    if (fds[0].revents && read(f->wake, &unused, sizeof unused) < 0 && errno != EAGAIN)
        log_warn("follower: %s", strerror(errno));
    if (fds[1].revents)
        take_notifications(f);
}

/* ---- looking ---- */

static const struct err *look_until_all(struct follower *f)
{
    struct log_view *v = f->s.view;
    LOCKED(&v->lock);
    for (bool all = false;;) {
        TRY(log_view_look_locked(v, &all));
        if (all)
            return NULL;
        lock_wait_until(&v->lock, &v->moved, mono_ms() + FLIGHT_WAIT_MS);
    }
}

void follower_set_parked(struct follower *f, int (*count)(const void *of), const void *of)
{
    if (!f)
        return;
    LOCKED(&f->lock);
    f->count_parked = count;
    f->parked_of = of;
}

static int64_t count_parked(struct follower *f)
{
    LOCKED(&f->lock);
    return f->count_parked ? f->count_parked(f->parked_of) : 0;
}

static const struct err *beat_if_due(struct follower *f)
{
    int64_t members = log_view_members(f->s.view);
    if (follower_now() < f->next_beat && members == f->said_members)
        return NULL;
    f->next_beat = follower_now() + NODE_BEAT_MS;
    if (members != f->said_members && f->s.on_members)
        f->s.on_members(f->s.ctx);
    f->said_members = members;
    TRY(log_view_beat(f->s.view, count_parked(f)));
    f->beat_at = follower_now();
    return NULL;
}

static const struct err *follower_look(struct follower *f)
{
    if (!f->listening)
        TRY(follower_connect(f));
    TRY(look_until_all(f));
    return beat_if_due(f);
}

/* Answers all barriers up to this look. */
static void answer(struct follower *f, int64_t number, const struct err *e)
{
    LOCKED(&f->lock);
    *(e ? &f->failed : &f->done) = number;
    pthread_cond_broadcast(&f->looked);
}

static void *follow(void *arg)
{
    struct follower *f = arg;
    db_limit_statements(LOOK_LIMIT_MS);
    for (;;) {
        lock_take(&f->lock);
        int64_t number = f->asked;
        bool stopping = f->stopping;
        lock_release(&f->lock);
        if (stopping)
            return NULL;
        int64_t began = follower_now();
        f->looking_since = began;
        const struct err *e = follower_look(f);
        f->looking_since = 0;
        f->is_failing = e;
        f->looks++;
        if (!e)
            f->fresh_at = began;
        else if (log_limited("following the log", LOG_FEW))
            log_err(LOG_WARN, "following the log", e);
        answer(f, number, e);
        if (e)
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
        else
            follower_wait(f);
    }
}

static void follower_wake(struct follower *f)
{
    uint64_t one = 1;
    if (write(f->wake, &one, sizeof one) < 0)
        log_warn("follower: %s", strerror(errno));
}

bool follower_is_fresh(struct follower *f)
{
    return !f || follower_now() - f->fresh_at < FRESH_MS;
}

/* Then requests are refused at once, so that they do not keep all workers. */
static bool is_out_of_reach(struct follower *f)
{
    int64_t since = f->looking_since;
    bool is_hung = since && follower_now() - since > HUNG_MS;
    return !follower_is_fresh(f) && (is_hung || f->is_failing);
}

const struct err *follower_barrier(struct follower *f)
{
    if (!f || (!f->s.view->has_others && follower_is_fresh(f)))
        return NULL;
    if (is_out_of_reach(f))
        return err_unavailable(RETRY_AFTER_MS, "the log cannot be read");
    int64_t deadline = follower_now() + BARRIER_MS;
    f->barriers++;
    LOCKED(&f->lock);
    int64_t number = ++f->asked;
    follower_wake(f);
    while (f->done < number && f->failed < number && !f->stopping && follower_now() < deadline)
        lock_wait_until(&f->lock, &f->looked, mono_ms() + BARRIER_MS);
    return f->done >= number ? NULL : err_unavailable(RETRY_AFTER_MS, "the log cannot be read");
}

/* ---- start and end ---- */

SQL(notify_sql, "SELECT pg_notify($1, $2)")

const struct err *follower_notify(struct follower *f, const char *channel, const char *payload)
{
    arena_auto struct arena *a = arena_create();
    struct tx tx;
    tx_init(&tx, f->s.view->db, a);
    const struct err *e = db_exec(&tx, &notify_sql, P(TEXT(channel), TEXT(payload)), NULL);
    tx_finish(&tx);
    return e;
}

static void follower_destroy(struct follower *f)
{
    follower_disconnect(f);
    if (f->wake >= 0)
        close(f->wake);
    pthread_cond_destroy(&f->looked);
    lock_finish(&f->lock);
    free(f);
}

const struct err *follower_start(const struct follower_settings *s, struct follower **ret)
{
    struct follower *f = mem_zalloc(sizeof *f);
    f->s = *s;
    f->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    f->fresh_at = f->beat_at = follower_now();
    lock_init(&f->lock, RANK_LEAF);
    cond_init(&f->looked);
    const struct err *e = f->wake < 0 ? err_internal("eventfd: %s", strerror(errno)) : NULL;
    if (!e)
        e = follower_look(f);
    if (!e)
        e = log_view_await_others(s->view);
    if (!e && !thread_start(&f->thread, "log-follower", follow, f))
        e = err_internal("cannot start the thread that follows the log");
    if (e)
        follower_destroy(f);
    else
        *ret = f;
    return e;
}

void follower_stop(struct follower *f)
{
    if (!f)
        return;
    lock_take(&f->lock);
    f->stopping = true;
    pthread_cond_broadcast(&f->looked);
    lock_release(&f->lock);
    follower_wake(f);
    pthread_join(f->thread, NULL);
    follower_destroy(f);
}

void follower_add_metrics(struct follower *f, struct buf *out)
{
    if (!f)
        return;
    lock_take(&f->s.view->lock);
    int64_t others = f->s.view->others;
    lock_release(&f->s.view->lock);
    buf_printf(out,
               "# HELP concorde_nodes Servers that use the database, this one included.\n"
               "# TYPE concorde_nodes gauge\nconcorde_nodes %lld\n"
               "# HELP concorde_node_looks_total Times that this node has read the log.\n"
               "# TYPE concorde_node_looks_total counter\nconcorde_node_looks_total %lld\n"
               "# HELP concorde_node_barriers_total Requests that waited until the log was read.\n"
               "# TYPE concorde_node_barriers_total counter\nconcorde_node_barriers_total %lld\n"
               "# HELP concorde_node_notifications_total Notifications of other processes.\n"
               "# TYPE concorde_node_notifications_total counter\n"
               "concorde_node_notifications_total %lld\n"
               "# HELP concorde_node_listen_lost_total Times that the connection for them was "
               "lost.\n# TYPE concorde_node_listen_lost_total counter\n"
               "concorde_node_listen_lost_total %lld\n",
               (long long)others + 1, (long long)f->looks, (long long)f->barriers,
               (long long)f->notifications, (long long)f->lost_connections);
    buf_printf(out,
               "# HELP concorde_node_lag_positions How far this node is behind the end of the log "
               "that it last read.\n"
               "# TYPE concorde_node_lag_positions gauge\nconcorde_node_lag_positions %lld\n"
               "# HELP concorde_node_beat_age_seconds Since its last sign of life: after 8 s the "
               "other nodes take it for dead.\n"
               "# TYPE concorde_node_beat_age_seconds gauge\n"
               "concorde_node_beat_age_seconds %.3f\n",
               (long long)log_view_lag(f->s.view), (double)(follower_now() - f->beat_at) / 1e3);
}

#include "storage/db/log_session.h"

#include <sodium.h>
#include <time.h>

enum { RETRY_AFTER_MS = 1000, LOCK_TRIES = 15, LOCK_PAUSE_MS = 200 };

/* CTE: so that only our own old connection is ever considered. */
SQL(end_old_connection_sql, "WITH old AS MATERIALIZED (SELECT pid FROM pg_stat_activity "
                            "WHERE application_name = $1 AND pid <> pg_backend_pid()) "
                            "SELECT count(*) FROM old WHERE NOT pg_terminate_backend(pid, 5000)")
SQL(lock_alone_sql, "SELECT pg_try_advisory_lock(4205070202)::int::int8")
SQL(lock_shared_sql, "SELECT pg_try_advisory_lock_shared(4205070202)::int::int8")
SQL(head_of_log_sql, "SELECT node, batch, position, epoch, members FROM log_head")

/* The offset is taken from the clock, 4096 a second: more than the log ever grows by, so that the
 * stream ids of the next epoch are higher than all of this one, and of one that is lost. */
SQL(begin_epoch_sql,
    "WITH head AS (UPDATE log_head SET epoch = $1 WHERE epoch = $2 RETURNING position) "
    "INSERT INTO log_epochs (number, epoch, begins, history_begins, stream_offset) "
    "SELECT (SELECT max(number) + 1 FROM log_epochs), $1, head.position, h.lowest, "
    " greatest((SELECT max(stream_offset) FROM log_epochs), "
    "          (extract(epoch FROM clock_timestamp()) * 4096)::int8 - head.position) "
    "FROM head, (SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS lowest "
    "            FROM events_history_seq) h "
    "RETURNING begins, history_begins, stream_offset")

/* So that the database closes its end soon after ours is gone, and frees the lock; and the lock of
 * log_head, which all other nodes wait for, if this process stops in the middle of a batch. */
static const char keep_alive[] =
    "SET idle_in_transaction_session_timeout = '4s'; SET tcp_keepalives_idle = 10; SET "
    "tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; "
    "SET tcp_user_timeout = 20000";

static const struct err *run_int(struct log_session *s, struct sql *sql,
                                 const struct db_param *params, size_t n, int64_t *ret)
{
    TRY(pipeline_send(&s->pipeline, sql, params, n));
    return pipeline_run(&s->pipeline, 0, ret, 1);
}

/* Retries for a short time, since a command frees it soon. */
static const struct err *log_session_take_lock(struct log_session *s, bool *ret_has)
{
    int64_t has = 0;
    bool is_server = s->view->s.is_server;
    for (int i = 0; i < (is_server ? LOCK_TRIES : 1) && !has; i++) {
        if (i)
            nanosleep(&(struct timespec){.tv_nsec = LOCK_PAUSE_MS * 1000000L}, NULL);
        TRY(run_int(s, is_server ? &lock_shared_sql : &lock_alone_sql, NO_PARAMS, &has));
    }
    *ret_has = has;
    return NULL;
}

const struct err *log_session_open(struct log_session *s)
{
    int64_t remaining = 0;
    TRY(pipeline_open(s->uri, s->name, keep_alive, s->limit_ms, &s->pipeline));
    /* PostgreSQL may not have noticed yet that the old connection is gone, and may still commit a
     * batch: only when its process has ended, the head shows the outcome. */
    TRY(run_int(s, &end_old_connection_sql, P(TEXT(s->name)), &remaining));
    if (remaining)
        return err_unavailable(RETRY_AFTER_MS, "the old connection does not end");
    TRY(log_session_take_lock(s, &s->has_lock));
    if (s->view->s.is_server && !s->has_lock)
        return err(ERR_CONFLICT, "A command, or a server of an earlier version, is using this "
                                 "database alone: wait for it, or stop it, first (if its machine "
                                 "died, its lock ends within half a minute)");
    return NULL;
}

void log_session_close(struct log_session *s)
{
    pipeline_close(&s->pipeline);
}

bool log_session_is_open(const struct log_session *s)
{
    return s->pipeline.connection;
}

const struct err *log_session_read(struct log_session *s, struct log_head *ret)
{
    int64_t values[5];
    TRY(pipeline_send(&s->pipeline, &head_of_log_sql, NO_PARAMS));
    TRY(pipeline_run(&s->pipeline, 0, values, 5));
    *ret = (struct log_head){values[0], values[1], values[2], values[3], values[4]};
    return NULL;
}

/* The follower may have learned of the epoch, and even of a later one, before. */
static void begun_locked(struct log_view *v, int64_t after, const struct epoch *begun)
{
    if (v->epoch != after)
        return;
    v->epoch = begun->id;
    if (v->s.epochs)
        epochs_add(v->s.epochs, begun);
}

const struct err *log_session_begin(struct log_session *s, const struct log_head *head)
{
    struct log_view *v = s->view;
    int64_t values[3], id;
    randombytes_buf(&id, sizeof id);
    id = (id & INT64_MAX) | 1; /* not 0, which means a token without an epoch */
    TRY(pipeline_send(&s->pipeline, &begin_epoch_sql, P(INT(id), INT(head->epoch))));
    const struct err *e = pipeline_run(&s->pipeline, 0, values, 3);
    if (e && e->code == ERR_INTERNAL)
        return err_with_cause(err(ERR_CONFLICT, "Another process has begun an epoch of the log"),
                              "%s", e->cause);
    TRY(e);
    LOCKED(&v->lock);
    begun_locked(v, head->epoch, &(struct epoch){id, values[0], values[1], values[2]});
    return NULL;
}

#include "storage/nodes/log_view.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "storage/db/log_batches.h"
#include "storage/nodes/node_list.h"
#include "storage/schema/migrate.h"

#include <sodium.h>
#include <stdatomic.h>

#define LOST_TRANSACTIONS "the database has lost transactions: it was restored, or has failed over"
#define DEAD_AFTER "interval '8 seconds'" /* NODE_DEAD_MS */

enum { CONNECTIONS = 2, RETRY_AFTER_MS = 1000, AWAIT_PAUSE_MS = 100, LOG_BEHIND_MAX = 40000 };

const struct err *log_view_init(struct log_view *v, const struct log_view_settings *s)
{
    struct db *db;
    TRY(db_open(s->uri, CONNECTIONS, &db));
    *v = (struct log_view){.s = *s, .db = db};
    randombytes_buf(&v->node, sizeof v->node);
    v->node = (v->node & INT64_MAX) | 1; /* 0: of no node */
    lock_init(&v->lock, RANK_LOG);
    cond_init(&v->moved);
    return NULL;
}

void log_view_lose(struct log_view *v, const char *why)
{
    if (atomic_exchange(&v->lost, true))
        return;
    if (v->s.on_lost)
        v->s.on_lost(v->s.ctx, why);
}

static const struct err *log_view_is_lost(struct log_view *v, const char *why)
{
    log_view_lose(v, why);
    return err_unavailable(RETRY_AFTER_MS, "%s", why);
}

static void set_members_locked(struct log_view *v, int64_t members, int64_t others)
{
    if ((others > 0) != (v->others > 0))
        log_info(others ? "another server uses the database, too: the log is written for it"
                        : "no other server uses the database any more");
    v->members = members;
    v->others = others;
    atomic_store(&v->has_others, others > 0);
}

/* ---- the list of nodes ---- */

SQL(node_register_sql, "SELECT members, head, others FROM node_register($1, $2, $3, $4)")
SQL(nodes_count_sql, "SELECT (SELECT members FROM log_head), count(*) FILTER (WHERE id <> $1), "
                     "count(*) FILTER (WHERE id = $1) FROM nodes")
SQL(node_leave_sql, "SELECT node_leave($1)")

/* A place without a colon is not known well enough. */
SQL(node_forget_sql, "DELETE FROM nodes WHERE host = $1 AND strpos(host, ':') > 0")

static const struct err *register_locked(struct log_view *v, struct tx *tx, int64_t *ret_head)
{
    int64_t members, others;
    TRY(db_one(tx, &node_register_sql,
               P(INT(v->node), TEXT(node_place(tx->arena, v->s.data_dir)), TEXT(CONCORDE_VERSION),
                 INT4(migrate_newest())),
               NULL, R(INT_OUT(&members), INT_OUT(ret_head), INT_OUT(&others))));
    set_members_locked(v, members, others);
    v->is_registered = true;
    return NULL;
}

const struct err *log_view_register(struct log_view *v, int64_t *ret_head)
{
    arena_auto struct arena *a = arena_create();
    struct tx tx;
    LOCKED(&v->lock);
    tx_init(&tx, v->db, a);
    const struct err *e = NULL;
    if (v->s.data_dir) /* the process that was killed here is not waited for */
        e = db_exec(&tx, &node_forget_sql, P(TEXT(node_place(a, v->s.data_dir))), NULL);
    if (!e)
        e = register_locked(v, &tx, ret_head);
    tx_finish(&tx);
    return e;
}

static const struct err *read_members(struct log_view *v, struct tx *tx)
{
    int64_t members, others, own, head;
    TRY(db_one(tx, &nodes_count_sql, P(INT(v->node)), NULL,
               R(INT_OUT(&members), INT_OUT(&others), INT_OUT(&own))));
    if (v->s.is_server && v->is_registered && !own) {
        v->must_await = true;
        return register_locked(v, tx, &head);
    }
    set_members_locked(v, members, others);
    return NULL;
}

const struct err *log_view_read_members_locked(struct log_view *v)
{
    arena_auto struct arena *a = arena_create();
    struct tx tx;
    tx_init(&tx, v->db, a);
    const struct err *e = read_members(v, &tx);
    tx_finish(&tx);
    return e;
}

SQL(nodes_behind_sql, "SELECT count(*) FROM nodes WHERE id <> $1 AND members < $2 "
                      "AND seen_at >= clock_timestamp() - " DEAD_AFTER)

const struct err *log_view_await_others(struct log_view *v)
{
    for (int64_t behind = 1;;) {
        arena_auto struct arena *a = arena_create();
        struct tx tx;
        tx_init(&tx, v->db, a);
        const struct err *e = db_one(&tx, &nodes_behind_sql, P(INT(v->node), INT(v->members)), NULL,
                                     R(INT_OUT(&behind)));
        tx_finish(&tx);
        TRY(e);
        if (!behind)
            return NULL;
        nanosleep(&(struct timespec){.tv_nsec = AWAIT_PAUSE_MS * 1000000L}, NULL);
    }
}

/* Any node removes dead ones. A node that others wait for (log_view_await_others) is only
 * behind until its next sign of life. */
SQL(node_beat_sql,
    "WITH gone AS (DELETE FROM nodes WHERE seen_at < clock_timestamp() - " DEAD_AFTER
    " AND id <> $1 RETURNING id), "
    "grown AS (UPDATE log_head SET members = members + 1 WHERE EXISTS (SELECT FROM gone) "
    " RETURNING members), "
    "seen AS (UPDATE nodes SET seen_at = clock_timestamp(), members = $2, position = $3, "
    " head = (SELECT position FROM log_head), parked = $4 WHERE id = $1 "
    " RETURNING is_draining) "
    "SELECT COALESCE((SELECT members FROM grown), (SELECT members FROM log_head)), "
    "(SELECT count(*) FROM seen), COALESCE((SELECT is_draining FROM seen), false)")
/* What every node has published is read by none any more, except by one that was away. */
SQL(batches_prune_sql, "DELETE FROM log_batches WHERE first <= (SELECT min(position) FROM nodes) "
                       "AND written_at < now() - interval '1 minute'")

int64_t log_view_members(struct log_view *v)
{
    LOCKED(&v->lock);
    return v->members;
}

int64_t log_view_count(struct log_view *v)
{
    LOCKED(&v->lock);
    return v->others + 1;
}

static const struct err *beat(struct log_view *v, struct tx *tx, int64_t parked)
{
    int64_t members, is_there, known = log_view_members(v);
    bool is_draining;
    TRY(db_one(tx, &node_beat_sql,
               P(INT(v->node), INT(known), INT(feed_position(v->s.feed)), INT(parked)), NULL,
               R(INT_OUT(&members), INT_OUT(&is_there), BOOL_OUT(&is_draining))));
    if (is_draining && v->s.on_drain)
        v->s.on_drain(v->s.ctx);
    lock_take(&v->lock);
    const struct err *e = members != v->members || !is_there ? read_members(v, tx) : NULL;
    lock_release(&v->lock);
    TRY(e);
    return db_exec(tx, &batches_prune_sql, NO_PARAMS, NULL);
}

const struct err *log_view_beat(struct log_view *v, int64_t parked)
{
    arena_auto struct arena *a = arena_create();
    struct tx tx;
    tx_init(&tx, v->db, a);
    const struct err *e = beat(v, &tx, parked);
    tx_finish(&tx);
    return e;
}

int64_t log_view_lag(struct log_view *v)
{
    int64_t lag = atomic_load(&v->head) - feed_position(v->s.feed);
    return lag > 0 ? lag : 0;
}

void log_view_finish(struct log_view *v)
{
    if (!v->db)
        return;
    if (v->is_registered && !v->lost) {
        arena_auto struct arena *a = arena_create();
        struct tx tx;
        tx_init(&tx, v->db, a);
        const struct err *e = db_exec(&tx, &node_leave_sql, P(INT(v->node)), NULL);
        tx_finish(&tx);
        if (e) /* it is removed when it has given no sign of life for a while */
            log_err(LOG_INFO, "leaving the list of servers", e);
    }
    db_close(v->db);
    pthread_cond_destroy(&v->moved);
    lock_finish(&v->lock);
    v->db = NULL;
}

/* ---- epochs ---- */

SQL(epochs_after_sql,
    "SELECT n.epoch, n.begins, n.history_begins, n.stream_offset FROM log_epochs n "
    "WHERE n.number > (SELECT number FROM log_epochs WHERE epoch = $1) ORDER BY n.number")

/* Read before another thread, or node, went on to ours. */
SQL(epoch_is_older_sql, "SELECT number FROM log_epochs WHERE epoch = $1 AND number < "
                        "(SELECT number FROM log_epochs WHERE epoch = $2)")

static bool has_epoch(const struct epoch *list, size_t n, int64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].id == id)
            return true;
    return false;
}

/* The epochs after ours. Ours must be among those of the database, and the next must not begin
 * before what this process knows of ours. */
static const struct err *log_view_adopt(struct log_view *v, struct tx *tx, int64_t epoch)
{
    const struct epoch *list;
    size_t n;
    struct epoch one = {0};
    TRY(db_list(tx, &epochs_after_sql, P(INT(v->epoch)),
                R(INT_OUT(&one.id), INT_OUT(&one.begins), INT_OUT(&one.history_begins),
                  INT_OUT(&one.stream_offset)),
                LIST(one, &list, &n)));
    if (!has_epoch(list, n, epoch)) {
        bool is_older;
        TRY(db_one(tx, &epoch_is_older_sql, P(INT(epoch), INT(v->epoch)), &is_older,
                   R(INT_OUT(&one.id))));
        return is_older ? NULL
                        : log_view_is_lost(v, "the database is another one: it was restored");
    }
    if (list[0].begins < feed_newest(v->s.feed))
        return log_view_is_lost(v, LOST_TRANSACTIONS);
    for (size_t i = 0; i < n && v->s.epochs; i++)
        epochs_add(v->s.epochs, &list[i]);
    v->epoch = list[n - 1].id; /* others may have begun since */
    return NULL;
}

const struct err *log_view_adopt_locked(struct log_view *v, int64_t epoch)
{
    if (epoch == v->epoch)
        return NULL;
    arena_auto struct arena *a = arena_create();
    struct tx tx;
    tx_init(&tx, v->db, a);
    const struct err *e = log_view_adopt(v, &tx, epoch);
    tx_finish(&tx);
    return e;
}

/* ---- the batches of others ---- */

static bool is_in_flight(const struct log_view *v, const struct log_batch *b)
{
    return b->node == v->node && b->batch == v->in_flight && v->in_flight;
}

/* How many of the batches follow the feed without a gap, up to ours in flight; *ret_last: the
 * position of their last change. */
static size_t count_next_locked(const struct log_view *v, const struct log_look *look,
                                int64_t *ret_last)
{
    size_t i = 0;
    *ret_last = feed_newest(v->s.feed);
    for (; i < look->n; i++) {
        const struct log_batch *b = &look->list[i];
        if (b->first != *ret_last + 1 || b->last < b->first || b->last > look->position ||
            is_in_flight(v, b))
            break;
        *ret_last = b->last;
    }
    return i;
}

/* Publishes them at once, up to one that cannot be read. */
static void publish_batches_locked(struct log_view *v, struct arena *a, const struct log_look *look)
{
    int64_t last, before = feed_newest(v->s.feed);
    size_t done = 0, n = count_next_locked(v, look, &last);
    struct change *changes = arena_alloc_array(a, (size_t)(last - before), sizeof *changes);
    for (size_t i = 0; i < n; i++) {
        const struct log_batch *b = &look->list[i];
        size_t batch_n = (size_t)(b->last - b->first) + 1;
        if (!log_batch_decode(a, b->encoded, b->first, changes + done, batch_n))
            break;
        done += batch_n;
    }
    feed_publish(v->s.feed, changes, done);
}

/* Too far behind to be worth reading. */
static bool is_far(const struct log_view *v, const struct log_look *look)
{
    return look->position - feed_newest(v->s.feed) > LOG_BEHIND_MAX;
}

/* Reads and publishes once. *ret_end: where this look ended; *ret_more: there is more to read. */
static const struct err *look_once_locked(struct log_view *v, struct tx *tx, int64_t *ret_end,
                                          bool *ret_more)
{
    struct log_look look;
    TRY(log_batches_look(tx, feed_newest(v->s.feed), &look));
    atomic_store(&v->head, look.position);
    TRY(log_view_adopt_locked(v, look.epoch));
    if (look.position < feed_newest(v->s.feed))
        return log_view_is_lost(v, LOST_TRANSACTIONS);
    if (look.members != v->members)
        TRY(read_members(v, tx));
    if (!is_far(v, &look))
        publish_batches_locked(v, tx->arena, &look);
    *ret_end = look.is_cut ? look.list[look.n - 1].last : look.position;
    *ret_more = look.is_cut && feed_newest(v->s.feed) == *ret_end;
    return NULL;
}

/* Follows the log to its head, or to what cannot be followed. *ret_end: what was to be reached. */
static const struct err *follow_locked(struct log_view *v, int64_t *ret_end)
{
    const struct err *e = NULL;
    for (bool more = true; more && !e;) {
        arena_auto struct arena *a = arena_create();
        struct tx tx;
        tx_init(&tx, v->db, a);
        e = look_once_locked(v, &tx, ret_end, &more);
        tx_finish(&tx);
    }
    return e;
}

const struct err *log_view_look_locked(struct log_view *v, bool *ret_all)
{
    int64_t end;
    if (v->lost)
        return err_unavailable(RETRY_AFTER_MS, "the log is lost");
    TRY(follow_locked(v, &end));
    bool is_behind = feed_newest(v->s.feed) < end;
    *ret_all = !is_behind || !v->in_flight;
    if (is_behind && !v->in_flight)
        feed_reset(v->s.feed, end);
    return NULL;
}

void log_view_catch_up_locked(struct log_view *v, int64_t position)
{
    int64_t end;
    if (feed_newest(v->s.feed) >= position)
        return;
    const struct err *e = v->lost ? NULL : follow_locked(v, &end);
    if (e)
        log_err(LOG_WARN, "reading what other servers wrote to the log", e);
    if (feed_newest(v->s.feed) < position)
        feed_reset(v->s.feed, position);
}

#include "storage/db/committer.h"
#include "storage/db/write_internal.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "storage/db/db_wait.h"
#include "storage/db/log_batches.h"
#include "storage/db/log_session.h"
#include "storage/db/retry.h"

#include <stdatomic.h>
#include <stdio.h>

enum {
    BATCH_WRITES_MAX = 512,
    BATCH_BYTES_MAX = 2 << 20,
    RECONNECT_MS = 200, /* between attempts while the database cannot be reached */
    RETRY_AFTER_MS = 1000,
    REFUSED_MAX = 8, /* times that a batch is sent again because nodes come and go */
    /* For so long after a write has lost, batches begin with the question which others will. */
    OUTRUN_MS = 200
};

/* The committer has no thread: the first waiting writer (the leader) commits for all that wait with
 * it, then hands the lead to the first that came meanwhile. So a lone writer needs no thread
 * switch, and many writers one each. */
struct committer {
    struct lock lock; /* the queues and the lead */
    struct write_queue usual;
    struct write_queue large; /* each is a transaction of its own (storage/db/write.h) */
    bool large_is_next;       /* a batch of others has been committed */
    uint64_t queued;
    bool led;            /* a writer is committing */
    pthread_cond_t idle; /* no writer is the leader */
    _Atomic bool stopping;
    int64_t unreachable_since; /* mono_ms() since which the leader cannot reach the database; 0: it
                                  can */

    /* Used by the leader only: */
    struct log_view view;
    struct log_session session;
    struct batch batch;
    int64_t batch_number;
    int64_t outrun_ms; /* mono_unmoved_ms() when a write last lost to another node */

    _Atomic int64_t batches, writes, large_writes, failures, timeouts;
};

/* ---- one transaction ---- */

SQL(rollback_sql, "ROLLBACK")

/* From here on, until publish() or end_flight(), the follower publishes nothing after it. */
static struct batch_claim begin_flight(struct committer *c)
{
    struct log_view *v = &c->view;
    LOCKED(&v->lock);
    v->in_flight = ++c->batch_number;
    return (struct batch_claim){.node = v->node,
                                .number = v->in_flight,
                                .epoch = v->epoch,
                                .members = v->members,
                                .is_read = v->others > 0 || !v->s.is_server};
}

static void end_flight_locked(struct log_view *v)
{
    v->in_flight = 0;
    pthread_cond_broadcast(&v->moved);
}

static void end_flight(struct committer *c)
{
    LOCKED(&c->view.lock);
    end_flight_locked(&c->view);
}

static int64_t count_changes(const struct write *writes)
{
    int64_t n = 0;
    for (const struct write *w = writes; w; w = w->next)
        n += (int64_t)w->changes_n;
    return n;
}

/* Writes that are to be committed together. */
struct attempt {
    struct write *writes;
    struct write_queue outrun; /* cut out of them: they were built on versions that are gone */
    struct batch_claim claim;
    bool is_parted; /* looks for them first */
    int refused, lost;
};

static const struct err *outrun_error(void)
{
    return err(ERR_CONFLICT, "Another request changed this at the same time");
}

/* ret_head: the position of the batch's last change. */
static const struct err *run_batch(struct committer *c, struct attempt *t, int64_t *ret_head)
{
    struct pipeline *p = &c->session.pipeline;
    t->claim = begin_flight(c);
    if (t->is_parted)
        TRY(batch_cut_outrun(&c->batch, p, &t->writes, &t->outrun, &t->claim.has_begun));
    if (!t->writes)
        return outrun_error();
    TRY(batch_send(&c->batch, p, t->writes, count_changes(t->writes), &t->claim));
    size_t which = t->claim.has_begun ? 0 : BATCH_HEAD_STATEMENT;
    return pipeline_run(p, which, ret_head, 1);
}

/* ---- outcomes ---- */

static void finish_write(struct write *w, const struct err *e)
{
    if (e) {
        w->failed = true;
        w->err = *e;
    }
    sem_post(&w->done); /* from here on w belongs to its writer again */
}

static void finish_all(struct write *writes, const struct err *e)
{
    for (struct write *w = writes, *next; w; w = next) {
        next = w->next;
        finish_write(w, e);
    }
}

/* The positions of the changes, and all of them in one list. */
static struct change *number_changes(struct committer *c, struct write *writes, int64_t first,
                                     int64_t n)
{
    struct change *all = arena_alloc_array(c->batch.arena, (size_t)n, sizeof *all);
    size_t filled = 0;
    for (struct write *w = writes; w; w = w->next)
        for (size_t i = 0; i < w->changes_n; i++) {
            w->changes[i].position = first++;
            all[filled++] = w->changes[i];
        }
    return all;
}

/* Others had removed this node, and it has registered again. */
static void await_others(struct committer *c)
{
    const struct err *e = log_view_await_others(&c->view);
    if (e)
        log_err(LOG_WARN, "waiting until the other servers know of this one", e);
}

/* The ring must have no gaps: what other processes committed before comes first. If that cannot be
 * read, the caches are reset, perhaps to a later position, which includes this batch. */
static void publish(struct committer *c, struct write *writes, int64_t head)
{
    int64_t n = count_changes(writes);
    const struct change *all = number_changes(c, writes, head - n + 1, n);
    lock_take(&c->view.lock);
    log_view_catch_up_locked(&c->view, head - n);
    if (feed_newest(c->view.s.feed) == head - n)
        feed_publish(c->view.s.feed, all, (size_t)n);
    end_flight_locked(&c->view);
    bool must_await = c->view.must_await;
    c->view.must_await = false;
    lock_release(&c->view.lock);
    if (must_await)
        await_others(c);
    c->batches++;
    finish_all(writes, NULL);
}

static void committer_catch_up(struct committer *c, int64_t position)
{
    LOCKED(&c->view.lock);
    log_view_catch_up_locked(&c->view, position);
}

static const struct err *unavailable(void)
{
    return err_with_retry(err(ERR_UNAVAILABLE, "The database cannot be reached; try again soon"),
                          RETRY_AFTER_MS);
}

/* ---- a lost connection ---- */

static void disconnect(struct committer *c)
{
    c->timeouts += pipeline_is_late(&c->session.pipeline);
    log_session_close(&c->session);
}

/* Ends a failed transaction. Keeps the connection if it is still good, since a new one begins an
 * epoch. */
static void rollback(struct committer *c)
{
    struct pipeline *p = &c->session.pipeline;
    const struct err *e = NULL;
    if (!pipeline_is_stale(p))
        e = pipeline_send(p, &rollback_sql, NO_PARAMS);
    if (!e && !pipeline_is_stale(p))
        e = pipeline_run(p, 0, NULL, 0);
    if (e || pipeline_is_stale(p))
        disconnect(c);
}

static bool is_lost(const struct committer *c)
{
    return c->view.lost;
}

static const struct err *lost_error(void)
{
    return err_unavailable(RETRY_AFTER_MS, "the log is not this server's any more");
}

/* Learns of what the head says: an epoch, or other nodes. known: how far the feed was before the
 * head was read. */
static const struct err *compare_head(struct committer *c, const struct log_head *head,
                                      int64_t known)
{
    struct log_view *v = &c->view;
    LOCKED(&v->lock);
    if (!v->epoch)
        v->epoch = head->epoch;
    TRY(log_view_adopt_locked(v, head->epoch));
    if (head->members != v->members)
        TRY(log_view_read_members_locked(v));
    if (head->position < known)
        log_view_lose(v, "the database has lost transactions: it was restored, or has failed over");
    return v->lost ? lost_error() : NULL;
}

static const struct err *read_head(struct committer *c, struct log_head *ret)
{
    int64_t known = feed_newest(c->view.s.feed);
    TRY(log_session_read(&c->session, ret));
    return compare_head(c, ret, known);
}

/* Begins an epoch, after those that other nodes begin at the same time. */
static const struct err *begin_epoch(struct committer *c, struct log_head *ret)
{
    struct retry retry = {0};
    const struct err *e;
    do {
        TRY(read_head(c, ret));
        e = log_session_begin(&c->session, ret);
        if (e && e->code == ERR_CONFLICT)
            rollback(c);
    } while (log_session_is_open(&c->session) && retry_conflict(&retry, e));
    return e;
}

/* Each new connection begins an epoch: the database may have lost its last changes, and new ones
 * get the same positions. A command stays in the epoch of the server, if there is one. */
static const struct err *committer_connect(struct committer *c, struct log_head *ret)
{
    TRY(log_session_open(&c->session));
    return c->view.s.is_server || c->session.has_lock ? begin_epoch(c, ret) : read_head(c, ret);
}

/* Was our last batch committed? Another node may have committed since. */
static const struct err *find_batch(struct committer *c, const struct log_head *head,
                                    bool *ret_committed, int64_t *ret_last)
{
    arena_auto struct arena *a = arena_create();
    struct tx tx;
    *ret_last = head->position;
    *ret_committed = head->node == c->view.node && head->batch == c->batch_number;
    if (*ret_committed)
        return NULL;
    tx_init(&tx, c->view.db, a);
    const struct err *e =
        log_batches_find(&tx, c->view.node, c->batch_number, ret_committed, ret_last);
    tx_finish(&tx);
    return e;
}

/* Connects again if need be, and reads the head. On error the caller disconnects. */
static const struct err *look_at_head(struct committer *c, struct log_head *ret)
{
    if (is_lost(c))
        return lost_error();
    return log_session_is_open(&c->session) ? read_head(c, ret) : committer_connect(c, ret);
}

/* Notes that the database cannot be reached. One writer at a time then tries to connect, or to
 * learn the outcome of its batch. Returns the waiting writes, of which nothing was sent, for the
 * caller to fail. */
static struct write *mark_unreachable(struct committer *c)
{
    LOCKED(&c->lock);
    if (!c->unreachable_since)
        c->unreachable_since = mono_ms();
    *c->usual.last = c->large.first;
    struct write *waiting = c->usual.first;
    write_queue_init(&c->usual);
    write_queue_init(&c->large);
    return waiting;
}

static void mark_reachable(struct committer *c)
{
    LOCKED(&c->lock);
    c->unreachable_since = 0;
}

/* The writers of a batch whose outcome is unknown wait at most this long to learn it. */
enum { IN_DOUBT_MS = 10000, IN_DOUBT_MIN_MS = 2000 };

/* started: when the batch was sent, since its writers may have waited long already. True: the batch
 * was not committed, and can be sent again. */
static bool resolve_in_doubt(struct committer *c, struct write *writes, int64_t started)
{
    int64_t give_up = mono_unmoved_ms() + IN_DOUBT_MIN_MS;
    if (give_up < started + IN_DOUBT_MS)
        give_up = started + IN_DOUBT_MS;
    finish_all(mark_unreachable(c), unavailable());
    for (;;) {
        bool committed;
        int64_t last;
        struct log_head head;
        const struct err *e = look_at_head(c, &head);
        if (!e)
            e = find_batch(c, &head, &committed, &last);
        if (!e)
            mark_reachable(c);
        if (!e && committed)
            publish(c, writes, last);
        if (!e)
            return !committed;
        disconnect(c);
        if (mono_unmoved_ms() >= give_up || c->stopping || is_lost(c))
            break;
        nanosleep(&(struct timespec){.tv_nsec = RECONNECT_MS * 1000000L}, NULL);
    }
    end_flight(c);
    finish_all(writes, unavailable());
    return false;
}

/* Connects again. False: that failed, and all waiting writes with it. */
static bool ensure_connection(struct committer *c)
{
    if (log_session_is_open(&c->session))
        return true;
    struct log_head head;
    const struct err *e = look_at_head(c, &head);
    if (e) {
        log_err(LOG_WARN, "the committer cannot reach the database", e);
        disconnect(c);
        finish_all(mark_unreachable(c), unavailable());
        return false;
    }
    mark_reachable(c);
    committer_catch_up(c, head.position);
    return true;
}

/* ---- leading ---- */

/* A full disk only fails the statement: that batch is rolled back as after other errors. */
static bool connection_was_lost(struct committer *c, const struct err *e)
{
    const struct pipeline *p = &c->session.pipeline;
    return !pipeline_is_open(p) || (e->code == ERR_UNAVAILABLE && pipeline_is_stale(p));
}

/* The log refuses a batch of an epoch that has ended, or of a node that does not know of another
 * one. True: it knows now, and the batch can be sent again. */
static bool learned_why_refused(struct committer *c, const struct batch_claim *claim)
{
    struct log_head head;
    if (look_at_head(c, &head)) {
        disconnect(c);
        return false;
    }
    LOCKED(&c->view.lock);
    return c->view.epoch != claim->epoch || c->view.members != claim->members;
}

static void commit_each(struct committer *c, struct write *writes);

static bool all_are_empty(const struct write *writes)
{
    while (writes && write_is_empty(writes))
        writes = writes->next;
    return !writes;
}

/* An empty write only reads the head, to learn what others wrote. */
static const struct err *run_writes(struct committer *c, struct attempt *t, int64_t *ret_head)
{
    struct log_head head;
    if (!all_are_empty(t->writes))
        return run_batch(c, t, ret_head);
    TRY(look_at_head(c, &head));
    *ret_head = head.position;
    return NULL;
}

static void fail_batch(struct committer *c, struct write *writes, const struct err *e)
{
    if (!writes->next) {
        c->failures++;
        finish_write(writes, e);
        return;
    }
    commit_each(c, writes);
}

/* A write lost to one of another process: its change is published before the writer learns of it,
 * so that the next attempt is built on it. */
static void follow_winner(struct committer *c)
{
    bool all;
    LOCKED(&c->view.lock);
    const struct err *e = c->view.others ? log_view_look_locked(&c->view, &all) : NULL;
    if (e)
        log_err(LOG_WARN, "reading what other servers wrote to the log", e);
}

/* The outcome may be unknown. True: the batch was not committed, and is to be sent again. */
static bool attempt_lost_database(struct committer *c, struct attempt *t, int64_t started)
{
    disconnect(c);
    if (!resolve_in_doubt(c, t->writes, started))
        return false;
    if (!t->lost++)
        return true;
    end_flight(c);
    finish_all(t->writes, unavailable());
    return false;
}

/* Has it been found out why the batch failed, so that it, or a part of it, can be sent again? */
static bool attempt_learned(struct committer *c, struct attempt *t, enum err_code code)
{
    if (code == ERR_INTERNAL)
        return t->refused++ < REFUSED_MAX && !is_lost(c) && log_session_is_open(&c->session) &&
               learned_why_refused(c, &t->claim);
    if (code != ERR_CONFLICT || t->is_parted || !t->writes->next)
        return false;
    return t->is_parted = true;
}

/* True: the batch, or what is left of it, is to be sent again. */
static bool attempt_failed(struct committer *c, struct attempt *t, const struct err *e)
{
    struct err own = *e;
    rollback(c);
    end_flight(c);
    bool again = t->writes && attempt_learned(c, t, own.code);
    if (is_lost(c)) {
        finish_all(t->writes, unavailable());
        return false;
    }
    if (again)
        return true;
    if (own.code == ERR_CONFLICT)
        follow_winner(c);
    if (t->writes)
        fail_batch(c, t->writes, &own);
    return false;
}

/* True: once more. */
static bool attempt_run(struct committer *c, struct attempt *t, bool *ret_conflict)
{
    int64_t head, started = mono_unmoved_ms();
    t->claim = (struct batch_claim){0};
    const struct err *e = run_writes(c, t, &head);
    if (!e) {
        publish(c, t->writes, head);
        return *ret_conflict = false;
    }
    if (!is_lost(c) && connection_was_lost(c, e)) {
        log_err(LOG_WARN, "the committer lost the database", e);
        return attempt_lost_database(c, t, started);
    }
    *ret_conflict = e->code == ERR_CONFLICT;
    return attempt_failed(c, t, e);
}

/* Those who lost learn of it when what won is published. */
static void finish_outrun(struct committer *c, struct write *outrun)
{
    c->outrun_ms = mono_unmoved_ms();
    for (const struct write *w = outrun; w; w = w->next)
        c->failures++;
    finish_all(outrun, outrun_error());
}

/* Commits these writes together; if one of them fails, each on its own, but for those that lost to
 * another node. True: there was a conflict. */
static bool commit(struct committer *c, struct write *writes)
{
    struct attempt t = {.writes = writes};
    bool conflict = false;
    write_queue_init(&t.outrun);
    t.is_parted = writes->next && mono_unmoved_ms() - c->outrun_ms < OUTRUN_MS;
    while (attempt_run(c, &t, &conflict))
        ;
    if (t.outrun.first)
        finish_outrun(c, t.outrun.first);
    return conflict;
}

static void commit_each(struct committer *c, struct write *writes)
{
    struct followed followed;
    for (struct write *w = writes, *next; w; w = next) {
        if (!ensure_connection(c)) {
            finish_all(w, unavailable());
            return;
        }
        next = w->next;
        w->next = NULL;
        followed_note(w, &followed);
        if (!commit(c, w))
            continue;
        struct write_queue followers;
        write_queue_init(&followers);
        c->failures += (int64_t)followed_cut(&followed, &next, &followers);
        finish_all(followers.first, err(ERR_CONFLICT, "The write was built on one that failed"));
    }
}

/* ---- who is next ---- */

static bool is_of_room(const struct write *w, int64_t room)
{
    for (size_t i = 0; i < w->changes_n; i++)
        if (w->changes[i].room == room)
            return true;
    return false;
}

/* Does a large write to a room of this one wait? Then this one may depend on it. */
static bool follows_large_locked(const struct committer *c, const struct write *w)
{
    for (const struct write *l = c->large.first; l; l = l->next)
        for (size_t i = 0; i < w->changes_n; i++)
            if (w->changes[i].room && is_of_room(l, w->changes[i].room))
                return true;
    return false;
}

/* A large write is not committed before writes that were queued earlier. */
static bool takes_large_locked(const struct committer *c)
{
    const struct write *large = c->large.first, *usual = c->usual.first;
    return large && (!usual || (c->large_is_next && large->number < usual->number));
}

/* Takes waiting writes, up to a bound. */
static struct write *take_waiting(struct committer *c)
{
    LOCKED(&c->lock);
    bool large = takes_large_locked(c);
    c->large_is_next = !large;
    if (large) {
        c->large_writes++;
        return write_queue_take(&c->large, c->large.first);
    }
    struct write *last = c->usual.first;
    size_t bytes = last ? last->bytes : 0;
    for (int n = 1; last && last->next && n < BATCH_WRITES_MAX; n++) {
        bytes += last->next->bytes;
        if (bytes > BATCH_BYTES_MAX)
            break;
        last = last->next;
    }
    return last ? write_queue_take(&c->usual, last) : NULL;
}

/* Hands the lead to a waiting writer. */
static void committer_hand_over(struct committer *c)
{
    lock_take(&c->lock);
    struct write *next = takes_large_locked(c) ? c->large.first : c->usual.first;
    if (next)
        next->leads = true;
    else {
        c->led = false;
        pthread_cond_broadcast(&c->idle);
    }
    lock_release(&c->lock);
    if (next)
        sem_post(&next->done);
}

/* The new leader's own write may have been committed just before it took the lead: then there may
 * be nothing to do. */
static void lead(struct committer *c)
{
    struct write *writes = take_waiting(c);
    for (struct write *w = writes; w; w = w->next)
        c->writes++;
    if (writes && ensure_connection(c)) {
        commit(c, writes);
    } else if (writes) {
        finish_all(writes, unavailable());
        nanosleep(&(struct timespec){.tv_nsec = RECONNECT_MS * 1000000L}, NULL);
    }
    committer_hand_over(c);
}

static bool take_lead(struct committer *c)
{
    LOCKED(&c->lock);
    if (c->led)
        return false;
    return c->led = true;
}

void write_enqueue(struct job *job, struct write *w)
{
    struct committer *c = job->storage->committer;
    LOCKED(&c->lock);
    if (c->led && c->unreachable_since) {
        finish_write(w, unavailable());
        return;
    }
    w->number = c->queued++;
    bool large = write_is_large(w) || (c->large.first && follows_large_locked(c, w));
    write_queue_add(large ? &c->large : &c->usual, w);
}

const struct err *write_wait(struct job *job, struct write *w, int64_t *ret_position)
{
    struct committer *c = job->storage->committer;
    bool leads = take_lead(c), finished = false;
    while (!finished) {
        if (leads)
            lead(c);
        while (sem_wait(&w->done) != 0)
            ;
        leads = w->leads;
        w->leads = false;
        finished = !leads;
    }
    sem_destroy(&w->done);
    if (w->failed)
        return err_copy(&w->err);
    if (ret_position)
        *ret_position = w->changes_n ? w->changes[w->changes_n - 1].position : 0;
    return NULL;
}

static void committer_destroy(struct committer *c)
{
    disconnect(c);
    batch_finish(&c->batch);
    free(c->session.uri);
    log_view_finish(&c->view);
    free(c);
}

/* Other nodes write their batches for this one from where it registers, and the feed begins there.
 */
static const struct err *committer_open_log(struct committer *c)
{
    struct log_head head;
    TRY(log_session_open(&c->session));
    if (c->view.s.is_server) {
        TRY(log_view_register(&c->view, &head.position));
        feed_reset(c->view.s.feed, head.position);
    }
    if (c->view.s.is_server || c->session.has_lock)
        TRY(begin_epoch(c, &head));
    else
        TRY(read_head(c, &head));
    if (!c->view.s.is_server)
        feed_reset(c->view.s.feed, head.position);
    return NULL;
}

const struct err *committer_start(const struct committer_settings *settings, struct committer **ret)
{
    struct committer *c = mem_zalloc(sizeof *c);
    const struct err *e = log_view_init(&c->view, &settings->log);
    if (e) {
        free(c);
        return e;
    }
    lock_init(&c->lock, RANK_COMMITTER);
    cond_init(&c->idle);
    write_queue_init(&c->usual);
    write_queue_init(&c->large);
    batch_init(&c->batch);
    c->session = (struct log_session){
        .uri = mem_strdup(settings->log.uri),
        .view = &c->view,
        .limit_ms = settings->statement_timeout_ms ? settings->statement_timeout_ms : DB_LIMIT_MS};
    snprintf(c->session.name, sizeof c->session.name, "concorde-committer-%016llx",
             (unsigned long long)c->view.node);
    e = committer_open_log(c);
    if (e)
        committer_destroy(c);
    else
        *ret = c;
    return e;
}

struct log_view *committer_view(struct committer *c)
{
    return &c->view;
}

void committer_stop(struct committer *c)
{
    if (!c)
        return;
    lock_take(&c->lock);
    c->stopping = true;
    while (c->led)
        lock_wait(&c->lock, &c->idle);
    lock_release(&c->lock);
    pthread_cond_destroy(&c->idle);
    lock_finish(&c->lock);
    committer_destroy(c);
}

const char *committer_trouble(struct committer *c, int64_t *ret_since)
{
    LOCKED(&c->lock);
    *ret_since = is_lost(c) ? 0 : c->unreachable_since;
    return is_lost(c) ? "the log is not the one that this server knows: the database was "
                        "restored, or has lost transactions"
           : c->unreachable_since ? "the database has taken no writes"
                                  : NULL;
}

void committer_add_metrics(struct committer *c, struct buf *out)
{
    buf_printf(out,
               "# HELP concorde_commits_total Transactions that the committer has made.\n"
               "# TYPE concorde_commits_total counter\nconcorde_commits_total %lld\n"
               "# HELP concorde_writes_total Writes that were queued.\n"
               "# TYPE concorde_writes_total counter\nconcorde_writes_total %lld\n"
               "# HELP concorde_writes_large_total Writes that were a transaction of their own.\n"
               "# TYPE concorde_writes_large_total counter\nconcorde_writes_large_total %lld\n"
               "# HELP concorde_writes_failed_total Writes that failed.\n"
               "# TYPE concorde_writes_failed_total counter\nconcorde_writes_failed_total %lld\n"
               "# HELP concorde_commit_timeouts_total Times that the database did not answer the "
               "committer in time.\n"
               "# TYPE concorde_commit_timeouts_total counter\n"
               "concorde_commit_timeouts_total %lld\n",
               (long long)c->batches, (long long)c->writes, (long long)c->large_writes,
               (long long)c->failures, (long long)c->timeouts);
}

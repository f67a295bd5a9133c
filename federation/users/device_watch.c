#include "federation/users/device_watch.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "federation/federation.h"
#include "federation/peer/path.h"
#include "federation/peer/reply.h"
#include "federation/users/received_keys.h"
#include "matrix/id.h"
#include "storage/db/feed.h"
#include "storage/devices/remote_devices.h"
#include "storage/job_pool.h"
#include "users/device_changes.h"

#include <sodium.h>
#include <stdatomic.h>

enum {
    THREADS = 4,
    TIMEOUT_MS = 30 * 1000,
    LEASE_MS = 2 * TIMEOUT_MS, /* longer than a request takes */
    RETRY_MS = 5 * 1000,
    LOOK_MS = 60 * 1000, /* how often the database is checked in any case */
    SWEEP_MS = 3600 * 1000,
    SWEEP_PAGE = 500
};

struct device_watch {
    struct node *node;
    struct lock take_lock; /* held while taking a list, so that no server is asked for two */
    struct worker_pool *pool;
    struct worker_kind *work; /* THREADS items, each of which asks one server at a time */
    char *servers[THREADS];   /* being asked, by item; under take_lock */
    int64_t sweep_mono_ms;    /* when to sweep; under take_lock */
    int64_t swept_at;         /* log position at the last sweep; under take_lock */
    atomic_llong asked, failed;
};

/* The database has each list's failures and when it is due. */
static const struct backoff device_watch_backoff = {
    .first_ms = RETRY_MS, .max_ms = 900 * 1000, .factor = 2, .from_percent = 50, .to_percent = 150};

/* ---- one list ---- */

static const struct err *device_watch_read_list(struct arena *a, const json_t *reply,
                                                struct received_keys *t, int64_t *ret_stream)
{
    size_t i;
    json_t *one;
    const json_t *devices;
    TRY(json_need_array(reply, "devices", &devices));
    json_array_foreach (devices, i, one) {
        const char *device_id = json_text(one, "device_id");
        if (device_id)
            received_keys_add_device(a, t, device_id, json_object_get(one, "keys"),
                                     json_text(one, "device_display_name"));
    }
    received_keys_add_cross_signing(a, t, KEY_MASTER, json_object_get(reply, "master_key"));
    received_keys_add_cross_signing(a, t, KEY_SELF_SIGNING,
                                    json_object_get(reply, "self_signing_key"));
    const json_t *stream = json_object_get(reply, "stream_id");
    *ret_stream = json_is_integer(stream) ? json_integer_value(stream) : -1;
    return NULL;
}

static const struct err *device_watch_ask(struct job *job, const struct remote_list *l)
{
    struct received_keys received = {.user_id = l->user_id, .user = l->user};
    struct stored_keys stored;
    struct fed_reply reply;
    int64_t stream_id, position = feed_position(job->storage->feed);
    const struct fed_request r = {
        .server = l->server,
        .method = GET,
        .path = federation_path(job->arena, "/_matrix/federation/v1/user/devices/%s", l->user_id),
        .timeout_ms = TIMEOUT_MS};
    TRY(federation_request(job, &r, &reply));
    TRY(device_watch_read_list(job->arena, reply.json, &received, &stream_id));
    TRY(stored_keys_read(job, &l->user_id, 1, &stored));
    struct write *w = write_begin(job);
    TRY(received_list_write(job, w, &received, &stored, l, position, stream_id));
    return write_commit(job, w, NULL);
}

/* The stored list is wrong; clients must know that even if the right one is not available yet. */
static const struct err *device_watch_note_failure(struct job *job, const struct remote_list *l)
{
    struct write *w = write_begin(job);
    TRY(remote_devices_change_add(job, w, l->user, l->user_id));
    return write_commit(job, w, NULL);
}

static const struct err *ask_and_note(struct job *job, const struct remote_list *l)
{
    struct device_watch *w = job->federation->device_watch;
    const struct err *e = device_watch_ask(job, l);
    atomic_fetch_add(&w->asked, 1);
    if (!e)
        return NULL;
    atomic_fetch_add(&w->failed, 1);
    log_debug("the devices of %s are not available: %s", l->user_id, e->text);
    int64_t interval = backoff_interval_after(&device_watch_backoff, l->failures);
    int64_t ms = backoff_wait(&device_watch_backoff, interval, randombytes_random());
    int64_t wait_ms = federation_wait_ms(e);
    if (!l->failures)
        TRY(device_watch_note_failure(job, l));
    return remote_list_failed(job_tx(job), l->user, now_ms() + (ms > wait_ms ? ms : wait_ms));
}

/* ---- taking a list ---- */

static const struct err *device_watch_take(struct job *job, struct device_watch *w, size_t me,
                                           struct remote_list *ret)
{
    const char *busy[THREADS];
    size_t n = 0;
    LOCKED(&w->take_lock);
    for (int i = 0; i < THREADS; i++)
        if (w->servers[i])
            busy[n++] = w->servers[i];
    TRY(remote_list_take_stale(job_tx(job), now_ms(), now_ms() + LEASE_MS, busy, n, ret));
    if (ret->user)
        w->servers[me] = mem_strdup(ret->server);
    return NULL;
}

static void device_watch_give_back(struct device_watch *w, size_t me)
{
    LOCKED(&w->take_lock);
    free(w->servers[me]);
    w->servers[me] = NULL;
}

/* Lists fetched since the last sweep may belong to a room that is being joined, so they are
 * kept. */
static const struct err *device_watch_sweep(struct job *job, struct device_watch *w)
{
    int64_t n = SWEEP_PAGE, before;
    lock_take(&w->take_lock);
    bool is_due = mono_ms() >= w->sweep_mono_ms;
    before = w->swept_at;
    if (is_due) {
        w->sweep_mono_ms = mono_ms() + SWEEP_MS;
        w->swept_at = feed_position(job->storage->feed);
    }
    lock_release(&w->take_lock);
    while (is_due && n == SWEEP_PAGE)
        TRY(remote_lists_forget(job_tx(job), before, SWEEP_PAGE, &n));
    return NULL;
}

/* *ret_next: when there will be something to do, in ms from now; 0: at once. */
static const struct err *device_watch_work(struct job *job, struct device_watch *w, size_t me,
                                           int64_t *ret_next)
{
    struct remote_list l;
    int64_t next;
    *ret_next = 0;
    TRY(device_watch_take(job, w, me, &l));
    if (l.user) {
        const struct err *e = ask_and_note(job, &l);
        device_watch_give_back(w, me);
        return e;
    }
    TRY(device_watch_sweep(job, w));
    TRY(remote_lists_next(job_tx(job), &next));
    int64_t wait = next ? next - now_ms() : LOOK_MS;
    *ret_next = wait < 1000 ? 1000 : wait > LOOK_MS ? LOOK_MS : wait;
    return NULL;
}

static enum worker_outcome device_watch_run(void *of, void *thread, struct worker_item *item)
{
    const struct err *e = device_watch_work(thread, of, (size_t)item->key.number, &item->wait_ms);
    if (e) {
        log_err(LOG_WARN, "updating other servers' device lists failed; it will be retried", e);
        item->wait_ms = RETRY_MS;
    }
    return WORKER_WAIT;
}

void device_watch_poke(struct device_watch *w)
{
    worker_hurry_all(w->work);
}

/* ---- life ---- */

struct device_watch *device_watch_create(struct node *node)
{
    struct device_watch *w = mem_zalloc(sizeof *w);
    w->node = node;
    w->sweep_mono_ms = mono_ms() + SWEEP_MS;
    lock_init(&w->take_lock, RANK_CACHE);
    w->pool = job_pool_create(node, "fed-devices", THREADS);
    w->work = worker_kind_create(
        w->pool,
        &(struct worker_settings){.name = "device lists", .of = w, .run = device_watch_run});
    return w;
}

void device_watch_start(struct device_watch *w)
{
    worker_kind_start(w->work);
    for (int i = 0; i < THREADS; i++)
        worker_add(w->work, (struct worker_key){.number = i});
}

void device_watch_stop(struct device_watch *w)
{
    if (w)
        worker_kind_stop(w->work);
}

void device_watch_destroy(struct device_watch *w)
{
    if (!w)
        return;
    worker_kind_destroy(w->work);
    worker_pool_destroy(w->pool);
    lock_finish(&w->take_lock);
    free(w);
}

void device_watch_add_metrics(struct device_watch *w, struct buf *out)
{
    buf_printf(out,
               "# HELP concorde_federation_device_lists_total Device lists fetched again.\n"
               "# TYPE concorde_federation_device_lists_total counter\n"
               "concorde_federation_device_lists_total{result=\"received\"} %lld\n"
               "concorde_federation_device_lists_total{result=\"failed\"} %lld\n",
               (long long)(atomic_load(&w->asked) - atomic_load(&w->failed)),
               (long long)atomic_load(&w->failed));
}

#include "base/worker/worker.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/worker/worker_internal.h"

#include <assert.h>
#include <signal.h>
#include <sodium.h>

static void *worker_thread(void *pool);

/* ---- threads ---- */

static void worker_start_thread_locked(struct worker_pool *p)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the threads that expect them */
    bool started = thread_start(&p->threads[p->threads_n], p->s.name, worker_thread, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    p->threads_n += started;
    if (!started && log_limited("a thread could not be started", LOG_FEW))
        log_warn("only %d of %d threads %s could be started", p->threads_n, p->s.threads,
                 p->s.name);
}

static void worker_wake_one_locked(struct worker_pool *p)
{
    if (p->idle_n > p->is_watched)
        pthread_cond_signal(&p->wake);
    else if (p->is_watched)
        pthread_cond_signal(&p->sooner);
    else if (p->threads_n < p->s.threads && !p->stopping)
        worker_start_thread_locked(p);
}

/* One idle thread waits until the first item is due. */
static void worker_wait_locked(struct worker_pool *p)
{
    p->idle_n++;
    if (p->heap_n && !p->is_watched) {
        p->is_watched = true;
        lock_wait_until(&p->lock, &p->sooner, p->heap[0]->due);
        p->is_watched = false;
    } else {
        lock_wait(&p->lock, &p->wake);
    }
    p->idle_n--;
}

/* ---- entries ---- */

static void worker_add_key(struct worker_key key, struct buf *out)
{
    const char *text = key.text ? key.text : "";
    buf_add(out, &key.number, sizeof key.number);
    buf_add(out, &key.other, sizeof key.other);
    buf_add(out, text, strlen(text));
}

static struct worker_entry *worker_find_locked(struct worker_kind *k, struct worker_key key)
{
    buf_auto struct buf b = {0};
    worker_add_key(key, &b);
    return map_get(&k->entries, buf_str(&b));
}

static struct worker_lane *worker_lane_locked(struct worker_kind *k, const char *text)
{
    struct worker_lane *l = map_get(&k->lanes, str_of(text));
    if (l)
        return l;
    size_t n = strlen(text) + 1;
    l = mem_zalloc(sizeof *l + n);
    memcpy(l->text, text, n);
    worker_link_init(&l->ready);
    map_put(&k->lanes, str_of(l->text), l);
    return l;
}

static struct worker_entry *worker_make_locked(struct worker_kind *k, struct worker_key key)
{
    buf_auto struct buf b = {0};
    worker_add_key(key, &b);
    struct worker_entry *e = mem_zalloc(sizeof *e + b.n + 1);
    memcpy(e->bytes, b.p, b.n);
    e->bytes_n = b.n;
    e->kind = k;
    e->item.key = (struct worker_key){key.number, key.other, e->bytes + 2 * sizeof(int64_t)};
    e->lane = worker_lane_locked(k, e->item.key.text);
    e->lane->entries_n++;
    map_put(&k->entries, (struct str){e->bytes, e->bytes_n}, e);
    return e;
}

/* The entry is in no queue. */
static void worker_drop_locked(struct worker_entry *e)
{
    struct worker_lane *l = e->lane;
    map_remove(&e->kind->entries, (struct str){e->bytes, e->bytes_n});
    if (!--l->entries_n) {
        map_remove(&e->kind->lanes, str_of(l->text));
        free(l);
    }
    free(e);
}

/* Queues an entry that is in no queue. */
static void worker_queue_locked(struct worker_entry *e, int64_t due)
{
    struct worker_pool *p = e->kind->pool;
    int64_t now = mono_ms();
    e->due = due;
    if (due <= now) {
        worker_ready_locked(e, now);
        return;
    }
    worker_delay_locked(e);
    if (p->heap[0] == e && p->is_watched)
        pthread_cond_signal(&p->sooner);
}

/* The same, and sees to a thread for it. */
static void worker_call_locked(struct worker_entry *e, int64_t due)
{
    struct worker_pool *p = e->kind->pool;
    worker_queue_locked(e, due);
    if (e->state == WORKER_READY ? e->kind->started : p->heap[0] == e && !p->is_watched)
        worker_wake_one_locked(p);
}

/* ---- adding ---- */

/* It waits, and is added again. */
static void worker_add_delayed_locked(struct worker_entry *e, int64_t due)
{
    int64_t soonest = e->kind->s.sooner_ms ? mono_ms() + e->kind->s.sooner_ms : 0;
    if (!e->kind->s.sooner_ms)
        e->item.failures = 0;
    else if (soonest < e->rest_until)
        soonest = e->rest_until;
    due = due > soonest ? due : soonest;
    if (due >= e->due)
        return;
    worker_unqueue_locked(e);
    worker_call_locked(e, due);
}

bool worker_add_due(struct worker_kind *k, struct worker_key key, int64_t due)
{
    LOCKED(&k->pool->lock);
    struct worker_entry *e = worker_find_locked(k, key);
    if (k->stopping || (!e && k->s.items_max && k->entries.n >= k->s.items_max))
        return false;
    if (!e) {
        worker_call_locked(worker_make_locked(k, key), due);
    } else if (e->state == WORKER_RUNNING) {
        e->again_due = e->again && e->again_due < due ? e->again_due : due;
        e->again = true;
    } else if (e->state == WORKER_DELAYED) {
        worker_add_delayed_locked(e, due);
    }
    return true;
}

bool worker_add(struct worker_kind *k, struct worker_key key)
{
    return worker_add_due(k, key, 0);
}

static void worker_hurry_locked(struct worker_entry *e)
{
    if (e->state == WORKER_RUNNING)
        e->hurried = true;
    if (e->state != WORKER_DELAYED)
        return;
    worker_unqueue_locked(e);
    worker_call_locked(e, 0);
}

void worker_hurry(struct worker_kind *k, struct worker_key key)
{
    LOCKED(&k->pool->lock);
    struct worker_entry *e = worker_find_locked(k, key);
    if (e)
        worker_hurry_locked(e);
}

static void worker_hurry_all_locked(struct worker_kind *k)
{
    for (struct map_slot *s = NULL; (s = map_next(&k->entries, s));)
        worker_hurry_locked(s->value);
}

void worker_hurry_all(struct worker_kind *k)
{
    LOCKED(&k->pool->lock);
    worker_hurry_all_locked(k);
}

void worker_pool_hurry(struct worker_pool *p)
{
    LOCKED(&p->lock);
    for (struct worker_link *l = p->kinds.next; l != &p->kinds; l = l->next)
        worker_hurry_all_locked((struct worker_kind *)l);
}

size_t worker_items(struct worker_kind *k)
{
    LOCKED(&k->pool->lock);
    return k->entries.n;
}

/* ---- running ---- */

static int64_t worker_earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t worker_due_after_failure(struct worker_entry *e, int64_t wait_ms)
{
    const struct worker_settings *s = &e->kind->s;
    assert(s->backoff.factor);
    int64_t now = mono_ms(), interval = backoff_interval_after(&s->backoff, e->item.failures++);
    int64_t due = now + backoff_wait(&s->backoff, interval, randombytes_random());
    e->rest_until = now + wait_ms;
    if (e->again && !s->sooner_ms) {
        e->item.failures = 0;
        return e->again_due;
    }
    if (e->again)
        due = worker_earlier(due, now + s->sooner_ms);
    return due > e->rest_until ? due : e->rest_until;
}

static void worker_conclude_locked(struct worker_entry *e, enum worker_outcome outcome,
                                   const struct worker_item *item)
{
    int64_t due = 0;
    e->item.is_long = item->is_long;
    *(outcome == WORKER_FAILED ? &e->kind->failed : &e->kind->done) += 1;
    if (outcome == WORKER_FAILED && !e->hurried)
        due = worker_due_after_failure(e, item->wait_ms);
    else if (outcome != WORKER_FAILED)
        e->item.failures = 0;
    if (outcome == WORKER_DONE && !e->again) {
        worker_drop_locked(e);
        return;
    }
    if (outcome == WORKER_DONE)
        due = e->again_due;
    if (outcome == WORKER_WAIT && !e->hurried) {
        int64_t soonest = mono_ms() + e->kind->s.sooner_ms;
        due = mono_ms() + item->wait_ms;
        if (e->again)
            due = worker_earlier(due, e->again_due > soonest ? e->again_due : soonest);
    }
    worker_queue_locked(e, due);
}

/* Without the lock. False: the kind's may_run refuses, for wait_ms. */
static bool worker_do(const struct worker_pool *p, const struct worker_settings *s, void *thread,
                      struct worker_item *item, enum worker_outcome *ret)
{
    if (s->may_run && !s->may_run(s->of, &item->key, &item->wait_ms))
        return false;
    if (p->s.begin)
        p->s.begin(thread);
    *ret = s->run(s->of, thread, item);
    if (p->s.end)
        p->s.end(thread);
    return true;
}

static void worker_run_locked(struct worker_pool *p, struct worker_entry *e, void *thread)
{
    enum worker_outcome outcome;
    struct worker_kind *k = e->kind;
    struct worker_item item = e->item;
    item.wait_ms = 0;
    if (p->ready_n || (p->heap_n && !p->is_watched))
        worker_wake_one_locked(p);
    lock_release(&p->lock);
    bool ran = worker_do(p, &k->s, thread, &item, &outcome);
    lock_take(&p->lock);
    worker_ran_locked(e);
    if (k->stopping)
        worker_drop_locked(e);
    else if (ran)
        worker_conclude_locked(e, outcome, &item);
    else
        worker_queue_locked(e, e->hurried ? 0 : mono_ms() + item.wait_ms);
    if (k->stopping)
        pthread_cond_broadcast(&p->finished);
}

static void *worker_thread(void *arg)
{
    struct worker_pool *p = arg;
    void *thread = p->s.create ? p->s.create(p->s.of) : NULL;
    lock_take(&p->lock);
    while (!p->stopping) {
        struct worker_entry *e = worker_take_locked(p);
        if (e)
            worker_run_locked(p, e, thread);
        else
            worker_wait_locked(p);
    }
    lock_release(&p->lock);
    if (p->s.destroy)
        p->s.destroy(thread);
    return NULL;
}

/* ---- kinds ---- */

struct worker_kind *worker_kind_create(struct worker_pool *p, const struct worker_settings *s)
{
    struct worker_kind *k = mem_zalloc(sizeof *k);
    k->pool = p;
    k->s = *s;
    worker_link_init(&k->ready);
    LOCKED(&p->lock);
    worker_link_append(&p->kinds, &k->link);
    return k;
}

static void worker_start_locked(struct worker_kind *k)
{
    k->started = true;
    for (size_t i = 0; i < k->ready_n && i < (size_t)k->pool->s.threads; i++)
        worker_wake_one_locked(k->pool);
}

void worker_kind_start(struct worker_kind *k)
{
    LOCKED(&k->pool->lock);
    worker_start_locked(k);
}

void worker_pool_start(struct worker_pool *p)
{
    LOCKED(&p->lock);
    for (struct worker_link *l = p->kinds.next; l != &p->kinds; l = l->next)
        worker_start_locked((struct worker_kind *)l);
}

bool worker_is_stopping(struct worker_kind *k)
{
    LOCKED(&k->pool->lock);
    return k->stopping;
}

static void worker_forget_queued_locked(struct worker_kind *k)
{
    size_t n = 0;
    struct worker_entry **all = mem_alloc(k->entries.n * sizeof *all);
    for (struct map_slot *s = NULL; (s = map_next(&k->entries, s));)
        all[n++] = s->value;
    for (size_t i = 0; i < n; i++)
        if (all[i]->state != WORKER_RUNNING) {
            worker_unqueue_locked(all[i]);
            worker_drop_locked(all[i]);
        }
    free(all);
}

static void worker_begin_stop_locked(struct worker_kind *k)
{
    k->stopping = true;
    worker_forget_queued_locked(k);
}

void worker_kind_stop(struct worker_kind *k)
{
    if (!k)
        return;
    LOCKED(&k->pool->lock);
    worker_begin_stop_locked(k);
    while (k->running_n)
        lock_wait(&k->pool->lock, &k->pool->finished);
}

void worker_pool_stop(struct worker_pool *p)
{
    LOCKED(&p->lock);
    for (struct worker_link *l = p->kinds.next; l != &p->kinds; l = l->next)
        worker_begin_stop_locked((struct worker_kind *)l);
    while (p->running.next != &p->running)
        lock_wait(&p->lock, &p->finished);
}

void worker_kind_destroy(struct worker_kind *k)
{
    if (!k)
        return;
    worker_kind_stop(k);
    lock_take(&k->pool->lock);
    worker_link_remove(&k->link);
    lock_release(&k->pool->lock);
    map_finish(&k->entries);
    map_finish(&k->lanes);
    free(k);
}

/* ---- pools ---- */

struct worker_pool *worker_pool_create(struct worker_pools *all,
                                       const struct worker_pool_settings *s)
{
    struct worker_pool *p = mem_zalloc(sizeof *p);
    assert(s->threads > 0);
    p->all = all;
    p->s = *s;
    p->threads = mem_zalloc((size_t)s->threads * sizeof *p->threads);
    lock_init(&p->lock, RANK_WORKER);
    cond_init(&p->wake);
    cond_init(&p->sooner);
    cond_init(&p->finished);
    worker_link_init(&p->kinds);
    worker_link_init(&p->running);
    worker_pools_add(all, p);
    return p;
}

void worker_pool_destroy(struct worker_pool *p)
{
    if (!p)
        return;
    worker_pools_remove(p->all, p);
    lock_take(&p->lock);
    assert(p->kinds.next == &p->kinds);
    p->stopping = true;
    pthread_cond_broadcast(&p->wake);
    pthread_cond_broadcast(&p->sooner);
    lock_release(&p->lock);
    for (int i = 0; i < p->threads_n; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->sooner);
    pthread_cond_destroy(&p->finished);
    lock_finish(&p->lock);
    free(p->heap);
    free(p->threads);
    free(p);
}

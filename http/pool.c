/* Worker pools. New requests are queued under the pool's lock, by their sources, and each wakes a
 * worker, since handlers block (mostly on commits) and should do so together. Woken requests go
 * onto a lock-free stack: a thousand of them cost their waker almost nothing and wake few workers,
 * since they mostly run from memory. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "http/internal.h"
#include "http/waits.h"

#include <limits.h>

const char *const http_pool_names[POOL_COUNT] = {
    [POOL_CLIENT] = "client", [POOL_FEDERATION] = "federation",
    [POOL_SLOW] = "slow",     [POOL_PASSWORD] = "password",
    [POOL_SEARCH] = "search", [POOL_INITIAL] = "initial",
    [POOL_REMOTE] = "remote", [POOL_WATCH] = "watch"};

enum { STACK_BYTES = 512 * 1024, LATE_US = 1000 };

static struct pool *pool_of(const struct exchange *ex)
{
    return &ex->server->pools[ex->rq.pool];
}

static struct worker *pool_take_idle_locked(struct pool *p)
{
    struct worker *w = p->idle;
    if (w) {
        p->idle = w->next_idle;
        w->awake = true;
        p->busy++;
    }
    return w;
}

static void call(struct worker *w)
{
    if (w)
        pthread_cond_signal(&w->called);
}

static struct queue_source *pool_hold_locked(struct pool *p, uint64_t key, enum queue_order order)
{
    struct queue_source *s = fair_queue_hold(&p->queue, key, order);
    p->refused += !s;
    return s;
}

static const struct err *pool_too_many(void)
{
    enum { RETRY_MS = 1000 };
    return err_limit_exceeded(RETRY_MS);
}

const struct err *pool_take_in(struct exchange *ex, uint64_t source, enum queue_order order)
{
    struct pool *p = pool_of(ex);
    LOCKED(&p->lock);
    ex->source = pool_hold_locked(p, source, order);
    p->moved += ex->source != NULL;
    return ex->source ? NULL : pool_too_many();
}

void pool_submit(struct exchange *ex)
{
    struct pool *p = pool_of(ex);
    ex->queued_us = mono_us();
    lock_take(&p->lock);
    fair_queue_add(&p->queue, ex);
    struct worker *w = pool_take_idle_locked(p);
    lock_release(&p->lock);
    call(w);
}

const struct err *pool_submit_new(struct exchange *ex, uint64_t source)
{
    struct pool *p = pool_of(ex);
    struct worker *w = NULL;
    ex->queued_us = mono_us();
    lock_take(&p->lock);
    struct queue_source *held = ex->source = pool_hold_locked(p, source, ORDER_USUAL);
    if (held) {
        fair_queue_add(&p->queue, ex);
        w = pool_take_idle_locked(p);
    }
    lock_release(&p->lock); /* from here on a worker may have ended the exchange */
    call(w);
    return held ? NULL : pool_too_many();
}

static void push_woken(struct pool *p, struct exchange *ex)
{
    struct exchange *top = atomic_load(&p->woken);
    do
        ex->next = top;
    while (!atomic_compare_exchange_weak(&p->woken, &top, ex));
    if (top)
        return; /* a worker was woken for the first one, and takes them all */
    lock_take(&p->lock);
    struct worker *w = pool_take_idle_locked(p);
    lock_release(&p->lock);
    call(w);
}

void pool_wake(struct waiter *w)
{
    struct exchange *ex = (struct exchange *)((char *)w - offsetof(struct exchange, rq.waiter));
    int state = atomic_load(&ex->run_state);
    for (;;) {
        int to = state == RUN_RUNNING ? RUN_WOKEN : state == RUN_PARKED ? RUN_QUEUED : RUN_NONE;
        if (to == RUN_NONE)
            return;
        if (atomic_compare_exchange_weak(&ex->run_state, &state, to))
            break;
    }
    if (state == RUN_PARKED) {
        ex->queued_us = mono_us();
        push_woken(pool_of(ex), ex);
    }
}

/* The newest is on top of the stack: reversed, they run in the order of their wakes. */
static void take_woken_locked(struct pool *p)
{
    struct exchange *newest = atomic_exchange(&p->woken, NULL), *oldest = NULL;
    while (newest) {
        struct exchange *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct exchange *next = oldest->next;
        fair_queue_add(&p->queue, oldest);
        oldest = next;
    }
}

/* Wakes another worker if a processor may be free, or if the running workers do not keep up because
 * they block. */
static struct worker *take_helper_locked(struct pool *p)
{
    if (fair_queue_is_empty(&p->queue) ||
        (p->busy >= p->server->cpus && mono_us() - fair_queue_oldest_us(&p->queue) < LATE_US))
        return NULL;
    return pool_take_idle_locked(p);
}

static void sleep_locked(struct worker *w)
{
    struct pool *p = w->pool;
    w->awake = false;
    w->next_idle = p->idle;
    p->idle = w;
    p->busy--;
    while (!w->awake)
        lock_wait(&p->lock, &w->called);
}

/* What the worker has just run. */
struct ran {
    struct queue_source *source; /* NULL: nothing yet */
    bool left;                   /* the exchange has left the source */
};

static void note_ran_locked(struct pool *p, const struct ran *ran)
{
    if (ran->left)
        fair_queue_leave(&p->queue, ran->source);
    if (ran->source)
        fair_queue_ran(&p->queue, ran->source);
}

/* The next exchange, or NULL when the pool ends. */
static struct exchange *pool_take(struct worker *w, struct ran *ran)
{
    struct pool *p = w->pool;
    struct worker *helper = NULL;
    lock_take(&p->lock);
    note_ran_locked(p, ran);
    for (;;) {
        take_woken_locked(p);
        if (!fair_queue_is_empty(&p->queue) || p->stopping)
            break;
        sleep_locked(w);
    }
    struct exchange *ex = fair_queue_take(&p->queue);
    if (ex) {
        *ran = (struct ran){.source = ex->source};
        helper = take_helper_locked(p);
    }
    lock_release(&p->lock);
    call(helper);
    return ex;
}

static void *pool_work(void *arg)
{
    struct worker *w = arg;
    const struct http_hooks *hooks = &w->pool->server->hooks;
    w->arena = arena_create();
    waits_allow(w->pool->kind == POOL_REMOTE);
    if (hooks->worker_start)
        w->job = hooks->worker_start(hooks->ctx);
    struct ran ran = {0};
    for (struct exchange *ex; (ex = pool_take(w, &ran));)
        ran.left = run_exchange(w, ex);
    if (hooks->worker_stop)
        hooks->worker_stop(hooks->ctx, w->job);
    arena_destroy(w->arena);
    return NULL;
}

static int or_any(int n)
{
    return n > 0 ? n : INT_MAX;
}

const struct err *pool_start(struct http_server *s, enum route_pool kind,
                             const struct http_pool *size)
{
    struct pool *p = &s->pools[kind];
    int workers = size->workers > 0 ? size->workers : 1;
    p->queue.running_max = or_any(size->running_max);
    p->queue.held_max = or_any(size->held_max);
    p->queue.usual_running_max = or_any(size->usual_max);
    p->server = s;
    p->kind = kind;
    lock_init(&p->lock, RANK_HTTP_QUEUE);
    p->workers = mem_zalloc((size_t)workers * sizeof *p->workers);
    p->workers_n = p->busy = workers;
    for (int i = 0; i < workers; i++) {
        p->workers[i].pool = p;
        cond_init(&p->workers[i].called);
    }
    const struct err *e = NULL;
    char name[16];
    snprintf(name, sizeof name, "http-%s", http_pool_names[kind]);
    for (int i = 0; i < workers && !e; i++) {
        p->workers[i].started =
            thread_start_sized(&p->workers[i].thread, name, STACK_BYTES, pool_work, &p->workers[i]);
        if (!p->workers[i].started)
            e = err_internal("cannot start %d worker threads", workers);
    }
    return e;
}

void pool_stop(struct pool *p)
{
    if (!p->server)
        return; /* never started */
    lock_take(&p->lock);
    p->stopping = true;
    for (struct worker *w; (w = pool_take_idle_locked(p));)
        call(w);
    lock_release(&p->lock);
    for (int i = 0; i < p->workers_n; i++) {
        if (p->workers[i].started)
            pthread_join(p->workers[i].thread, NULL);
        pthread_cond_destroy(&p->workers[i].called);
    }
    free(p->workers);
    fair_queue_finish(&p->queue);
    lock_finish(&p->lock);
}

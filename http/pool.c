/* Worker pools. New requests are queued under the pool's lock and call a worker each, since
 * handlers block (on commits, mostly) and should do so together. Parked requests that are woken go
 * onto a stack without a lock: a thousand of them cost their waker next to nothing and call few
 * workers, since they mostly run from memory. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/internal.h"

enum { STACK_BYTES = 512 * 1024, LATE_US = 1000 };

static struct pool *pool_of(const struct exchange *ex)
{
    return &ex->server->pools[ex->rq.pool];
}

static struct worker *take_idle_locked(struct pool *p)
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

static void append_locked(struct pool *p, struct exchange *ex)
{
    ex->next = NULL;
    if (p->tail)
        p->tail->next = ex;
    else
        p->head = ex;
    p->tail = ex;
    p->depth++;
}

void pool_submit(struct exchange *ex)
{
    struct pool *p = pool_of(ex);
    ex->queued_us = mono_us();
    lock_take(&p->lock);
    append_locked(p, ex);
    struct worker *w = take_idle_locked(p);
    lock_release(&p->lock);
    call(w);
}

static void push_woken(struct pool *p, struct exchange *ex)
{
    struct exchange *top = atomic_load(&p->woken);
    do
        ex->next = top;
    while (!atomic_compare_exchange_weak(&p->woken, &top, ex));
    if (top)
        return; /* a worker was called for the first one, and takes them all */
    lock_take(&p->lock);
    struct worker *w = take_idle_locked(p);
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

/* The stack holds the newest on top: turned round, they run in the order of their wakes. */
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
        append_locked(p, oldest);
        oldest = next;
    }
}

/* Another worker helps when a processor may be free, or when those at work do not keep up because
 * they block. */
static struct worker *take_helper_locked(struct pool *p)
{
    if (!p->head || (p->busy >= p->server->cpus && mono_us() - p->head->queued_us < LATE_US))
        return NULL;
    return take_idle_locked(p);
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

/* The next exchange, or NULL when the pool ends. */
static struct exchange *take(struct worker *w)
{
    struct pool *p = w->pool;
    struct exchange *ex = NULL;
    struct worker *helper = NULL;
    lock_take(&p->lock);
    for (;;) {
        take_woken_locked(p);
        if (p->head || p->stopping)
            break;
        sleep_locked(w);
    }
    if (p->head) {
        ex = p->head;
        p->head = ex->next;
        if (!p->head)
            p->tail = NULL;
        p->depth--;
        helper = take_helper_locked(p);
    }
    lock_release(&p->lock);
    call(helper);
    return ex;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    const struct http_hooks *hooks = &w->pool->server->hooks;
    static const char *const names[POOL_COUNT] = {"http-client", "http-fed", "http-slow",
                                                  "http-remote"};
    pthread_setname_np(pthread_self(), names[w->pool->kind]);
    w->arena = arena_create();
    if (hooks->worker_start)
        w->job = hooks->worker_start(hooks->ctx);
    for (struct exchange *ex; (ex = take(w));)
        run_exchange(w, ex);
    if (hooks->worker_stop)
        hooks->worker_stop(hooks->ctx, w->job);
    arena_destroy(w->arena);
    return NULL;
}

const struct err *pool_start(struct http_server *s, enum route_pool kind, int workers)
{
    struct pool *p = &s->pools[kind];
    p->server = s;
    p->kind = kind;
    lock_init(&p->lock, RANK_HTTP_QUEUE);
    p->workers = mem_zalloc((size_t)workers * sizeof *p->workers);
    p->workers_n = p->busy = workers;
    for (int i = 0; i < workers; i++) {
        p->workers[i].pool = p;
        cond_init(&p->workers[i].called);
    }
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    const struct err *e = NULL;
    for (int i = 0; i < workers && !e; i++) {
        p->workers[i].started = !pthread_create(&p->workers[i].thread, &attr, work, &p->workers[i]);
        if (!p->workers[i].started)
            e = err_internal("cannot start %d worker threads", workers);
    }
    pthread_attr_destroy(&attr);
    return e;
}

void pool_stop(struct pool *p)
{
    if (!p->server)
        return; /* never started */
    lock_take(&p->lock);
    p->stopping = true;
    for (struct worker *w; (w = take_idle_locked(p));)
        call(w);
    lock_release(&p->lock);
    for (int i = 0; i < p->workers_n; i++) {
        if (p->workers[i].started)
            pthread_join(p->workers[i].thread, NULL);
        pthread_cond_destroy(&p->workers[i].called);
    }
    free(p->workers);
    lock_finish(&p->lock);
}

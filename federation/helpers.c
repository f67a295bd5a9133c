#include "federation/helpers.h"

#include "base/lock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "http/waits.h"

struct work {
    helper_part *fn;
    char *parts;
    size_t size, n;
    size_t taken, done; /* parts */
    int helpers, helpers_max;
    bool may_wait; /* for other servers: as the thread that runs the work */
    pthread_cond_t finished;
    struct work *next;
};

struct helpers {
    struct node *node;
    struct lock lock;
    pthread_cond_t called;
    struct work *first, **last; /* works with parts not taken yet */
    bool stopping;
    pthread_t *threads;
    int threads_n;
};

/* ---- parts, the lock held ---- */

static void helpers_unlink_locked(struct helpers *c, struct work *w)
{
    struct work **at = &c->first;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    if (!w->next)
        c->last = at;
}

static void *take_part_locked(struct helpers *c, struct work *w)
{
    if (w->taken == w->n)
        return NULL;
    void *part = w->parts + w->size * w->taken++;
    if (w->taken == w->n)
        helpers_unlink_locked(c, w);
    return part;
}

/* Finishing the last part may end the work, which is then freed. */
static void part_done_locked(struct work *w)
{
    if (++w->done == w->n)
        pthread_cond_signal(&w->finished);
}

static struct work *work_wanting_help_locked(struct helpers *c)
{
    for (struct work *w = c->first; w; w = w->next)
        if (w->helpers < w->helpers_max)
            return w;
    return NULL;
}

/* ---- helpers ---- */

static void help(struct helpers *c, struct job *job, struct work *w, void *part)
{
    job_init(job, c->node, job->arena);
    waits_allow(w->may_wait);
    w->fn(job, part);
    job_finish(job);
    arena_reset(job->arena);
}

static void *run_helper(void *ctx)
{
    struct helpers *c = ctx;
    struct job job = {.arena = arena_create()};
    lock_take(&c->lock);
    while (!c->stopping) {
        struct work *w = work_wanting_help_locked(c);
        if (!w) {
            lock_wait(&c->lock, &c->called);
            continue;
        }
        void *part = take_part_locked(c, w);
        w->helpers++;
        lock_release(&c->lock);
        help(c, &job, w, part);
        lock_take(&c->lock);
        w->helpers--;
        part_done_locked(w);
    }
    lock_release(&c->lock);
    arena_destroy(job.arena);
    return NULL;
}

/* ---- the thread that runs the work ---- */

static void announce(struct helpers *c, struct work *w)
{
    LOCKED(&c->lock);
    *c->last = w;
    c->last = &w->next;
    for (int i = 0; i < w->helpers_max && i < c->threads_n; i++)
        pthread_cond_signal(&c->called);
}

void helpers_run(struct helpers *c, struct job *job, helper_part *fn, void *parts, size_t size,
                 size_t n, int helpers_max)
{
    if (!c || n <= 1) {
        for (size_t i = 0; i < n; i++)
            fn(job, (char *)parts + i * size);
        return;
    }
    struct work w = {.fn = fn,
                     .parts = parts,
                     .size = size,
                     .n = n,
                     .helpers_max = helpers_max,
                     .may_wait = waits_are_allowed()};
    cond_init(&w.finished);
    announce(c, &w);
    lock_take(&c->lock);
    for (void *part; (part = take_part_locked(c, &w));) {
        lock_release(&c->lock);
        fn(job, part);
        lock_take(&c->lock);
        part_done_locked(&w);
    }
    while (w.done < w.n)
        lock_wait(&c->lock, &w.finished);
    lock_release(&c->lock);
    pthread_cond_destroy(&w.finished);
}

struct helpers *helpers_create(struct node *node, int threads)
{
    struct helpers *c = mem_zalloc(sizeof *c);
    c->node = node;
    c->last = &c->first;
    lock_init(&c->lock, RANK_CACHE);
    cond_init(&c->called);
    c->threads = mem_zalloc((size_t)threads * sizeof *c->threads);
    for (int i = 0; i < threads; i++)
        if (thread_start(&c->threads[c->threads_n], "fed-helper", run_helper, c))
            c->threads_n++;
    return c;
}

void helpers_destroy(struct helpers *c)
{
    if (!c)
        return;
    lock_take(&c->lock);
    c->stopping = true;
    pthread_cond_broadcast(&c->called);
    lock_release(&c->lock);
    for (int i = 0; i < c->threads_n; i++)
        pthread_join(c->threads[i], NULL);
    pthread_cond_destroy(&c->called);
    lock_finish(&c->lock);
    free(c->threads);
    free(c);
}

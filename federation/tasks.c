#include "federation/tasks.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "federation/peer/reply.h"

enum { PAUSE_MS = 2000, PAUSE_MAX_MS = 10 * 60 * 1000 };

struct task {
    task_fn *run;
    const char *what;
    int64_t a, b;
    int64_t due_mono_ms, pause_ms;
    bool is_running, again;
    struct task *next;
};

struct tasks {
    struct node *node;
    struct lock lock;
    pthread_cond_t changed;
    struct task *first;
    pthread_t *threads;
    int threads_n, running_n;
    bool stopping;
};

struct tasks *tasks_create(struct node *node, int threads)
{
    struct tasks *e = mem_zalloc(sizeof *e);
    e->node = node;
    e->threads = mem_zalloc((size_t)threads * sizeof *e->threads);
    e->threads_n = threads;
    lock_init(&e->lock, RANK_LEAF);
    cond_init(&e->changed);
    return e;
}

void tasks_destroy(struct tasks *e)
{
    if (!e)
        return;
    for (struct task *next, *one = e->first; one; one = next) {
        next = one->next;
        free(one);
    }
    free(e->threads);
    pthread_cond_destroy(&e->changed);
    lock_finish(&e->lock);
    free(e);
}

static struct task *tasks_find_locked(struct tasks *e, task_fn *run, int64_t a, int64_t b)
{
    for (struct task *one = e->first; one; one = one->next)
        if (one->run == run && one->a == a && one->b == b)
            return one;
    return NULL;
}

void tasks_add(struct tasks *e, task_fn *run, const char *what, int64_t a, int64_t b)
{
    LOCKED(&e->lock);
    struct task *one = tasks_find_locked(e, run, a, b);
    if (!one) {
        one = mem_zalloc(sizeof *one);
        *one = (struct task){.run = run, .what = what, .a = a, .b = b, .next = e->first};
        e->first = one;
    }
    one->again = one->is_running;
    one->pause_ms = PAUSE_MS;
    one->due_mono_ms = 0;
    pthread_cond_broadcast(&e->changed);
}

void tasks_hurry(struct tasks *e)
{
    LOCKED(&e->lock);
    for (struct task *one = e->first; one; one = one->next)
        one->due_mono_ms = 0;
    pthread_cond_broadcast(&e->changed);
}

bool tasks_are_stopping(struct tasks *e)
{
    LOCKED(&e->lock);
    return e->stopping;
}

/* ---- the threads ---- */

static struct task *most_urgent_locked(struct tasks *e)
{
    struct task *best = NULL;
    for (struct task *one = e->first; one; one = one->next)
        if (!one->is_running && (!best || one->due_mono_ms < best->due_mono_ms))
            best = one;
    return best;
}

/* NULL: the thread must end. */
static struct task *take_due(struct tasks *e)
{
    LOCKED(&e->lock);
    while (!e->stopping) {
        struct task *one = most_urgent_locked(e);
        if (one && one->due_mono_ms <= mono_ms()) {
            one->is_running = true;
            return one;
        }
        if (one)
            lock_wait_until(&e->lock, &e->changed, one->due_mono_ms);
        else
            lock_wait(&e->lock, &e->changed);
    }
    return NULL;
}

/* Runs the task; true if it is done. ret_wait_ms: how long another server asked us to wait. */
static bool tasks_run(struct tasks *e, const struct task *one, int64_t *ret_wait_ms)
{
    arena_auto struct arena *a = arena_create();
    struct job job;
    bool done = false;
    job_init(&job, e->node, a);
    const struct err *failed = one->run(&job, one->a, one->b, &done);
    job_finish(&job);
    *ret_wait_ms = federation_wait_ms(failed);
    if (failed && log_limited(one->what, LOG_FEW))
        log_err(LOG_INFO, one->what, failed);
    return done && !failed;
}

static void tasks_drop_locked(struct tasks *e, struct task *one)
{
    struct task **at = &e->first;
    while (*at != one)
        at = &(*at)->next;
    *at = one->next;
    free(one);
}

static void tasks_put_back(struct tasks *e, struct task *one, bool done, int64_t wait_ms)
{
    LOCKED(&e->lock);
    one->is_running = false;
    if (one->again) {
        one->again = false;
    } else if (done) {
        tasks_drop_locked(e, one);
    } else {
        /* Up to a quarter more, so that tasks do not all run at once. */
        int64_t pause = wait_ms > one->pause_ms ? wait_ms : one->pause_ms;
        one->due_mono_ms = mono_ms() + pause + mono_us() % (one->pause_ms / 4);
        one->pause_ms = one->pause_ms * 2 < PAUSE_MAX_MS ? one->pause_ms * 2 : PAUSE_MAX_MS;
    }
    pthread_cond_broadcast(&e->changed);
}

static void *tasks_work(void *arg)
{
    struct tasks *e = arg;
    int64_t wait_ms;
    for (struct task *one; (one = take_due(e));) {
        bool done = tasks_run(e, one, &wait_ms);
        tasks_put_back(e, one, done, wait_ms);
    }
    return NULL;
}

void tasks_start(struct tasks *e)
{
    while (e->running_n < e->threads_n &&
           thread_start(&e->threads[e->running_n], "fed-tasks", tasks_work, e))
        e->running_n++;
}

void tasks_stop(struct tasks *e)
{
    lock_take(&e->lock);
    e->stopping = true;
    pthread_cond_broadcast(&e->changed);
    lock_release(&e->lock);
    for (int i = 0; i < e->running_n; i++)
        pthread_join(e->threads[i], NULL);
    e->running_n = 0;
}

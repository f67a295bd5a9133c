#include "federation/tasks.h"

#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "federation/peer/reply.h"
#include "storage/job_pool.h"

#include <assert.h>

enum { KINDS_MAX = 8 };

struct task_kind {
    task_fn *run;
    const char *what;
    struct worker_kind *work;
};

struct tasks {
    struct worker_pool *pool;
    struct lock lock;
    struct task_kind kinds[KINDS_MAX];
    int kinds_n;
    bool started, stopping;
};

struct tasks *tasks_create(struct node *node, const char *name, int threads)
{
    struct tasks *e = mem_zalloc(sizeof *e);
    e->pool = job_pool_create(node, name, threads);
    lock_init(&e->lock, RANK_HTTP_LOOP);
    return e;
}

void tasks_destroy(struct tasks *e)
{
    if (!e)
        return;
    for (int i = 0; i < e->kinds_n; i++)
        worker_kind_destroy(e->kinds[i].work);
    worker_pool_destroy(e->pool);
    lock_finish(&e->lock);
    free(e);
}

static enum worker_outcome tasks_run(void *of, void *thread, struct worker_item *item)
{
    const struct task_kind *kind = of;
    bool done = false;
    const struct err *failed = kind->run(thread, item->key.number, item->key.other, &done);
    item->wait_ms = federation_wait_ms(failed);
    if (failed && log_limited(kind->what, LOG_FEW))
        log_err(LOG_INFO, kind->what, failed);
    return done && !failed ? WORKER_DONE : WORKER_FAILED;
}

/* Up to a quarter more, so that tasks do not all run at once. */
static const struct backoff tasks_backoff = {.first_ms = 2000,
                                             .max_ms = 10 * 60 * 1000,
                                             .factor = 2,
                                             .from_percent = 100,
                                             .to_percent = 125};

static struct worker_kind *tasks_kind_locked(struct tasks *e, task_fn *run, const char *what)
{
    for (int i = 0; i < e->kinds_n; i++)
        if (e->kinds[i].run == run)
            return e->kinds[i].work;
    assert(e->kinds_n < KINDS_MAX);
    struct task_kind *kind = &e->kinds[e->kinds_n++];
    *kind = (struct task_kind){.run = run, .what = what};
    kind->work = worker_kind_create(
        e->pool, &(struct worker_settings){
                     .name = what, .of = kind, .run = tasks_run, .backoff = tasks_backoff});
    if (e->started)
        worker_kind_start(kind->work);
    return kind->work;
}

void tasks_add(struct tasks *e, task_fn *run, const char *what, int64_t a, int64_t b)
{
    LOCKED(&e->lock);
    if (!e->stopping)
        worker_add(tasks_kind_locked(e, run, what), (struct worker_key){.number = a, .other = b});
}

void tasks_hurry(struct tasks *e)
{
    LOCKED(&e->lock);
    for (int i = 0; i < e->kinds_n; i++)
        worker_hurry_all(e->kinds[i].work);
}

bool tasks_are_stopping(struct tasks *e)
{
    LOCKED(&e->lock);
    return e->stopping;
}

void tasks_start(struct tasks *e)
{
    LOCKED(&e->lock);
    e->started = true;
    for (int i = 0; i < e->kinds_n; i++)
        worker_kind_start(e->kinds[i].work);
}

void tasks_stop(struct tasks *e)
{
    lock_take(&e->lock);
    e->stopping = true;
    lock_release(&e->lock);
    worker_pool_stop(e->pool);
}

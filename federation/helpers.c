#include "federation/helpers.h"

#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"
#include "http/waits.h"
#include "storage/job_pool.h"

struct parts {
    helper_part *fn;
    char *first;
    size_t size, n;
    size_t taken, done;
    bool may_wait; /* for other servers: as the thread that runs the work */
    pthread_cond_t finished;
};

struct helpers {
    struct worker_pool *pool;
    struct worker_kind *help;
    int threads;
    struct lock lock;
    struct map works; /* number -> struct parts: those that are not finished */
    int64_t numbers;
};

static void *helpers_take_locked(struct parts *w)
{
    return w->taken < w->n ? w->first + w->size * w->taken++ : NULL;
}

/* Finishing the last part ends the work. */
static void helpers_part_done_locked(struct parts *w)
{
    if (++w->done == w->n)
        pthread_cond_signal(&w->finished);
}

/* Does one part, if there is one left, then continues behind other works. */
static enum worker_outcome helpers_help(void *of, void *thread, struct worker_item *item)
{
    struct helpers *c = of;
    lock_take(&c->lock);
    struct parts *w = map_get_int(&c->works, item->key.number);
    void *part = w ? helpers_take_locked(w) : NULL;
    lock_release(&c->lock);
    if (!part)
        return WORKER_DONE;
    waits_allow(w->may_wait);
    w->fn(thread, part);
    LOCKED(&c->lock);
    helpers_part_done_locked(w);
    return WORKER_AGAIN;
}

static int64_t helpers_announce(struct helpers *c, struct parts *w, int helpers_max)
{
    int64_t number;
    {
        LOCKED(&c->lock);
        number = ++c->numbers;
        map_put_int(&c->works, number, w);
    }
    for (int i = 0; i < helpers_max && i < c->threads && (size_t)i + 1 < w->n; i++)
        worker_add(c->help, (struct worker_key){.number = number, .other = i});
    return number;
}

void helpers_run(struct helpers *c, struct job *job, helper_part *fn, void *parts, size_t size,
                 size_t n, int helpers_max)
{
    if (!c || n <= 1) {
        for (size_t i = 0; i < n; i++)
            fn(job, (char *)parts + i * size);
        return;
    }
    struct parts w = {
        .fn = fn, .first = parts, .size = size, .n = n, .may_wait = waits_are_allowed()};
    cond_init(&w.finished);
    int64_t number = helpers_announce(c, &w, helpers_max);
    lock_take(&c->lock);
    for (void *part; (part = helpers_take_locked(&w));) {
        lock_release(&c->lock);
        fn(job, part);
        lock_take(&c->lock);
        helpers_part_done_locked(&w);
    }
    while (w.done < w.n)
        lock_wait(&c->lock, &w.finished);
    map_remove_int(&c->works, number);
    lock_release(&c->lock);
    pthread_cond_destroy(&w.finished);
}

struct helpers *helpers_create(struct node *node, const char *what, int threads)
{
    struct helpers *c = mem_zalloc(sizeof *c);
    lock_init(&c->lock, RANK_CACHE);
    c->threads = threads;
    c->pool = job_pool_create(node, "fed-helper", threads);
    c->help = worker_kind_create(
        c->pool, &(struct worker_settings){.name = what, .of = c, .run = helpers_help});
    worker_kind_start(c->help);
    return c;
}

void helpers_destroy(struct helpers *c)
{
    if (!c)
        return;
    worker_kind_destroy(c->help);
    worker_pool_destroy(c->pool);
    map_finish(&c->works);
    lock_finish(&c->lock);
    free(c);
}

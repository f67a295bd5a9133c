#include "storage/job_pool.h"

#include "base/mem.h"

enum { BACKGROUND_THREADS = 6 };

static void *job_pool_create_thread(void *node)
{
    struct job *job = mem_zalloc(sizeof *job);
    job->node = node;
    job->arena = arena_create();
    return job;
}

static void job_pool_begin(void *thread)
{
    struct job *job = thread;
    job_init(job, job->node, job->arena);
}

static void job_pool_end(void *thread)
{
    struct job *job = thread;
    job_finish(job);
    arena_reset(job->arena);
}

static void job_pool_destroy_thread(void *thread)
{
    struct job *job = thread;
    arena_destroy(job->arena);
    free(job);
}

struct worker_pool *job_pool_create(struct node *node, const char *name, int threads)
{
    return worker_pool_create(node->storage->pools,
                              &(struct worker_pool_settings){.name = name,
                                                             .threads = threads,
                                                             .of = node,
                                                             .create = job_pool_create_thread,
                                                             .begin = job_pool_begin,
                                                             .end = job_pool_end,
                                                             .destroy = job_pool_destroy_thread});
}

void node_pools_create(struct node *node)
{
    node->storage->pools = worker_pools_create();
    node->storage->timers = worker_pool_create(
        node->storage->pools, &(struct worker_pool_settings){.name = "timers", .threads = 1});
    node->storage->background = job_pool_create(node, "background", BACKGROUND_THREADS);
}

void node_pools_destroy(struct node *node)
{
    worker_pool_destroy(node->storage->background);
    worker_pool_destroy(node->storage->timers);
    worker_pools_destroy(node->storage->pools);
}

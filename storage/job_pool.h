/* Pools of threads for background work that needs a job, and those that every node has. */
#ifndef STORAGE_JOB_POOL_H
#define STORAGE_JOB_POOL_H

#include "base/worker/worker.h"
#include "storage/db/job.h"

/* A pool whose threads are passed a `struct job *`. The job, and what is in its arena, ends with
 * the item. Destroy it with worker_pool_destroy(). */
struct worker_pool *job_pool_create(struct node *node, const char *name, int threads);

/* Creates node->storage->pools, node->storage->timers and node->storage->background; the latter
 * when all kinds are destroyed.
 */
void node_pools_create(struct node *node);
void node_pools_destroy(struct node *node);

#endif

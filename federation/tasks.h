/* Tasks: work with other servers that must succeed eventually. Each is an item of a kind of work
 * (base/worker/worker.h): tried at once, then again with growing pauses. The database has what a
 * task needs to know: the task 0, 0 of a kind adds those that a restart interrupted. */
#ifndef FEDERATION_TASKS_H
#define FEDERATION_TASKS_H

#include "base/worker/worker.h"
#include "storage/db/job.h"
#include "storage/nodes/lease.h"

/* a, b: the numbers of the key. *ret_done: nothing is left to do. Otherwise, and after an error, it
 * is retried later. */
typedef const struct err *task_fn(struct job *job, int64_t a, int64_t b, bool *ret_done);

struct task_kind {
    const char *what; /* for the log and the metrics */
    task_fn *run;
    int at_once_max; /* 0: any number */
    /* By slice of a; tasks of slices that are not held wait. The task 0, 0 is done on every node.
     * NULL: all are done here. */
    struct lease_job *lease;
};

/* The pool is one of storage/job_pool.h; t is borrowed. */
struct worker_kind *task_kind_create(struct worker_pool *p, const struct task_kind *t);
/* Tried at once, also if it waits for its next try. */
void task_add(struct worker_kind *k, int64_t a, int64_t b);

#endif

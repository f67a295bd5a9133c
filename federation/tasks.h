/* Tasks: work with other servers that must succeed eventually. Each function is a kind of work
 * (base/worker/worker.h) on a pool of their own: tried at once, then again with growing pauses. The
 * database has what a task needs to know: after a restart its owner adds it again. */
#ifndef FEDERATION_TASKS_H
#define FEDERATION_TASKS_H

#include "storage/db/job.h"

struct tasks;

/* *ret_done: nothing is left to do. Otherwise, and after an error, it is retried later. */
typedef const struct err *task_fn(struct job *job, int64_t a, int64_t b, bool *ret_done);

/* name: of the threads. */
struct tasks *tasks_create(struct node *node, const char *name, int threads);
void tasks_start(struct tasks *e);
void tasks_stop(struct tasks *e);    /* waits for running tasks */
void tasks_destroy(struct tasks *e); /* NULL-safe */

/* what: for the log and the metrics, one for each function. A task that is already added becomes
 * due at once. */
void tasks_add(struct tasks *e, task_fn *run, const char *what, int64_t a, int64_t b);
/* Makes every task due at once. */
void tasks_hurry(struct tasks *e);
bool tasks_are_stopping(struct tasks *e);

#endif

/* Tasks: work with other servers that has to get done some time, however often it fails. Each is
 * tried at once, then again and again with growing pauses, by a few threads. What a task needs
 * to know lies in the database: after a restart its owner adds it again. */
#ifndef FEDERATION_TASKS_H
#define FEDERATION_TASKS_H

#include "storage/db/job.h"

struct tasks;

/* *ret_done: nothing more is to be done. Otherwise, and after an error, it is tried again later. */
typedef const struct err *task_fn(struct job *job, int64_t a, int64_t b, bool *ret_done);

struct tasks *tasks_create(struct node *node, int threads);
void tasks_start(struct tasks *e);
void tasks_stop(struct tasks *e);    /* waits for those that run */
void tasks_destroy(struct tasks *e); /* NULL-safe */

/* what: for the log. The same task is there once: one that waits is then due at once. */
void tasks_add(struct tasks *e, task_fn *run, const char *what, int64_t a, int64_t b);
/* Whatever waits is due at once. */
void tasks_hurry(struct tasks *e);
bool tasks_are_stopping(struct tasks *e);

#endif

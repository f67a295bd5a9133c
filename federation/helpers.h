/* Helpers: a pool of threads that help with work in parts, such as the rooms of one transaction or
 * events to be fetched one by one. The thread that runs the work does parts of it too, so it goes
 * on even if all helpers are busy. */
#ifndef FEDERATION_HELPERS_H
#define FEDERATION_HELPERS_H

#include "storage/db/job.h"

struct helpers;
/* what: the kind of work (base/worker/worker.h), for the metrics. */
struct helpers *helpers_create(struct node *node, const char *what, int threads);
void helpers_destroy(struct helpers *c); /* no thread may be running work; NULL-safe */

/* Does one part, in any thread. A helper's job ends with the part, so results must be copied to
 * memory that the part names. */
typedef void helper_part(struct job *job, void *part);

/* Runs fn for each of n parts of `size` bytes; returns when all are done. At most helpers_max
 * threads help at once; with c NULL none does. */
void helpers_run(struct helpers *c, struct job *job, helper_part *fn, void *parts, size_t size,
                 size_t n, int helpers_max);

#endif

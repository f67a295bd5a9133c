/* A crew: threads that help with work that falls into parts, such as the rooms of one transaction
 * or events to be fetched one by one. The thread that has the work does parts of it too, so that it
 * goes on when all helpers are busy elsewhere. */
#ifndef FEDERATION_HELPERS_H
#define FEDERATION_HELPERS_H

#include "storage/db/job.h"

struct helpers;
struct helpers *helpers_create(struct node *node, int threads);
void helpers_destroy(struct helpers *c); /* no thread may be running work */

/* Does one part, in any thread. A helper's job ends with the part, so what comes out of it is
 * copied to where the part says. */
typedef void helper_part(struct job *job, void *part);

/* Runs fn for each of n parts of that size; returns when all are done. At most helpers_max threads
 * help at once; without a crew (NULL) none does. */
void helpers_run(struct helpers *c, struct job *job, helper_part *fn, void *parts, size_t size,
                 size_t n, int helpers_max);

#endif

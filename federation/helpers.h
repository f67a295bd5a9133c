/* A crew: threads that help with work that falls into parts, such as the rooms of one transaction
 * or events to be fetched one by one. The thread that has the work does parts of it too, so that it
 * goes on when all helpers are busy elsewhere. */
#ifndef FEDERATION_CREW_H
#define FEDERATION_CREW_H

#include "storage/db/job.h"

struct crew;
struct crew *crew_create(struct store *store, int threads);
void crew_destroy(struct crew *c); /* no thread may be running work */

/* Does one part, in any thread. A helper's job ends with the part, so what comes out of it is
 * copied to where the part says. */
typedef void crew_part(struct job *job, void *part);

/* Runs fn for each of n parts of that size; returns when all are done. At most helpers_max threads
 * help at once; without a crew (NULL) none does. */
void crew_run(struct crew *c, struct job *job, crew_part *fn, void *parts, size_t size, size_t n,
              int helpers_max);

#endif

/* Errands: work with other servers that has to get done some time, however often it fails. Each is
 * tried at once, then again and again with growing pauses, by a few threads. What an errand needs
 * to know lies in the database: after a restart its owner adds it again. */
#ifndef FEDERATION_ERRANDS_H
#define FEDERATION_ERRANDS_H

#include "storage/db/job.h"

struct errands;

/* *ret_done: nothing more is to be done. Otherwise, and after an error, it is tried again later. */
typedef const struct err *errand_fn(struct job *job, int64_t a, int64_t b, bool *ret_done);

struct errands *errands_create(struct store *store, int threads);
void errands_start(struct errands *e);
void errands_stop(struct errands *e);    /* waits for those that run */
void errands_destroy(struct errands *e); /* NULL-safe */

/* what: for the log. The same errand is there once: one that waits is then due at once. */
void errands_add(struct errands *e, errand_fn *run, const char *what, int64_t a, int64_t b);
/* Whatever waits is due at once. */
void errands_hurry(struct errands *e);
bool errands_are_stopping(struct errands *e);

#endif

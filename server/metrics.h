/* The sources of /metrics: each registers once, at start-up. */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include "base/str.h"

/* fn appends Prometheus text; it is called from any thread until metrics_forget_sources. */
void metrics_add_source(void (*fn)(void *what, struct buf *out), void *what);
void metrics_forget_sources(void);

void metrics_gather(struct buf *out); /* the process's own, then every source's */

#endif

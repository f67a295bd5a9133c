/* How long to wait after a failure: `factor` times as long after each, up to a bound, and a random
 * part of it, so that what failed together is not retried together. Pure. */
#ifndef BASE_WORKER_BACKOFF_H
#define BASE_WORKER_BACKOFF_H

#include <stdint.h>

struct backoff {
    int64_t first_ms, max_ms; /* the interval after the first failure, and the longest */
    int factor;
    int from_percent, to_percent; /* of the interval: the shortest and the longest wait */
};

/* The interval after one more failure. before: the previous interval; 0: the first failure. */
int64_t backoff_interval(const struct backoff *b, int64_t before_ms);
/* The interval after the failure that `failures` in a row preceded. */
int64_t backoff_interval_after(const struct backoff *b, int failures);
/* A random wait within the bounds for that interval. */
int64_t backoff_wait(const struct backoff *b, int64_t interval_ms, uint32_t random);

#endif

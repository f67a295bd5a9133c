/* How long to wait for a failing server: twice as long after each failure, up to a bound. Each wait
 * is shortened at random, so that servers that failed together are not retried together. Pure. */
#ifndef FEDERATION_PEER_BACKOFF_H
#define FEDERATION_PEER_BACKOFF_H

#include <stdint.h>

/* The interval after one more failure. before: the previous interval; 0: the first failure. */
int64_t backoff_interval(int64_t before_ms, int64_t min_ms, int64_t max_ms);

/* The wait within an interval: a random time in its upper half. */
int64_t backoff_wait(int64_t interval_ms, uint32_t random);

#endif

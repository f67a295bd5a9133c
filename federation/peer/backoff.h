/* How long to leave a server alone that fails: twice as long after each failure, up to a bound,
 * each wait a random part shorter, so that servers which failed together do not all come back
 * together. Pure. */
#ifndef FEDERATION_PEER_BACKOFF_H
#define FEDERATION_PEER_BACKOFF_H

#include <stdint.h>

/* The interval after one more failure. before: the one before; 0: it was the first. */
int64_t backoff_interval(int64_t before_ms, int64_t min_ms, int64_t max_ms);

/* What is waited of an interval: the upper half of it, by a random number. */
int64_t backoff_wait(int64_t interval_ms, uint32_t random);

#endif

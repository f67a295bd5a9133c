/* Time: wall-clock milliseconds for the protocol, monotonic ones for deadlines. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_read_ms_(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline int64_t now_ms(void) /* since 1970, UTC */
{
    return clock_read_ms_(CLOCK_REALTIME);
}

static inline int64_t mono_ms(void) /* never goes back; no meaning between processes */
{
    return clock_read_ms_(CLOCK_MONOTONIC);
}

static inline int64_t mono_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

#endif

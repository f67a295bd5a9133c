/* Time: wall-clock milliseconds for the protocol, monotonic ones for deadlines.
 *
 * Tests can move the clock forward. In a process whose clock is movable, a thread that waits for a
 * time reads the clock every CLOCK_ROUND_MS: on a condition by lock_wait_until() (base/lock.h), for
 * file descriptors by clock_wait_ms(). The clocks of the kernel, the database and the clients do
 * not move: those who wait for them use mono_unmoved_ms(). */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum { CLOCK_ROUND_MS = 10 };
#define DAY_MS (INT64_C(24) * 3600 * 1000)

extern const _Atomic int64_t *clock_moved_ms_; /* by how much; set before there are threads */
extern bool clock_is_movable_;

static inline int64_t clock_moved_ms(void)
{
    return atomic_load_explicit(clock_moved_ms_, memory_order_relaxed);
}

static inline int64_t clock_read_ms_(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline int64_t now_ms(void) /* since 1970, UTC */
{
    return clock_read_ms_(CLOCK_REALTIME) + clock_moved_ms();
}

static inline int64_t mono_ms(void) /* never goes back; no meaning between processes */
{
    return clock_read_ms_(CLOCK_MONOTONIC) + clock_moved_ms();
}

static inline int64_t mono_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000 + clock_moved_ms() * 1000;
}

static inline int64_t mono_unmoved_ms(void) /* mono_ms() less what tests moved it by */
{
    return clock_read_ms_(CLOCK_MONOTONIC);
}

/* mono_ms() and the time in which the machine was suspended: for what ends elsewhere meanwhile. */
static inline int64_t boot_ms(void)
{
    return clock_read_ms_(CLOCK_BOOTTIME) + clock_moved_ms();
}

static inline bool clock_is_movable(void)
{
    return clock_is_movable_;
}

/* How long may one wait who wants to wait that long? */
static inline int64_t clock_wait_ms(int64_t ms)
{
    return clock_is_movable_ && ms > CLOCK_ROUND_MS ? CLOCK_ROUND_MS : ms;
}

/* For tests, before there are threads. The clock of the process moves by clock_advance(); or, of a
 * program that a test runs, by what the test writes to the file: the milliseconds, as an int64_t.
 */
void clock_make_movable(void);
const struct err *clock_follow_file(const char *path);
void clock_advance(int64_t ms);

#endif

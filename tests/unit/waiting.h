/* For tests that wait: for a condition that other threads bring about, or for a time, which they
 * move. */
#ifndef TESTS_WAITING_H
#define TESTS_WAITING_H

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

enum { WAIT_PATIENCE_MS = 60000 };

static inline void wait_briefly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* For what must not happen: each thread that waits for a time reads the clock meanwhile. */
static inline void wait_some_rounds(void)
{
    for (int ms = 0; ms < 3 * CLOCK_ROUND_MS; ms++)
        wait_briefly();
}

/* Fails the test when the condition does not come true. */
#define WAIT_UNTIL(condition)                                                                      \
    do {                                                                                           \
        int64_t wait_end_ = mono_unmoved_ms() + WAIT_PATIENCE_MS;                                  \
        while (!(condition)) {                                                                     \
            if (mono_unmoved_ms() > wait_end_)                                                     \
                fail_msg("waited in vain for: %s", #condition);                                    \
            wait_briefly();                                                                        \
        }                                                                                          \
    } while (0)

/* Every program that includes this may call clock_advance(). */
__attribute__((constructor)) static void waiting_make_clock_movable(void)
{
    clock_make_movable();
}

#endif

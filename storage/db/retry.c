#include "storage/db/retry.h"

#include "base/clock.h"

#include <time.h>

enum { PAUSE_MAX_MS = 64, DOUBLINGS = 6, AT_ONCE_MAX = 8 };

static void retry_pause(int attempt)
{
    int64_t at_most_ms = attempt < DOUBLINGS ? 1 << attempt : PAUSE_MAX_MS;
    int64_t us = mono_us() % (at_most_ms * 1000);
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

bool retry_conflict(struct retry *r, const struct err *e)
{
    if (!e || e->code != ERR_CONFLICT || r->attempts + 1 >= RETRY_ATTEMPTS_MAX)
        return false;
    if (!r->at_once || r->attempts >= AT_ONCE_MAX)
        retry_pause(r->attempts);
    r->at_once = false;
    r->attempts++;
    return true;
}

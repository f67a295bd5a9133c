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
    int *attempts = r->was_outrun ? &r->outrun : &r->attempts;
    int max = r->was_outrun ? RETRY_OUTRUN_MAX : RETRY_ATTEMPTS_MAX;
    if (!e || e->code != ERR_CONFLICT || *attempts + 1 >= max)
        return false;
    if (!r->was_outrun || *attempts >= AT_ONCE_MAX)
        retry_pause(*attempts);
    r->was_outrun = false;
    ++*attempts;
    return true;
}

#include "federation/peer/backoff.h"

int64_t backoff_interval(int64_t before_ms, int64_t min_ms, int64_t max_ms)
{
    int64_t next = before_ms > max_ms / 2 ? max_ms : before_ms * 2;
    if (next < min_ms)
        next = min_ms;
    return next < max_ms ? next : max_ms;
}

int64_t backoff_wait(int64_t interval_ms, uint32_t random)
{
    int64_t half = interval_ms / 2;
    return half + (int64_t)((double)(interval_ms - half) * ((double)random / UINT32_MAX));
}

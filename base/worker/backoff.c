#include "base/worker/backoff.h"

int64_t backoff_interval(const struct backoff *b, int64_t before_ms)
{
    int64_t next = before_ms > b->max_ms / b->factor ? b->max_ms : before_ms * b->factor;
    if (next < b->first_ms)
        next = b->first_ms;
    return next < b->max_ms ? next : b->max_ms;
}

int64_t backoff_interval_after(const struct backoff *b, int failures)
{
    int64_t interval = backoff_interval(b, 0);
    for (int i = 0; i < failures && interval < b->max_ms; i++)
        interval = backoff_interval(b, interval);
    return interval;
}

int64_t backoff_wait(const struct backoff *b, int64_t interval_ms, uint32_t random)
{
    int64_t from = interval_ms * b->from_percent / 100, to = interval_ms * b->to_percent / 100;
    return from + (int64_t)((double)(to - from) * ((double)random / UINT32_MAX));
}

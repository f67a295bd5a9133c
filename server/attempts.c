#include "server/attempts.h"

#include "base/clock.h"
#include "http/rate.h"

#include <pthread.h>

static struct rate_table *attempts; /* lives as long as the process */
static pthread_once_t attempts_once = PTHREAD_ONCE_INIT;

static void make_attempts(void)
{
    attempts = rate_table_create();
}

const struct err *attempts_count(struct job *job, enum route_rate kind,
                                 const struct config_rate *limit, const char *key)
{
    if (!job->store->config->rate_limits)
        return NULL;
    pthread_once(&attempts_once, make_attempts);
    struct rate_limit rate = {limit->per_second, (int)limit->burst};
    int wait_ms = rate_take(attempts, kind, str_of(key), &rate, 1, mono_us());
    return wait_ms ? err_limit_exceeded(wait_ms) : NULL;
}

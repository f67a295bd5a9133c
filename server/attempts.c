#include "server/attempts.h"

#include "base/clock.h"
#include "base/log.h"
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

void attempts_log_failure(const struct request *rq, const char *user_id, const char *why)
{
    const struct log_field fields[] = {
        {"event", "login_failed"}, {"user", user_id}, {"remote_address", rq->remote_address}};
    if (log_wants(LOG_INFO) && log_limited("failed logins", LOG_MANY))
        log_record(LOG_INFO, fields, sizeof fields / sizeof *fields,
                   "failed login of %s from %s: %s", user_id, rq->remote_address, why);
}

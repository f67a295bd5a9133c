#include "server/account/attempts.h"

#include "base/clock.h"
#include "base/log.h"
#include "http/address.h"
#include "http/rate.h"
#include "server/account/caller.h"
#include "server/server.h"
#include "storage/users/known_networks.h"

#include <netinet/in.h>

/* The canonical spelling of a network, also for a stored address. */
static const char *network_of(struct arena *a, const char *text)
{
    struct address address, first = {0};
    char written[INET6_ADDRSTRLEN];
    if (!text || !address_parse(str_of(text), &address))
        return "";
    struct str subscriber = address_subscriber(&address);
    memcpy(first.bytes, subscriber.p, subscriber.n);
    address_write(&first, written);
    return arena_strdup(a, written);
}

static const struct err *is_known(struct job *job, int64_t user, const char *network, bool *ret)
{
    const char *const *known;
    size_t n;
    *ret = false;
    TRY(known_networks_list(job_tx(job), user, now_ms(), &known, &n));
    for (size_t i = 0; i < n && !*ret; i++)
        *ret = strcmp(network_of(job->arena, known[i]), network) == 0;
    return NULL;
}

/* times: the multiple of one network's limit. */
static const struct err *attempts_take(struct job *job, const char *key, int times)
{
    const struct config *config = job->config;
    struct rate_limit rate = {config->rc_login.per_second * times,
                              (int)config->rc_login.burst * times};
    int wait_ms = rate_take(job->server->rates, RATE_LOGIN, str_of(key), &rate, 1, mono_us());
    return wait_ms ? err_limit_exceeded(wait_ms) : NULL;
}

static const struct rate_limit few_of_user = {1.0 / ATTEMPTS_RARE_S, ATTEMPTS_RARE};
static const struct rate_limit few_of_network = {1.0 / ATTEMPTS_FAILED_S, ATTEMPTS_FAILED};

static bool is_one_of_few(struct rate_table *t, const char *key, const struct rate_limit *few,
                          int64_t now_us)
{
    return rate_take(t, RATE_LOGIN, str_of(key), few, 1, now_us) == 0;
}

static const char *key_of_few(struct arena *a, const char *network)
{
    return arena_printf(a, "few\n\n%s", network);
}

enum queue_order attempts_order(struct rate_table *t, struct arena *a, const char *user_id,
                                const char *network, int64_t now_us)
{
    bool is_few = is_one_of_few(t, arena_printf(a, "few\n%s\n", user_id), &few_of_user, now_us) &&
                  is_one_of_few(t, key_of_few(a, network), &few_of_network, now_us);
    return is_few ? ORDER_AHEAD : ORDER_USUAL;
}

void attempts_give_back(struct rate_table *t, struct arena *a, const char *network, int64_t now_us)
{
    rate_give_back(t, RATE_LOGIN, str_of(key_of_few(a, network)), &few_of_network, 1, now_us);
}

/* No part of a key contains a newline. */
const struct err *attempts_count(struct request *rq, const char *user_id, int64_t user,
                                 enum queue_order *ret_order)
{
    struct job *job = job_of(rq);
    const struct caller *caller = caller_of(rq);
    bool known;
    *ret_order = ORDER_USUAL;
    if (!job->config->rate_limits)
        return NULL;
    if (caller && strcmp(caller->user_id, user_id) == 0)
        return attempts_take(
            job, arena_printf(job->arena, "device\n%s\n%s", user_id, caller->device_id), 1);
    const char *network = network_of(job->arena, rq->remote_address);
    TRY(attempts_take(job, arena_printf(job->arena, "network\n%s\n%s", user_id, network), 1));
    TRY(is_known(job, user, network, &known));
    if (!known)
        TRY(attempts_take(job, arena_printf(job->arena, "elsewhere\n%s", user_id),
                          ATTEMPTS_ELSEWHERE));
    *ret_order = known
                     ? ORDER_FIRST
                     : attempts_order(job->server->rates, job->arena, user_id, network, mono_us());
    return NULL;
}

const struct err *attempts_note_sign_in(struct request *rq, int64_t user)
{
    struct job *job = job_of(rq);
    const char *network = network_of(job->arena, rq->remote_address);
    if (rq->order == ORDER_AHEAD)
        attempts_give_back(job->server->rates, job->arena, network, mono_us());
    return known_networks_note(job_tx(job), user, network, now_ms());
}

void attempts_log_failure(const struct request *rq, const char *user_id, const char *why)
{
    const struct log_field fields[] = {
        {"event", "login_failed"}, {"user", user_id}, {"remote_address", rq->remote_address}};
    if (log_wants(LOG_INFO) && log_limited("failed logins", LOG_MANY))
        log_record(LOG_INFO, fields, sizeof fields / sizeof *fields,
                   "failed login of %s from %s: %s", user_id, rq->remote_address, why);
}

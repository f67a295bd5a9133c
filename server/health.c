/* For operators' tools: /health, /ready, /metrics. */
#include "base/clock.h"
#include "http/address.h"
#include "server/account/caller.h"
#include "server/metrics.h"
#include "server/routes.h"
#include "server/server.h"
#include "storage/db/committer.h"
#include "storage/db/log.h"
#include "storage/db/write.h"
#include "storage/nodes/follower.h"
#include "storage/schema/schema_check.h"

#include <stdio.h>

static const struct err *get_health(struct request *rq, struct reply *rp)
{
    reply_header(rp, "Content-Type", "text/plain");
    BUF_LIT(&rp->body, "OK");
    return reply_body(rp, 200);
}

/* Why this server is not ready, and for how long, if that is known. */
static const struct err *not_ready(const char *why, int64_t for_ms)
{
    enum { RETRY_AFTER_MS = 1000 };
    char time[32] = "";
    if (for_ms >= 1000)
        snprintf(time, sizeof time, " for %lld s", (long long)for_ms / 1000);
    return err_with_retry(err(ERR_UNAVAILABLE, "%s%s", why, time), RETRY_AFTER_MS);
}

static const struct err *health_no_answer(struct job *job, const struct err *e)
{
    return err_with_cause(
        not_ready("the database has not answered", db_silence_ms(job->storage->db)), "%s",
        e->cause);
}

/* The route needs no caller and has no limit: so a good result is cached for a while. */
static const struct err *check_schema(struct job *job)
{
    enum { BELIEVED_MS = 5000 };
    int64_t now = mono_ms();
    if (now < job->storage->schema_good_until)
        return NULL;
    const struct err *e = schema_check(job_tx(job));
    if (e)
        return e->code == ERR_UNAVAILABLE ? health_no_answer(job, e) : not_ready(e->text, 0);
    job->storage->schema_good_until = now + BELIEVED_MS;
    return NULL;
}

static const struct err *check_database(struct job *job)
{
    int64_t position;
    const struct err *e = log_position(job_tx(job), &position);
    if (e && e->code == ERR_UNAVAILABLE)
        return health_no_answer(job, e);
    if (!e)
        return check_schema(job);
    struct err cause = *e; /* mostly: the schema was changed meanwhile */
    job->storage->schema_good_until = 0;
    TRY(check_schema(job));
    return err_with_cause(not_ready("the log cannot be read", 0), "%s", cause.cause);
}

/* Failed writes are tried again when requests are repeated after that time. */
enum { DISK_FULL_MS = 30 * 1000 };

static const struct err *check_ready(struct request *rq)
{
    struct job *job = job_of(rq);
    int64_t since = 0;
    const char *trouble = committer_trouble(job->storage->committer, &since);
    if (request_is_stopping(rq) || job->server->is_stopping)
        return not_ready("stopping", 0);
    if (trouble && !since)
        return not_ready(trouble, 0);
    if (db_disk_is_full(DISK_FULL_MS))
        return not_ready("the database's disk is full", 0);
    TRY(check_database(job));
    if (!follower_is_fresh(job->storage->follower))
        return not_ready("the log cannot be followed", 0);
    return trouble ? not_ready(trouble, mono_ms() - since) : NULL;
}

/* Ready: the database answers, is complete and takes writes, and the server is not stopping. */
static const struct err *get_ready(struct request *rq, struct reply *rp)
{
    enum { LIMIT_MS = 2000 };
    int before = db_limit_statements(LIMIT_MS);
    const struct err *e = check_ready(rq);
    db_limit_statements(before);
    TRY(e);
    return get_health(rq, rp);
}

/* A program on this machine or in metrics_allowlist, but not through a proxy, where every client
 * would look local. */
static const struct err *may_read_metrics(struct request *rq, bool *ret)
{
    const struct config_list *more = &job_of(rq)->config->metrics_allowlist;
    const char *address = rq->remote_address;
    struct address_ranges *ranges;
    struct address peer;
    *ret = false;
    if (request_header(rq, "X-Forwarded-For") || request_header(rq, "Forwarded"))
        return NULL;
    *ret = strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
    if (*ret || !more->n || !address_parse(str_of(address), &peer))
        return NULL;
    TRY(address_ranges_create(more->items, more->n, &ranges));
    *ret = address_is_within(ranges, &peer);
    address_ranges_destroy(ranges);
    return NULL;
}

static const struct err *get_metrics(struct request *rq, struct reply *rp)
{
    bool may = false;
    if (job_of(rq)->config->enable_metrics)
        TRY(may_read_metrics(rq, &may));
    if (!may)
        return err(ERR_UNRECOGNIZED, "Unrecognized request");
    metrics_gather(&rp->body);
    reply_header(rp, "Content-Type", "text/plain; version=0.0.4");
    return reply_body(rp, 200);
}

const struct route health_routes[] = {
    {.method = GET, .path = "/health", .handler = get_health, .pool = POOL_WATCH, .spec = "-"},
    {.method = GET, .path = "/ready", .handler = get_ready, .pool = POOL_WATCH, .spec = "-"},
    {.method = GET, .path = "/metrics", .handler = get_metrics, .pool = POOL_WATCH, .spec = "-"},
    {.path = NULL},
};

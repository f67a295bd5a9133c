/* What operators' tools ask: is the process there, can it serve, how is it doing. */
#include "base/clock.h"
#include "server/caller.h"
#include "server/metrics.h"
#include "server/routes.h"
#include "storage/log.h"
#include "storage/schema_check.h"

static const struct err *get_health(struct request *rq, struct reply *rp)
{
    reply_header(rp, "Content-Type", "text/plain");
    BUF_LIT(&rp->body, "OK");
    return reply_body(rp, 200);
}

/* Anybody may ask, as often as they like: one that was whole is believed for a while. */
static const struct err *check_schema(struct job *job)
{
    enum { BELIEVED_MS = 5000 };
    int64_t now = mono_ms();
    if (now < job->store->schema_good_until)
        return NULL;
    const struct err *e = schema_check(job_tx(job));
    if (e)
        return err_unavailable(1000, "%s", e->code == ERR_INTERNAL ? e->text : e->cause);
    job->store->schema_good_until = now + BELIEVED_MS;
    return NULL;
}

/* Ready: the database answers and is whole, and we are not stopping. */
static const struct err *get_ready(struct request *rq, struct reply *rp)
{
    int64_t position;
    if (request_is_stopping(rq))
        return err_unavailable(1000, "stopping");
    TRY(log_position(job_tx(job_of(rq)), &position));
    TRY(check_schema(job_of(rq)));
    return get_health(rq, rp);
}

/* A program on this machine that did not come through a proxy. */
static bool is_local(const struct request *rq)
{
    const char *address = rq->remote_address;
    bool loopback = strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
    return loopback && !request_header(rq, "X-Forwarded-For") && !request_header(rq, "Forwarded");
}

static const struct err *get_metrics(struct request *rq, struct reply *rp)
{
    if (!job_of(rq)->store->config->enable_metrics && !is_local(rq))
        return err(ERR_UNRECOGNIZED, "Unrecognized request");
    metrics_gather(&rp->body);
    reply_header(rp, "Content-Type", "text/plain; version=0.0.4");
    return reply_body(rp, 200);
}

const struct route health_routes[] = {
    {.method = GET, .path = "/health", .handler = get_health, .spec = "-"},
    {.method = GET, .path = "/ready", .handler = get_ready, .spec = "-"},
    {.method = GET, .path = "/metrics", .handler = get_metrics, .spec = "-"},
    {.path = NULL},
};

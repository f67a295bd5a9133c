/* What operators' tools ask: is the process there, can it serve, how is it doing. */
#include "base/clock.h"
#include "http/address.h"
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

/* Writes that failed are tried again when requests come back after that time. */
enum { DISK_FULL_MS = 30 * 1000 };

/* Ready: the database answers, is whole and takes writes, and we are not stopping. */
static const struct err *get_ready(struct request *rq, struct reply *rp)
{
    int64_t position;
    if (request_is_stopping(rq))
        return err_unavailable(1000, "stopping");
    if (db_disk_is_full(DISK_FULL_MS))
        return err_unavailable(1000, "the database's disk is full");
    TRY(log_position(job_tx(job_of(rq)), &position));
    TRY(check_schema(job_of(rq)));
    return get_health(rq, rp);
}

/* A program on this machine, or one that the operator named, and not through a proxy: there every
 * client would be a local one. */
static const struct err *may_read_metrics(struct request *rq, bool *ret)
{
    const struct config_list *more = &job_of(rq)->store->config->metrics_allowlist;
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
    if (job_of(rq)->store->config->enable_metrics)
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

/* One run of a request's handler by a worker: authentication, rate limit, body, handler, then the
 * reply or the wait. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/internal.h"

#include <unistd.h>

enum {
    SLOW_US = 1000 * 1000,
    BYTES_OF_ONE = 64 * 1024, /* a larger body counts as several requests for the rate limit */
};

static const struct err *run_decode(struct exchange *ex, struct run *run)
{
    const struct router_pattern *pattern = ex->match.pattern;
    for (size_t i = 0; i < pattern->params_n; i++)
        TRY(query_decode(ex->rq.arena, ex->match.values[i], false, &run->params[i]));
    return query_parse(ex->rq.arena, ex->query, &run->query);
}

static const struct err *run_authenticate(struct exchange *ex)
{
    const struct http_hooks *hooks = &ex->server->hooks;
    enum route_who who = ex->rq.route->who;
    return hooks->authenticate[who] ? hooks->authenticate[who](hooks->ctx, &ex->rq) : NULL;
}

static struct str caller_key(const struct exchange *ex)
{
    return ex->rq.caller_id ? str_of(ex->rq.caller_id) : address_subscriber(&ex->client);
}

const struct err *request_charge(const struct request *rq, enum route_rate kind, int n)
{
    const struct exchange *ex = rq->exchange;
    struct http_server *s = ex->server;
    int wait_ms = rate_take(s->rate_table, kind, caller_key(ex), &s->rates[kind], n, mono_us());
    if (wait_ms)
        atomic_fetch_add_explicit(&s->metrics.limited[kind], 1, memory_order_relaxed);
    return wait_ms ? err_limit_exceeded(wait_ms) : NULL;
}

void request_owe(const struct request *rq, enum route_rate kind, int n)
{
    const struct exchange *ex = rq->exchange;
    struct http_server *s = ex->server;
    if (n > 0)
        rate_owe(s->rate_table, kind, caller_key(ex), &s->rates[kind], n, mono_us());
}

static const struct err *charge(struct exchange *ex)
{
    enum route_rate kind = ex->rq.route->rate;
    if (ex->charged || kind == RATE_NONE)
        return NULL;
    ex->charged = true;
    return request_charge(&ex->rq, kind, 1 + (int)(ex->rq.raw.n / BYTES_OF_ONE));
}

static const struct err *parse_body(struct exchange *ex)
{
    struct request *rq = &ex->rq;
    rq->body = NULL;
    if (rq->route->body != BODY_JSON && rq->route->body != BODY_MAYBE)
        return NULL;
    if (rq->route->body == BODY_MAYBE && !rq->raw.n)
        rq->body = json_keep(rq->arena, json_object());
    else
        TRY(json_read(rq->arena, rq->raw, &rq->body));
    return json_is_object(rq->body) ? NULL : err(ERR_BAD_JSON, "The body must be a JSON object");
}

static const struct err *run_serve(struct exchange *ex, struct reply *rp)
{
    TRY(run_authenticate(ex));
    TRY(charge(ex));
    if (ex->run->admitting)
        return NULL;
    TRY(parse_body(ex));
    TRY(ex->rq.route->handler(&ex->rq, rp));
    if (rp->outcome->kind == OUTCOME_NONE)
        return err_internal("the handler made no reply");
    return NULL;
}

static const struct err *run_steps(struct exchange *ex, struct run *run, struct reply *rp)
{
    const struct http_hooks *hooks = &ex->server->hooks;
    TRY(run_decode(ex, run));
    const struct err *e = hooks->request_begin ? hooks->request_begin(hooks->ctx, &ex->rq) : NULL;
    if (!e)
        e = run_serve(ex, rp);
    if (hooks->request_end)
        hooks->request_end(hooks->ctx, &ex->rq);
    if (e && e->code == ERR_ELSEWHERE && ex->rq.pool != POOL_REMOTE && !run->admitting)
        return reply_elsewhere(rp, POOL_REMOTE);
    return e;
}

/* A client that leaves or stops reading during a streamed reply is not the server's fault. */
static enum log_level failure_level(const struct exchange *ex, const struct err *e)
{
    if (ex->stream && (e->code == ERR_CONNECTION_FAILED || e->code == ERR_CONNECTION_TIMEOUT))
        return LOG_DEBUG;
    return e->code == ERR_INTERNAL ? LOG_ERROR : LOG_WARN;
}

static void log_failure(struct exchange *ex, const struct log_field *fields, size_t n,
                        const struct err *e)
{
    char kind[80];
    const struct route *route = ex->rq.route;
    const char *method = http_method_names[ex->rq.method];
    snprintf(kind, sizeof kind, "%d of %s %.60s", err_status(e), method, route->path);
    if (log_limited(kind, LOG_FEW))
        log_record(failure_level(ex, e), fields, n, "%s %s: %s%s%s", method, route->path, e->text,
                   e->cause[0] ? ": " : "", e->cause);
}

static void log_request(struct exchange *ex, const struct err *e)
{
    const char *route = ex->rq.route->path, *method = http_method_names[ex->rq.method];
    double ms = (double)ex->busy_us / 1000;
    const struct log_field fields[] = {
        {"method", method},
        {"route", route},
        {"status", .number = ex->status, .is_number = true},
        {"ms", .number = ms, .is_number = true},
        {"user", ex->rq.caller_id},
        {"remote_address", ex->address},
    };
    enum { FIELDS_N = sizeof fields / sizeof *fields };
    bool slow = ex->busy_us > SLOW_US;
    if (e && err_status(e) >= 500)
        log_failure(ex, fields, FIELDS_N, e);
    enum log_level level = log_request_level();
    if (slow && level < LOG_INFO && log_limited("slow requests", LOG_FEW))
        level = LOG_INFO;
    if (log_wants(level))
        log_record(level, fields, FIELDS_N, "%s %s %d %.1f ms%s %s%s%s", method, route, ex->status,
                   ms, slow ? " (slow)" : "", ex->rq.caller_id ? ex->rq.caller_id : "",
                   ex->rq.caller_id ? " " : "", ex->address);
}

/* False: the client hung up while the request was parked, or waited for a worker of another pool.
 */
static bool begin_run(struct worker *w, struct exchange *ex, struct run *run)
{
    struct request *rq = &ex->rq;
    struct http_server *s = ex->server;
    bool expired = deadlines_remove(ex);
    /* A request that moved to another pool starts again there: none of it has been done. */
    bool in_vain =
        (ex->was_parked && atomic_load(&ex->hung_up)) || (rq->runs > 0 && atomic_load(&ex->gone));
    if (ex->was_parked)
        atomic_fetch_sub_explicit(&s->metrics.parked, 1, memory_order_relaxed);
    ex->was_parked = false;
    atomic_store(&ex->run_state, RUN_RUNNING);
    ex->run = run;
    rq->arena = w->arena;
    arena_set_source(w->arena, (uintptr_t)ex->source / sizeof(void *));
    rq->job = w->job;
    rq->caller = NULL;
    rq->caller_id = NULL;
    rq->timed_out = expired || ex->last_run;
    run->admitting = ex->phase == PHASE_ADMIT;
    if (!run->admitting)
        rq->runs++;
    log_set_request(ex->id);
    return !in_vain;
}

static void end_run(struct exchange *ex)
{
    log_set_request(NULL);
    struct arena *a = ex->rq.arena;
    ex->rq.arena = NULL;
    ex->rq.body = NULL;
    ex->rq.caller = NULL;
    ex->rq.caller_id = NULL;
    ex->run = NULL;
    arena_reset(a);
}

/* A parked request holds as little memory as possible. */
static void shrink(struct exchange *ex)
{
    struct buf *b = &ex->body;
    if (!b->n)
        buf_finish(b);
    else if (b->size > b->n + 1) {
        b->size = b->n + 1;
        b->p = mem_realloc_array(b->p, b->size, 1);
    }
    ex->rq.raw = buf_str(b);
}

/* Nothing may touch the exchange after it is parked or queued. */
static void run_park(struct exchange *ex, int64_t deadline_ms)
{
    end_run(ex);
    shrink(ex);
    ex->was_parked = true;
    atomic_fetch_add_explicit(&ex->server->metrics.parked, 1, memory_order_relaxed);
    deadlines_add(ex, deadline_ms);
    int state = RUN_RUNNING;
    if (atomic_compare_exchange_strong(&ex->run_state, &state, RUN_PARKED))
        return;
    atomic_store(&ex->run_state, RUN_QUEUED); /* woken while it ran */
    pool_submit(ex);
}

static void run_once_more(struct exchange *ex)
{
    end_run(ex);
    ex->last_run = true;
    atomic_store(&ex->run_state, RUN_QUEUED);
    pool_submit(ex);
}

/* The worker reports it to its pool. */
static void leave_pool(struct exchange *ex)
{
    ex->run->left = true;
    ex->source = NULL;
}

static void leave_source(struct request *rq)
{
    if (rq->waiter.source)
        rq->waiter.leave(&rq->waiter);
}

static void run_finish(struct exchange *ex, struct reply *rp, const struct err *e)
{
    struct http_server *s = ex->server;
    leave_source(&ex->rq);
    leave_pool(ex);
    atomic_store(&ex->run_state, RUN_NONE);
    bool streamed = ex->stream;
    if (streamed) {
        if (rp->outcome->kind == OUTCOME_FILE)
            close(rp->outcome->fd);
    } else {
        if (e)
            reply_error(rp, e);
        ex->response = reply_response(rp);
        ex->status = rp->status;
    }
    log_request(ex, e);
    metrics_count(ex);
    end_run(ex);
    if (streamed)
        stream_finish(rp, e != NULL);
    else
        loop_deliver(ex);
    atomic_fetch_sub(&s->metrics.working, 1);
}

/* Without a reply, the loop closes the connection. */
static void abandon(struct exchange *ex)
{
    struct http_server *s = ex->server;
    leave_source(&ex->rq);
    leave_pool(ex);
    atomic_store(&ex->run_state, RUN_NONE);
    log_debug("%s %s: the client hung up", http_method_names[ex->rq.method], ex->rq.route->path);
    end_run(ex);
    loop_deliver(ex);
    atomic_fetch_sub(&s->metrics.working, 1);
}

/* The head of an upload was checked: its body is accepted or refused. */
static void admit(struct exchange *ex, struct reply *rp, const struct err *e)
{
    if (e) {
        run_finish(ex, rp, e);
        return;
    }
    struct http_server *s = ex->server;
    ex->admitted = true;
    leave_pool(ex);
    atomic_store(&ex->run_state, RUN_NONE);
    end_run(ex);
    loop_deliver(ex);
    atomic_fetch_sub(&s->metrics.working, 1);
}

static void move(struct exchange *ex, struct reply *rp)
{
    struct queue_source *before = ex->source;
    enum route_pool from = ex->rq.pool;
    ex->rq.pool = rp->outcome->pool;
    ex->rq.order = rp->outcome->order;
    const struct err *e = pool_take_in(ex, source_proven(ex), rp->outcome->order);
    if (e) {
        ex->rq.pool = from;
        ex->source = before;
        run_finish(ex, rp, e);
        return;
    }
    ex->run->left = true;
    buf_finish(&rp->body);
    end_run(ex);
    atomic_store(&ex->run_state, RUN_QUEUED);
    pool_submit(ex);
}

static void run_conclude(struct exchange *ex, struct reply *rp, const struct err *e)
{
    if (ex->run->admitting) {
        admit(ex, rp, e);
    } else if (e || (rp->outcome->kind != OUTCOME_WAIT && rp->outcome->kind != OUTCOME_MOVE)) {
        run_finish(ex, rp, e);
    } else if (rp->outcome->kind == OUTCOME_MOVE) {
        move(ex, rp);
    } else if (ex->last_run) {
        run_finish(ex, rp, err(ERR_UNAVAILABLE, "The server is shutting down"));
    } else {
        int64_t deadline_ms = rp->outcome->deadline_ms;
        buf_finish(&rp->body);
        if (request_is_stopping(&ex->rq))
            run_once_more(ex);
        else
            run_park(ex, deadline_ms);
    }
}

bool run_exchange(struct worker *w, struct exchange *ex)
{
    struct run run = {0};
    struct reply_outcome outcome = {0};
    struct reply rp = {.status = 200, .rq = &ex->rq, .outcome = &outcome};
    int64_t from_us = mono_us();
    if (!begin_run(w, ex, &run)) {
        abandon(ex);
        return run.left;
    }
    const struct err *e = atomic_load(&ex->server->aborting)
                              ? err(ERR_UNAVAILABLE, "The server is shutting down")
                              : run_steps(ex, &run, &rp);
    ex->busy_us += mono_us() - from_us;
    run_conclude(ex, &rp, e);
    return run.left;
}

/* Counters of the HTTP server, in Prometheus' text format. */
#include "base/clock.h"
#include "base/mem.h"
#include "http/internal.h"

static const char *const method_names[METHOD_COUNT] = {"GET",    "POST", "PUT",
                                                       "DELETE", "HEAD", "OPTIONS"};
static const int latency_ms[LATENCY_BUCKETS] = {1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000};
enum { CLASSES = 5 };

void metrics_create(struct http_server *s)
{
    size_t rows = router_routes_n(s->router) + 1;
    s->metrics.by_class = mem_zalloc(rows * CLASSES * sizeof *s->metrics.by_class);
}

void metrics_destroy(struct http_server *s)
{
    free(s->metrics.by_class);
}

static void http_metrics_count(atomic_ulong *counter, unsigned long by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

static int metrics_bucket_of(int64_t us)
{
    int bucket = 0;
    while (bucket < LATENCY_BUCKETS && us > latency_ms[bucket] * 1000LL)
        bucket++;
    return bucket;
}

void metrics_count(struct exchange *ex)
{
    struct metrics *m = &ex->server->metrics;
    size_t row = ex->rq.route ? ex->match.pattern->index : router_routes_n(ex->server->router);
    int class = ex->status / 100 - 1;
    http_metrics_count(&m->latency[metrics_bucket_of(ex->busy_us)], 1);
    http_metrics_count(&m->latency_us, (unsigned long)ex->busy_us);
    if (class < 0 || class >= CLASSES)
        return;
    struct answered *a = &m->by_class[row * CLASSES + (size_t) class];
    int64_t us = mono_us() - ex->rq.started_mono_us;
    int bucket = metrics_bucket_of(us);
    http_metrics_count(&a->n, 1);
    http_metrics_count(&a->us, us > 0 ? (unsigned long)us : 0);
    if (bucket < LATENCY_BUCKETS)
        http_metrics_count(&a->by_time[bucket], 1);
}

struct metric_row {
    const char *method, *route;
    int class;
    struct answered *answered;
};

/* Calls `add` for each answered route and class of status. */
static void each_row(struct http_server *s, struct buf *out,
                     void (*add)(const struct metric_row *r, struct buf *out))
{
    size_t routes_n = router_routes_n(s->router);
    for (size_t i = 0; i < (routes_n + 1) * CLASSES; i++) {
        size_t at = i / CLASSES;
        const struct route *route = at < routes_n ? router_route(s->router, at) : NULL;
        struct metric_row r = {.method = route ? method_names[route->method] : "",
                               .route = route ? route->path : "",
                               .class = (int)(i % CLASSES) + 1,
                               .answered = &s->metrics.by_class[i]};
        if (atomic_load(&r.answered->n))
            add(&r, out);
    }
}

static void add_requests_row(const struct metric_row *r, struct buf *out)
{
    buf_printf(out,
               "concorde_http_requests_total{method=\"%s\",route=\"%s\",status=\"%dxx\"} %lu\n",
               r->method, r->route, r->class, atomic_load(&r->answered->n));
}

static void add_times_row(const struct metric_row *r, struct buf *out)
{
    static const char name[] = "synapse_http_server_response_time_seconds";
    char labels[400];
    unsigned long sum = 0;
    snprintf(labels, sizeof labels, "method=\"%s\",servlet=\"%s\",code=\"%dxx\"", r->method,
             r->route, r->class);
    for (int i = 0; i < LATENCY_BUCKETS; i++) {
        sum += atomic_load(&r->answered->by_time[i]);
        buf_printf(out, "%s_bucket{%s,le=\"%g\"} %lu\n", name, labels, latency_ms[i] / 1000.0, sum);
    }
    unsigned long n = atomic_load(&r->answered->n);
    n = n < sum ? sum : n; /* a count may have changed meanwhile */
    buf_printf(out, "%s_bucket{%s,le=\"+Inf\"} %lu\n%s_sum{%s} %.6f\n%s_count{%s} %lu\n", name,
               labels, n, name, labels, (double)atomic_load(&r->answered->us) / 1e6, name, labels,
               n);
}

static void add_requests(struct http_server *s, struct buf *out)
{
    BUF_LIT(out, "# HELP concorde_http_requests_total Requests by method, route and class of "
                 "status.\n"
                 "# TYPE concorde_http_requests_total counter\n");
    each_row(s, out, add_requests_row);
    BUF_LIT(out, "# HELP synapse_http_server_response_time_seconds Time from the head of a request "
                 "to its reply, waits included.\n"
                 "# TYPE synapse_http_server_response_time_seconds histogram\n");
    each_row(s, out, add_times_row);
}

static void add_limited(struct http_server *s, struct buf *out)
{
    static const char *const names[RATE_COUNT] = {
        [RATE_MESSAGE] = "rc_message",
        [RATE_LOGIN] = "rc_login",
        [RATE_REGISTRATION] = "rc_registration",
        [RATE_JOIN] = "rc_joins",
        [RATE_INVITE] = "rc_invites",
        [RATE_ROOM] = "rc_room_creation",
        [RATE_KEY] = "rc_keys",
        [RATE_MEDIA] = "rc_media",
        [RATE_ACCOUNT] = "rc_account",
        [RATE_SEARCH] = "rc_search",
        [RATE_REMOTE] = "rc_remote",
        [RATE_SERVER] = "rc_server",
    };
    BUF_LIT(out, "# HELP synapse_rate_limit_reject_total Requests that came too often.\n"
                 "# TYPE synapse_rate_limit_reject_total counter\n");
    for (int i = 0; i < RATE_COUNT; i++)
        if (names[i])
            buf_printf(out, "synapse_rate_limit_reject_total{rate_limiter_name=\"%s\"} %lu\n",
                       names[i], atomic_load(&s->metrics.limited[i]));
}

static void add_latency(struct http_server *s, struct buf *out)
{
    unsigned long sum = 0;
    BUF_LIT(out, "# HELP concorde_http_handler_seconds Time in workers, waits excluded.\n"
                 "# TYPE concorde_http_handler_seconds histogram\n");
    for (int i = 0; i < LATENCY_BUCKETS; i++) {
        sum += atomic_load(&s->metrics.latency[i]);
        buf_printf(out, "concorde_http_handler_seconds_bucket{le=\"%g\"} %lu\n",
                   latency_ms[i] / 1000.0, sum);
    }
    sum += atomic_load(&s->metrics.latency[LATENCY_BUCKETS]);
    buf_printf(out,
               "concorde_http_handler_seconds_bucket{le=\"+Inf\"} %lu\n"
               "concorde_http_handler_seconds_sum %.6f\n"
               "concorde_http_handler_seconds_count %lu\n",
               sum, (double)atomic_load(&s->metrics.latency_us) / 1e6, sum);
}

static void add_pools(struct http_server *s, struct buf *out)
{
    BUF_LIT(out, "# HELP concorde_http_queue_depth Requests that wait for a worker.\n"
                 "# TYPE concorde_http_queue_depth gauge\n"
                 "# HELP concorde_http_workers_busy Workers that are serving a request.\n"
                 "# TYPE concorde_http_workers_busy gauge\n"
                 "# HELP concorde_http_workers Worker threads.\n"
                 "# TYPE concorde_http_workers gauge\n"
                 "# HELP concorde_http_source_running_max Requests of one source at work at once.\n"
                 "# TYPE concorde_http_source_running_max gauge\n"
                 "# HELP concorde_http_source_held_max Requests of one source here at once.\n"
                 "# TYPE concorde_http_source_held_max gauge\n"
                 "# HELP concorde_http_sources Users, addresses and servers with requests here.\n"
                 "# TYPE concorde_http_sources gauge\n"
                 "# HELP concorde_http_refused_total Requests of sources with too many already.\n"
                 "# TYPE concorde_http_refused_total counter\n"
                 "# HELP concorde_http_moved_total Requests that another pool has passed on.\n"
                 "# TYPE concorde_http_moved_total counter\n");
    for (int i = 0; i < POOL_COUNT; i++) {
        struct pool *p = &s->pools[i];
        LOCKED(&p->lock);
        buf_printf(out,
                   "concorde_http_queue_depth{pool=\"%s\"} %zu\n"
                   "concorde_http_workers_busy{pool=\"%s\"} %d\n"
                   "concorde_http_workers{pool=\"%s\"} %d\n"
                   "concorde_http_source_running_max{pool=\"%s\"} %d\n"
                   "concorde_http_source_held_max{pool=\"%s\"} %d\n"
                   "concorde_http_sources{pool=\"%s\"} %zu\n"
                   "concorde_http_refused_total{pool=\"%s\"} %lu\n"
                   "concorde_http_moved_total{pool=\"%s\"} %lu\n",
                   http_pool_names[i], p->queue.depth, http_pool_names[i], p->busy,
                   http_pool_names[i], p->workers_n, http_pool_names[i], p->queue.running_max,
                   http_pool_names[i], p->queue.held_max, http_pool_names[i], p->queue.sources.n,
                   http_pool_names[i], p->refused, http_pool_names[i], p->moved);
    }
}

static void add_displaced(struct http_server *s, struct buf *out)
{
    LOCKED(&s->connections.lock);
    buf_printf(out,
               "# HELP concorde_http_connections_displaced_total Idle connections that were closed "
               "to make room.\n"
               "# TYPE concorde_http_connections_displaced_total counter\n"
               "concorde_http_connections_displaced_total %lu\n"
               "# HELP concorde_http_connections_refused_total Connections of addresses that had "
               "as many as they may.\n"
               "# TYPE concorde_http_connections_refused_total counter\n"
               "concorde_http_connections_refused_total %lu\n",
               s->connections.displaced, s->connections.refused);
}

int http_server_parked(const void *server)
{
    return atomic_load(&((const struct http_server *)server)->metrics.parked);
}

void http_server_add_metrics(struct http_server *s, struct buf *out)
{
    add_requests(s, out);
    add_limited(s, out);
    add_latency(s, out);
    add_pools(s, out);
    buf_printf(
        out,
        "# HELP concorde_http_requests_in_flight Requests between their last byte and that of "
        "their reply.\n"
        "# TYPE concorde_http_requests_in_flight gauge\n"
        "concorde_http_requests_in_flight %d\n"
        "# HELP concorde_http_requests_parked Parked requests, which wait without a worker.\n"
        "# TYPE concorde_http_requests_parked gauge\n"
        "concorde_http_requests_parked %d\n"
        "# HELP concorde_http_connections Connections of clients and servers.\n"
        "# TYPE concorde_http_connections gauge\n"
        "concorde_http_connections %d\n"
        "# HELP concorde_http_connections_accepted_total Connections that were taken.\n"
        "# TYPE concorde_http_connections_accepted_total counter\n"
        "concorde_http_connections_accepted_total %lu\n"
        "# HELP concorde_http_bodies_bytes Of the budget for bodies of requests in memory, drawn.\n"
        "# TYPE concorde_http_bodies_bytes gauge\n"
        "concorde_http_bodies_bytes %zu\n"
        "# HELP concorde_http_bodies_refused_total Bodies for which nothing was left of it.\n"
        "# TYPE concorde_http_bodies_refused_total counter\n"
        "concorde_http_bodies_refused_total %lu\n",
        atomic_load(&s->metrics.active), atomic_load(&s->metrics.parked),
        atomic_load(&s->connections_n), atomic_load(&s->metrics.accepted),
        atomic_load(&s->bodies.taken), atomic_load(&s->bodies.refused));
    add_displaced(s, out);
}

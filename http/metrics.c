/* Counters of the HTTP server, in Prometheus' text format. */
#include "base/clock.h"
#include "base/mem.h"
#include "http/internal.h"

static const char *const method_names[METHOD_COUNT] = {"GET",    "POST", "PUT",
                                                       "DELETE", "HEAD", "OPTIONS"};
static const char *const pool_names[POOL_COUNT] = {"client", "federation", "slow", "remote"};
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

static void count(atomic_ulong *counter, unsigned long by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

void metrics_count(struct exchange *ex)
{
    struct metrics *m = &ex->server->metrics;
    size_t row = ex->rq.route ? ex->match.pattern->index : router_routes_n(ex->server->router);
    int class = ex->status / 100 - 1;
    if (class >= 0 && class < CLASSES)
        count(&m->by_class[row * CLASSES + (size_t) class], 1);
    int bucket = 0;
    while (bucket < LATENCY_BUCKETS && ex->busy_us > latency_ms[bucket] * 1000LL)
        bucket++;
    count(&m->latency[bucket], 1);
    count(&m->latency_us, (unsigned long)ex->busy_us);
}

static void add_requests(struct http_server *s, struct buf *out)
{
    size_t routes_n = router_routes_n(s->router);
    BUF_LIT(out, "# TYPE concorde_http_requests_total counter\n");
    for (size_t row = 0; row <= routes_n; row++) {
        const struct route *route = row < routes_n ? router_route(s->router, row) : NULL;
        for (int class = 0; class < CLASSES; class ++) {
            unsigned long n = atomic_load(&s->metrics.by_class[row * CLASSES + (size_t) class]);
            if (n)
                buf_printf(out,
                           "concorde_http_requests_total{method=\"%s\",route=\"%s\","
                           "status=\"%dxx\"} %lu\n",
                           route ? method_names[route->method] : "", route ? route->path : "",
                           class + 1, n);
        }
    }
}

static void add_latency(struct http_server *s, struct buf *out)
{
    unsigned long sum = 0;
    BUF_LIT(out, "# HELP concorde_http_handler_seconds time in workers, waits excluded\n"
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
    BUF_LIT(out, "# TYPE concorde_http_queue_depth gauge\n"
                 "# TYPE concorde_http_workers_busy gauge\n");
    for (int i = 0; i < POOL_COUNT; i++) {
        struct pool *p = &s->pools[i];
        LOCKED(&p->lock);
        buf_printf(out,
                   "concorde_http_queue_depth{pool=\"%s\"} %zu\n"
                   "concorde_http_workers_busy{pool=\"%s\"} %d\n",
                   pool_names[i], p->depth, pool_names[i], p->busy);
    }
}

void http_server_add_metrics(struct http_server *s, struct buf *out)
{
    add_requests(s, out);
    add_latency(s, out);
    add_pools(s, out);
    buf_printf(out,
               "# TYPE concorde_http_requests_in_flight gauge\n"
               "concorde_http_requests_in_flight %d\n"
               "# TYPE concorde_http_requests_parked gauge\n"
               "concorde_http_requests_parked %d\n"
               "# TYPE concorde_http_connections gauge\n"
               "concorde_http_connections %d\n"
               "# TYPE concorde_http_connections_accepted_total counter\n"
               "concorde_http_connections_accepted_total %lu\n",
               atomic_load(&s->metrics.active), atomic_load(&s->metrics.parked),
               atomic_load(&s->connections_n), atomic_load(&s->metrics.accepted));
}

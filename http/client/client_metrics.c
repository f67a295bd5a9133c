/* Counters of outgoing requests. Never by host, since others choose hosts. */
#include "http/client/client_internal.h"

static const char *const outcome_names[OUTCOME_COUNT] = {
    "1xx", "2xx", "3xx", "4xx", "5xx", "unreachable", "timeout", "refused", "too_large", "failed"};
static const int duration_ms[DURATION_BUCKETS] = {10, 30, 100, 300, 1000, 3000, 10000, 30000};

void client_count(struct http_client *c, enum client_outcome outcome, int64_t us)
{
    int bucket = 0;
    while (bucket < DURATION_BUCKETS && us > duration_ms[bucket] * 1000LL)
        bucket++;
    atomic_fetch_add_explicit(&c->outcomes[outcome], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->durations[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->duration_us, (unsigned long)us, memory_order_relaxed);
}

void http_client_add_metrics(struct http_client *c, struct buf *out)
{
    BUF_LIT(
        out,
        "# HELP concorde_http_client_requests_total Requests to other servers, by how they ended.\n"
        "# TYPE concorde_http_client_requests_total counter\n");
    for (int i = OUTCOME_2XX; i < OUTCOME_COUNT; i++)
        buf_printf(out, "concorde_http_client_requests_total{outcome=\"%s\"} %lu\n",
                   outcome_names[i], atomic_load(&c->outcomes[i]));
    BUF_LIT(out, "# HELP concorde_http_client_request_duration_seconds Time that requests to other "
                 "servers took.\n"
                 "# TYPE concorde_http_client_request_duration_seconds histogram\n");
    unsigned long n = 0;
    for (int i = 0; i < DURATION_BUCKETS; i++) {
        n += atomic_load(&c->durations[i]);
        buf_printf(out, "concorde_http_client_request_duration_seconds_bucket{le=\"%g\"} %lu\n",
                   duration_ms[i] / 1e3, n);
    }
    n += atomic_load(&c->durations[DURATION_BUCKETS]);
    buf_printf(out,
               "concorde_http_client_request_duration_seconds_bucket{le=\"+Inf\"} %lu\n"
               "concorde_http_client_request_duration_seconds_sum %g\n"
               "concorde_http_client_request_duration_seconds_count %lu\n",
               n, (double)atomic_load(&c->duration_us) / 1e6, n);
}

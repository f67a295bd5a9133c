/* The HTTP server: listeners, event loops, worker pools. The only user of libmicrohttpd, and small
 * enough that another event loop could take its place (docs/architecture.md, "Threads").
 *
 * Loop threads only read and write sockets. A complete request is queued to its route's pool; a
 * worker runs the handler straight down, blocking where it must, then the loop sends the reply. A
 * handler with nothing to reply yet returns reply_wait(): the connection is parked, no thread is
 * held, the arena is emptied, and a wake or the deadline runs the handler again from its start. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "http/reply.h"
#include "http/request.h"

#include <sys/socket.h>

struct http_listener {
    const char *address; /* "127.0.0.1:8008", "[::1]:8008", ":8008" (all), "unix:/path" */
    const char *tls_certificate, *tls_key; /* PEM files, both or neither */
};

struct http_hooks {
    /* Each worker thread has a context (a struct job), made once and passed to every request that
     * it runs. */
    void *(*worker_start)(void *ctx);
    void (*worker_stop)(void *ctx, void *job);
    /* Before authentication; an error is the reply. */
    const struct err *(*request_begin)(void *ctx, struct request *rq);
    void (*request_end)(void *ctx, struct request *rq); /* after every run, also before a wait */
    /* Authenticates the caller; fills rq->caller. Indexed by enum route_who; NULL: nothing to
     * check. Runs before each run of the handler, and for BODY_FILE also before the body is
     * accepted: then without the body, between a request_begin and a request_end of its own. */
    const struct err *(*authenticate[WHO_COUNT])(void *ctx, struct request *rq);
    /* The source of a request (http/fair_queue.h). Runs in the loop's thread: it must not block,
     * and may read only headers with request_...(). Indexed by enum route_who; NULL: the address.
     */
    source_hook *source[WHO_COUNT];
    void *ctx;
};

struct http_pool {
    int workers;     /* threads; 1 at least */
    int running_max; /* running requests of one source; 0: any number */
    int held_max;    /* queued, running and parked requests of one source; 0: any number */
    int usual_max;   /* workers for requests of the usual order (reply_elsewhere_as); 0: all */
};

struct http_config {
    const struct http_listener *listeners;
    size_t listeners_n;
    int loops; /* event loop threads; 0: as many as processors, 4 at most */
    struct http_pool pools[POOL_COUNT];
    int connections_max;            /* over all loops */
    int connections_of_address_max; /* trusted proxies are not bounded; 0: no bound of its own */
    size_t body_max;                /* bytes, for routes with BODY_AS_SET */
    size_t bodies_max;              /* bytes of all bodies in memory; 0: 64 MiB */
    size_t upload_max;              /* bytes, for routes with body = BODY_FILE */
    const char *upload_dir;         /* for uploads, and for large replies to slow clients */
    int idle_timeout_s;             /* slow or half-closed connections end after it */
    /* Addresses or CIDRs whose X-Forwarded-For and X-Forwarded-Proto are trusted. Peers on unix
     * sockets are always trusted: the socket's mode (0660) restricts who may connect. */
    const char *const *trusted_proxies;
    size_t trusted_proxies_n;
    struct rate_limit rates[RATE_COUNT]; /* per_second 0: unlimited */
    struct rate_table *rate_table;       /* borrowed; NULL if no rate is limited */
    struct http_hooks hooks;
};

struct http_server;

/* Binds the listeners and starts the threads. Errors say which listener failed and why. The route
 * tables must outlive the server; duplicates are refused. */
const struct err *http_server_start(const struct http_config *config,
                                    const struct route *const *tables, size_t tables_n,
                                    struct http_server **ret);

/* From now on each reply ends its connection, so that few are left when the server stops. */
void http_server_leave(struct http_server *s);

/* Stops accepting, wakes every parked request (request_is_stopping() is then true; one that wants
 * to wait again runs once more with timed_out, and is then refused with 503), and lets running
 * requests end for up to drain_ms. Then no further handler is started; it waits for those that
 * still run. */
void http_server_stop(struct http_server *s, int drain_ms);

/* The actual port of a TCP listener (for port 0). */
int http_server_port(const struct http_server *s, size_t listener);

/* How many requests are parked. Takes no lock. */
int http_server_parked(const void *server);

void http_server_add_metrics(struct http_server *s, struct buf *out); /* Prometheus text */

#endif

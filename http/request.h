/* A request as its handler and the hooks see it. Path and query parameters are percent-decoded,
 * checked to be UTF-8 without NUL, and live in the request's arena. */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "base/json.h"
#include "base/waiter.h"
#include "http/route.h"

struct exchange; /* private to http/ */

struct request {
    const struct route *route;
    enum http_method method;
    const char *path;    /* undecoded, without the query */
    const char *id;      /* the request id of the log */
    struct arena *arena; /* emptied after each run of the handler */
    struct str raw;      /* body bytes; live as long as the request, also across waits */
    json_t *body;        /* BODY_JSON, BODY_MAYBE: an object in the arena */
    int upload_fd;       /* BODY_FILE: at offset 0, closed by http/ */
    int64_t upload_bytes;
    const char *remote_address; /* of the client, proxies taken into account */
    void *caller;               /* filled by the authenticate hook (lives in the arena) */
    const char *caller_id;      /* key of the rate limit: the hook sets it; NULL: the address */
    void *job;                  /* the worker's context */
    struct waiter waiter;
    int64_t started_mono_us;
    int runs;                  /* 1 at the first run, more after waits */
    enum route_pool pool;      /* the worker that runs the handler is of this pool */
    enum queue_order order;    /* in which it was queued there */
    bool timed_out;            /* this run was caused by the deadline of reply_wait */
    struct exchange *exchange; /* private to http/ */
};

/* A path parameter by its name in the route: never NULL for a name that the path has. */
const char *request_param(const struct request *rq, const char *name);
/* A query parameter: the first of that name, NULL when absent. */
const char *request_query(const struct request *rq, const char *name);
/* All values of a repeated query parameter (server_name, via). */
size_t request_query_all(const struct request *rq, const char *name, const char *const **ret);
/* An integer query parameter within bounds; M_INVALID_PARAM for anything else. */
const struct err *request_query_int(const struct request *rq, const char *name, int64_t def,
                                    int64_t min, int64_t max, int64_t *ret);
/* "true" or "false"; M_INVALID_PARAM for anything else. */
const struct err *request_query_bool(const struct request *rq, const char *name, bool def,
                                     bool *ret);
const char *request_header(const struct request *rq, const char *name); /* NULL when absent */
/* All values of a repeated header, in the request's arena. */
size_t request_header_all(const struct request *rq, const char *name, const char *const **ret);
/* Path and query exactly as they were sent, in the request's arena: other servers sign them. */
const char *request_target(const struct request *rq);
/* The token of `Authorization: Bearer` or `?access_token=`; NULL when there is none. */
const char *request_access_token(const struct request *rq);
const char *request_bearer_token(const struct request *rq); /* of the header only */
/* SHA-256 of the header's token, made once for a request; NULL when there is none. */
const unsigned char *request_bearer_hash(const struct request *rq);
/* Charges the caller n times at a rate other than the route's own, for routes whose cost is known
 * only from the body. M_LIMIT_EXCEEDED when the limit is used up; a charge above what is left of it
 * is accepted and makes the caller wait longer for the next one. */
const struct err *request_charge(const struct request *rq, enum route_rate kind, int n);
/* The same for work that can no longer be refused. */
void request_owe(const struct request *rq, enum route_rate kind, int n);
bool request_is_stopping(const struct request *rq); /* the server is draining */
bool request_is_secure(const struct request *rq); /* TLS, or X-Forwarded-Proto of a trusted proxy */

/* What a hook knows of a request's source before the caller is authenticated. */
enum source_knowledge {
    SOURCE_IS_ADDRESS, /* only the address */
    SOURCE_IS_KNOWN,   /* its name, for certain */
    SOURCE_IS_CLAIMED, /* the name that the request claims */
};
enum { SOURCE_NAME_MAX = 256 };
typedef enum source_knowledge source_hook(void *ctx, const struct request *rq,
                                          char ret_name[SOURCE_NAME_MAX]);

#endif

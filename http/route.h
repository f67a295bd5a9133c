/* Routes, requests and replies: what a handler sees of HTTP.
 *
 * Each file of endpoints has one static table of routes that ends with a row without a path. Paths
 * hold {param}s that match one segment ({param...} as the last one matches the rest). A path with
 * /_matrix/client/v3/ is served under /_matrix/client/r0/ too. Path and query parameters are
 * percent-decoded, checked to be UTF-8 without NUL, and live in the request's arena. */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include "base/json.h"
#include "base/waiter.h"

enum http_method { GET, POST, PUT, DELETE, HEAD, OPTIONS, METHOD_COUNT };
extern const char *const http_method_names[METHOD_COUNT]; /* "GET" */

enum route_who {
    WHO_ANYONE,
    WHO_MAYBE_USER, /* a token is looked at when there is one */
    WHO_USER,       /* M_MISSING_TOKEN / M_UNKNOWN_TOKEN; guests are refused */
    WHO_GUEST_TOO,  /* users and guests */
    WHO_ADMIN,      /* a server administrator */
    WHO_SERVER,     /* X-Matrix signature of a remote server */
    WHO_COUNT
};

enum route_pool {
    POOL_CLIENT,     /* short work for local users */
    POOL_FEDERATION, /* requests of remote servers */
    POOL_SLOW,       /* thumbnails, uploads: what computes, or has large files */
    POOL_PASSWORD,   /* password hashes */
    POOL_SEARCH,     /* questions whose cost grows with the server */
    POOL_INITIAL,    /* syncs that tell all there is, or very much */
    POOL_REMOTE,     /* what turns out to need another server's answer */
    POOL_WATCH,      /* operators' tools, which must be answered whatever else there is to do */
    POOL_COUNT
};

extern const char *const http_pool_names[POOL_COUNT]; /* "client" */

enum route_rate {
    RATE_NONE,
    RATE_MESSAGE,
    RATE_LOGIN,
    RATE_REGISTRATION,
    RATE_JOIN,
    RATE_INVITE,
    RATE_ROOM,
    RATE_KEY,
    RATE_MEDIA,
    RATE_ACCOUNT, /* small things that are stored for the caller or told to others */
    RATE_SEARCH,  /* questions whose cost grows with the server */
    RATE_REMOTE,  /* what makes us ask another server */
    RATE_SERVER,  /* questions of another server */
    RATE_COUNT
};

struct rate_limit {
    double per_second;
    int burst;
};

enum route_body {
    BODY_NONE,  /* whatever was sent is ignored */
    BODY_JSON,  /* a JSON object, parsed before the handler runs: rq->body */
    BODY_MAYBE, /* the same, but an empty body counts as {} */
    BODY_RAW,   /* rq->raw only: the handler scans it itself (hot paths) */
    BODY_FILE   /* an upload, spooled to rq->upload_fd */
};

/* Limits of bodies. What becomes a tree is small unless its row says otherwise. */
enum {
    BODY_TINY = 16 * 1024,  /* what anybody may send */
    BODY_SMALL = 64 * 1024, /* BODY_JSON and BODY_MAYBE without body_max */
    BODY_AS_SET = -1        /* as large as the server's setting allows */
};

struct request;
struct reply;
typedef const struct err *route_handler(struct request *rq, struct reply *rp);

struct route {
    enum http_method method;
    const char *path;
    route_handler *handler;
    enum route_who who;
    enum route_body body;
    enum route_rate rate;
    enum route_pool pool;
    const char *spec;         /* section of the specification, for `concorde routes` */
    const char *also;         /* a second path (unstable spelling), NULL if none; same params */
    int body_max;             /* bytes, or BODY_AS_SET; 0: by the kind of body */
    enum route_pool moves_to; /* where it may go on (reply_elsewhere); POOL_CLIENT: nowhere */
    route_handler *inner;     /* for a handler that runs another one; NULL: none */
};

size_t route_body_max(const struct route *r, size_t setting); /* not for BODY_FILE */

/* May a request of that route go on in that pool? Those of WHO_SERVER may always have to ask for
 * the caller's key, in POOL_REMOTE. */
bool route_may_move(const struct route *r, enum route_pool pool);

struct exchange;      /* private to http/ */
struct reply_outcome; /* private to http/ */

/* Whose turn is first among those that wait for a pool (http/fair_queue.h). */
enum queue_order { ORDER_USUAL, ORDER_AHEAD, ORDER_FIRST, ORDER_COUNT };

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
    enum route_pool pool;      /* whose worker runs the handler */
    enum queue_order order;    /* in which it came there */
    bool timed_out;            /* this run was caused by the deadline of reply_wait */
    struct exchange *exchange; /* private to http/ */
};

/* A path parameter by its name in the route: never NULL for a name that the path has. */
const char *request_param(const struct request *rq, const char *name);
/* A query parameter, NULL when absent. The first one when it stands several times. */
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
/* All values of a header that stands several times, in the request's arena. */
size_t request_header_all(const struct request *rq, const char *name, const char *const **ret);
/* Path and query exactly as they were sent, in the request's arena: what other servers sign. */
const char *request_target(const struct request *rq);
/* The token of `Authorization: Bearer` or `?access_token=`; NULL when there is none. */
const char *request_access_token(const struct request *rq);
const char *request_bearer_token(const struct request *rq); /* of the header only */
/* SHA-256 of the header's token, made once for a request; NULL when there is none. */
const unsigned char *request_bearer_hash(const struct request *rq);
/* Charges the caller for n things of another kind than the route's own, for routes whose cost shows
 * in the body only. M_LIMIT_EXCEEDED when there were too many lately; a request that is let through
 * may be for more than what is left, and is paid off later. */
const struct err *request_charge(const struct request *rq, enum route_rate kind, int n);
/* The same for what cannot be refused any more: it is only paid off later. */
void request_owe(const struct request *rq, enum route_rate kind, int n);
bool request_is_stopping(const struct request *rq); /* the server is draining */
bool request_is_secure(const struct request *rq); /* TLS, or X-Forwarded-Proto of a trusted proxy */

/* What a hook knows of a request's source before the caller is authenticated. */
enum source_knowledge {
    SOURCE_IS_ADDRESS, /* nothing */
    SOURCE_IS_KNOWN,   /* the name is certain */
    SOURCE_IS_CLAIMED, /* the name is what the request says */
};
enum { SOURCE_NAME_MAX = 256 };
typedef enum source_knowledge source_hook(void *ctx, const struct request *rq,
                                          char ret_name[SOURCE_NAME_MAX]);

/* Replies. A handler returns NULL after one of these, or an error, which http/ writes as the spec's
 * JSON. CORS headers and Content-Type are added by http/. */
struct reply {
    int status;      /* 200 unless set */
    struct buf body; /* grows; http/ sends and frees it */
    struct request *rq;
    struct reply_outcome *outcome; /* private to http/ */
};

/* jansson's pack format: reply_json(rp, 200, "{s:s}", "event_id", id). */
const struct err *reply_json(struct reply *rp, int status, const char *format, ...);
/* A tree; steals the reference. */
const struct err *reply_tree(struct reply *rp, int status, json_t *owned);
/* `{}` with 200. */
const struct err *reply_empty(struct reply *rp);
/* The handler has written JSON bytes into rp->body itself (spliced replies). */
const struct err *reply_body(struct reply *rp, int status);
/* Other content types; replaces application/json. */
void reply_header(struct reply *rp, const char *name, const char *value);
/* Sends a file's bytes; takes the fd. Range requests are answered by http/. */
const struct err *reply_file(struct reply *rp, int fd, int64_t bytes, const char *content_type);
/* 302/307 with Location. */

/* For large replies: call it now and then while writing rp->body. Once the body has passed 256 KiB,
 * what there is goes out (chunked, with the status and headers set so far) and the call blocks
 * until the client has taken most of it, so that memory stays bounded; for a client that is slow,
 * the rest goes to a file instead, so that no worker is held. An error (client gone) must be passed
 * up. From the first such piece on request_header() gives NULL, and an error cuts the connection.
 */
const struct err *reply_flush(struct reply *rp);

/* Park the request until a wake, or until mono_ms() reaches the deadline: then the handler runs
 * again from its start. */
const struct err *reply_wait(struct reply *rp, int64_t deadline_mono_ms);

/* The handler runs again from its start, at once, by a worker of that pool (rq->pool): for what is
 * found out by looking at a request, that it must wait for another server, or computes much. The
 * route's row says so (moves_to). */
const struct err *reply_elsewhere(struct reply *rp, enum route_pool pool);
/* The same, and there it goes before what is of a lower order. */
const struct err *reply_elsewhere_as(struct reply *rp, enum route_pool pool,
                                     enum queue_order order);

#endif

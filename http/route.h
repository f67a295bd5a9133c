/* Routes: which handler answers which method and path, for which callers, at what cost. Handlers
 * use http/request.h and http/reply.h.
 *
 * Each file of endpoints has one static table of routes that ends with a row without a path. Paths
 * hold {param}s that match one segment ({param...} as the last one matches the rest). A path with
 * /_matrix/client/v3/ is served under /_matrix/client/r0/ too. */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

enum http_method { GET, POST, PUT, DELETE, HEAD, OPTIONS, METHOD_COUNT };
extern const char *const http_method_names[METHOD_COUNT]; /* "GET" */

enum route_who {
    WHO_ANYONE,
    WHO_MAYBE_USER, /* a token is optional */
    WHO_USER,       /* M_MISSING_TOKEN / M_UNKNOWN_TOKEN; guests are refused */
    WHO_GUEST_TOO,  /* users and guests */
    WHO_ADMIN,      /* a server administrator */
    WHO_SERVER,     /* X-Matrix signature of a remote server */
    WHO_COUNT
};

enum route_pool {
    POOL_CLIENT,     /* short work for local users */
    POOL_FEDERATION, /* requests of remote servers */
    POOL_SLOW,       /* thumbnails and uploads: much computing, or large files */
    POOL_PASSWORD,   /* password hashes */
    POOL_SEARCH,     /* queries whose cost grows with the server */
    POOL_INITIAL,    /* initial syncs, and others with very large replies */
    POOL_REMOTE,     /* requests that need another server's answer */
    POOL_WATCH,      /* operators' tools, which must be answered under any load */
    POOL_COUNT
};

extern const char *const http_pool_names[POOL_COUNT]; /* "client" */

/* How soon a pool takes a request, beside others of the pool (http/fair_queue.h). */
enum queue_order { ORDER_USUAL, ORDER_AHEAD, ORDER_FIRST, ORDER_COUNT };

/* Nodes exchange these numbers (http/rate.h), so new ones come last. */
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
    RATE_ACCOUNT, /* small things that are stored for the caller or sent to others */
    RATE_SEARCH,  /* queries whose cost grows with the server */
    RATE_REMOTE,  /* requests that make this server ask another one */
    RATE_SERVER,  /* requests of other servers */
    RATE_COUNT
};

struct rate_limit {
    double per_second;
    int burst;
};

enum route_body {
    BODY_NONE,  /* a body is ignored */
    BODY_JSON,  /* a JSON object, parsed before the handler runs: rq->body */
    BODY_MAYBE, /* the same, but an empty body counts as {} */
    BODY_RAW,   /* rq->raw only: the handler scans it itself (hot paths) */
    BODY_FILE   /* an upload, spooled to rq->upload_fd */
};

/* Limits of bodies. A body that is parsed into a tree is small unless its route says otherwise. */
enum {
    BODY_TINY = 16 * 1024,  /* for routes that anyone may call */
    BODY_SMALL = 64 * 1024, /* BODY_JSON and BODY_MAYBE without body_max */
    BODY_AS_SET = -1        /* as large as the server's setting allows */
};

struct err;
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
    enum route_pool moves_to; /* see reply_elsewhere(); POOL_CLIENT: it never moves */
    bool waits_for_log;       /* the handler itself waits for what other nodes have committed */
    route_handler *inner;     /* for a handler that runs another one; NULL: none */
};

size_t route_body_max(const struct route *r, size_t setting); /* not for BODY_FILE */

/* Whether a request of that route may move to that pool. Any request of WHO_SERVER may: the
 * caller's key may have to be fetched, in POOL_REMOTE. */
bool route_may_move(const struct route *r, enum route_pool pool);

#endif

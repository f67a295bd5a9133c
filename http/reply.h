/* The reply to a request. A handler returns NULL after one of these functions, or an error, which
 * http/ writes as the specification's JSON. http/ adds CORS headers and Content-Type. */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include "base/str.h"
#include "http/route.h"

#include <jansson.h>

struct reply_outcome; /* private to http/ */

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
/* For a handler that has written JSON bytes into rp->body itself (spliced replies). */
const struct err *reply_body(struct reply *rp, int status);
/* Other content types; replaces application/json. */
void reply_header(struct reply *rp, const char *name, const char *value);
/* Sends a file's bytes; takes the fd. Range requests are answered by http/. */
const struct err *reply_file(struct reply *rp, int fd, int64_t bytes, const char *content_type);

/* For large replies: call it now and then while writing rp->body. Once the body has passed 256 KiB,
 * it is sent so far (chunked, with the status and headers set so far) and the call blocks until the
 * client has taken most of it, so that memory stays bounded; for a slow client the rest goes to a
 * file instead, so that no worker is held. An error (the client has gone) must be passed up. After
 * the first piece request_header() returns NULL, and an error cuts the connection. */
const struct err *reply_flush(struct reply *rp);

/* Parks the request until a wake, or until mono_ms() reaches the deadline; then the handler runs
 * again from its start. */
const struct err *reply_wait(struct reply *rp, int64_t deadline_mono_ms);

/* Runs the handler again from its start, at once, in a worker of that pool (rq->pool): for a
 * handler that finds out that it must wait for another server or compute much. The route must allow
 * it (moves_to). */
const struct err *reply_elsewhere(struct reply *rp, enum route_pool pool);
/* The same; in that pool's queue it goes before requests of a lower order (http/fair_queue.h). */
const struct err *reply_elsewhere_as(struct reply *rp, enum route_pool pool,
                                     enum queue_order order);

#endif

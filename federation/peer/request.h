/* Asking other servers: signed requests of the server-server API (server-server-api,
 * "Authentication"). Finds the server (federation/peer/discovery.h), signs, sends, reads the reply
 * within bounds, and waits for it: the job's database connection is given back meanwhile.
 *
 * Servers that are not allowed (federation_domain_whitelist) and our own name are refused before
 * anything is sent; so is a question of a kind with which the server wants to be left alone for a
 * while: with the 429 that it gave to the one before (federation/peer/pauses.h). What is returned
 * lives in the job's arena. */
#ifndef FEDERATION_PEER_REQUEST_H
#define FEDERATION_PEER_REQUEST_H

#include "http/route.h"
#include "storage/db/job.h"

struct fed_request {
    const char *server; /* the one that is asked: its name */
    enum http_method method;
    const char *path;    /* percent-encoded, with its query: "/_matrix/federation/v1/…" */
    const json_t *body;  /* PUT, POST: this object, or ... */
    struct str raw_body; /* ... these bytes of a JSON object */
    int64_t timeout_ms;  /* of the whole exchange; 0: 60 s */
    size_t reply_max;    /* bytes; 0: 8 MiB */
    bool unsigned_;      /* without Authorization: keys, the legacy media */
    bool now;            /* even when the destination is backed off */
    bool own_pauses;     /* who asks keeps itself to what a 429 says (federation/peer/pauses.h) */
    int sink_fd;         /* > 0: the body of a 2xx reply goes to this file instead of memory */
    bool no_tree;        /* ret->json stays NULL: for large replies that the caller scans */
};

struct fed_reply {
    int status;
    struct str body; /* empty with a sink */
    json_t *json;    /* body as an object or array; NULL when it is none (then body is raw) */
    const char *content_type, *content_disposition, *location, *retry_after; /* NULL: absent */
    int64_t bytes; /* of the body, also with a sink */
};

/* Any status is a success: for those who look at it themselves. Errors are those of transport:
 * ERR_CONNECTION_FAILED, ERR_CONNECTION_TIMEOUT, ERR_TOO_LARGE, ERR_FORBIDDEN (not allowed). */
const struct err *federation_exchange(struct job *job, const struct fed_request *r,
                                      struct fed_reply *ret);

/* Wants a 2xx with a JSON object. Another status becomes an error with the other server's errcode
 * and sentence when it is one of 4xx with an errcode, else ERR_BAD_STATUS. The status is in
 * err->answered, of a 429 also retry_after_ms. */
const struct err *federation_request(struct job *job, const struct fed_request *r,
                                     struct fed_reply *ret);

/* May we have anything to do with this server (closed federation, our own name)? */
bool federation_may_contact(const struct config *c, const char *server);

/* "/_matrix/federation/v1/make_join/%s/%s?ver=1": each %s is percent-encoded; %d, %zu and %lld are
 * numbers. */
const char *federation_path(struct arena *a, const char *format, ...) PRINTF_LIKE(2, 3);

#endif

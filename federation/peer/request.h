/* Signed requests to other servers (server-server-api, "Authentication"). Finds the server
 * (federation/peer/discovery.h), signs, sends, reads the reply within bounds, and waits for it; the
 * job's database connection is returned meanwhile.
 *
 * Requests to servers that are not allowed (federation_domain_whitelist), and to our own name, are
 * refused before anything is sent. So are requests of a kind that the server has limited for now,
 * with its 429 (federation/peer/pauses.h). Results live in the job's arena. */
#ifndef FEDERATION_PEER_REQUEST_H
#define FEDERATION_PEER_REQUEST_H

#include "http/request.h"
#include "storage/db/job.h"

struct fed_request {
    const char *server; /* name of the other server */
    enum http_method method;
    const char *path;    /* percent-encoded, with its query: "/_matrix/federation/v1/…" */
    const json_t *body;  /* PUT, POST: this object, or */
    struct str raw_body; /* these bytes of a JSON object */
    int64_t timeout_ms;  /* of the whole exchange; 0: 60 s */
    size_t reply_max;    /* bytes; 0: 8 MiB */
    bool unsigned_;      /* without Authorization: keys, the legacy media */
    bool now;            /* even when the destination is backed off */
    bool own_pauses;     /* the caller obeys a 429 itself (federation/peer/pauses.h) */
    int sink_fd;         /* > 0: the body of a 2xx reply goes to this file instead of memory */
    bool no_tree;        /* ret->json stays NULL: for large replies that the caller scans */
};

struct fed_reply {
    int status;
    struct str body; /* empty with a sink */
    json_t *json;    /* body as an object or array; NULL if it is neither */
    const char *content_type, *content_disposition, *location, *retry_after; /* NULL: absent */
    int64_t bytes; /* of the body, also with a sink */
};

/* Any status is a success, for callers that check it themselves. Errors are of the transport:
 * ERR_CONNECTION_FAILED, ERR_CONNECTION_TIMEOUT, ERR_TOO_LARGE, ERR_FORBIDDEN (not allowed). */
const struct err *federation_exchange(struct job *job, const struct fed_request *r,
                                      struct fed_reply *ret);

/* Expects a 2xx with a JSON object. Another status becomes an error with the other server's errcode
 * and message for a 4xx with an errcode, else ERR_BAD_STATUS. err->answered has the status and, for
 * a 429, retry_after_ms is set. */
const struct err *federation_request(struct job *job, const struct fed_request *r,
                                     struct fed_reply *ret);

/* Whether the server may be contacted (closed federation, our own name). */
bool federation_may_contact(const struct config *c, const char *server);

#endif

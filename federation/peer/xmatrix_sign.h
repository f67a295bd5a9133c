/* Signing requests to other servers (server-server-api, "Request Authentication"). */
#ifndef FEDERATION_PEER_XMATRIX_SIGN_H
#define FEDERATION_PEER_XMATRIX_SIGN_H

#include "http/route.h"
#include "storage/db/job.h"

/* The signed parts of a request: its line and content. */
struct xmatrix_request {
    const char *method, *target; /* "PUT", "/_matrix/federation/v1/send/1?x=y" */
    const char *origin, *destination;
    struct str content; /* canonical JSON; n == 0: without a body */
};
void xmatrix_signed_bytes(struct buf *ret, const struct xmatrix_request *r);
/* The value of our own Authorization header. content: the canonical bytes of the body; n == 0 if
 * there is none. */
const char *xmatrix_header(struct arena *a, const char *origin, const struct signing_key *key,
                           const char *server, enum http_method method, const char *target,
                           struct str content);

#endif

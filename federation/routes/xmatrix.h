/* `Authorization: X-Matrix` (server-server-api, "Request Authentication"), parsed from other
 * servers' requests and made for our own. The hook that uses it is federation_authenticate()
 * (federation/federation.h). */
#ifndef FEDERATION_ROUTES_XMATRIX_H
#define FEDERATION_ROUTES_XMATRIX_H

#include "http/route.h"
#include "storage/db/job.h"

struct xmatrix {
    const char *origin, *key_id, *signature;
    const char *destination; /* NULL: older servers omit it */
};

/* Whether this header has that scheme, whatever follows. */
bool xmatrix_is_scheme(struct str header);

/* Parses one header into the arena: quoted values and tokens, in any order, with white space around
 * the commas; unknown parameters are ignored, repeated ones refused. M_UNAUTHORIZED. */
const struct err *xmatrix_parse(struct arena *a, struct str header, struct xmatrix *ret);

/* The signed parts of a request: its line and content. */
struct xmatrix_request {
    const char *method, *target; /* "PUT", "/_matrix/federation/v1/send/1?x=y" */
    const char *origin, *destination;
    struct str content; /* canonical JSON; n == 0: without a body */
};
void xmatrix_signed_bytes(struct buf *ret, const struct xmatrix_request *r);

/* The value of our own Authorization header. content: the canonical bytes of the body; n == 0 if
 * there is none. */
const char *xmatrix_header(struct arena *a, const struct node *s, const char *server,
                           enum http_method method, const char *target, struct str content);

#endif

/* `Authorization: X-Matrix` (server-server-api, "Request Authentication"), parsed from other
 * servers' requests and made for our own. The hook that uses it is federation_authenticate()
 * (federation/federation.h). */
#ifndef FEDERATION_ROUTES_XMATRIX_H
#define FEDERATION_ROUTES_XMATRIX_H

#include "http/request.h"
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

#endif

/* /.well-known/matrix/server: the server that answers in another's place (server-server-api,
 * "Resolving server names", step 3). Pure reading, and the request itself. */
#ifndef FEDERATION_PEER_WELL_KNOWN_H
#define FEDERATION_PEER_WELL_KNOWN_H

#include "http/client/client.h"

struct well_known {
    const char *delegated; /* a server name; NULL: there is none */
    bool failed_for_now;   /* no server answered, or only to say that something is broken */
    int64_t keep_ms;       /* for how long this may be used; with failed_for_now 0 */
};

/* Asks the host; whatever happens is an outcome. */
void well_known_ask(struct http_client *http, struct arena *a, const char *host,
                    struct well_known *ret);

/* The delegated server name of a reply's body; NULL when it is not a valid one. */
const char *well_known_read(struct arena *a, struct str body);

/* For how long a reply may be used by its headers (each may be NULL), within bounds. */
int64_t well_known_keep_ms(const char *cache_control, const char *age, const char *expires,
                           int64_t now);

#endif

/* /.well-known/matrix/server: delegation to another server name (server-server-api, "Resolving
 * server names", step 3). Pure parsing, and the request itself. */
#ifndef FEDERATION_PEER_WELL_KNOWN_H
#define FEDERATION_PEER_WELL_KNOWN_H

#include "http/client/client.h"

struct well_known {
    const char *delegated; /* a server name; NULL: no delegation */
    bool failed_for_now;   /* no answer, or a server error */
    int64_t keep_ms;       /* how long this may be used; 0 with failed_for_now */
};

/* Asks the host; every result is an outcome, never an error. */
void well_known_ask(struct http_client *http, struct arena *a, const char *host,
                    struct well_known *ret);

/* The delegated server name in a reply's body; NULL if it is invalid. */
const char *well_known_read(struct arena *a, struct str body);

/* How long a reply may be used by its headers (each may be NULL), within bounds. */
int64_t well_known_keep_ms(const char *cache_control, const char *age, const char *expires,
                           int64_t now);

#endif

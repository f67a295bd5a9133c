/* Where another server is: from its name to what to connect to, and what its certificate must be
 * for (server-server-api, "Resolving server names").
 *
 * What was found is kept, in bounds; of several threads that look for one server, one asks. A
 * server whose lookup fails is looked for at its own name and port 8448, as the specification says.
 */
#ifndef FEDERATION_PEER_DISCOVERY_H
#define FEDERATION_PEER_DISCOVERY_H

#include "http/client/client.h"

struct discovery;
struct discovery *discovery_create(struct http_client *http);
void discovery_destroy(struct discovery *d); /* NULL-safe */
void discovery_add_metrics(struct discovery *d, struct buf *out);

struct server_endpoint {
    const char *authority;         /* of the URL: the Host header, and who must be certified */
    const struct http_peer *peers; /* tried in turn */
    size_t peers_n;
};

/* Blocks while the server is looked for: until the deadline when others are looking, and at most
 * half a minute when it is up to us. Errors: ERR_INVALID_PARAM for what is no server name,
 * ERR_CONNECTION_FAILED when the server's DNS says that it does not federate,
 * ERR_CONNECTION_TIMEOUT. */
const struct err *discovery_find(struct discovery *d, struct arena *a, const char *server,
                                 int64_t deadline_mono_ms, struct server_endpoint *ret);

/* No server was there: what is known of the server is found out anew before long. */
void discovery_failed(struct discovery *d, const char *server);

/* The parts of a server name. */
struct host_name {
    const char *host; /* without brackets */
    int port;         /* 0: not given */
    bool is_literal;  /* an IP address */
};
bool host_name_read(struct arena *a, const char *server_name, struct host_name *ret);

#endif

/* Server discovery: from a server name to the addresses to connect to, and the name that the
 * certificate must have (server-server-api, "Resolving server names").
 *
 * Results are cached within bounds; if several threads look for one server, only one does the
 * lookup. A server whose lookup fails is tried at its own name and port 8448, as the specification
 * says. */
#ifndef FEDERATION_PEER_DISCOVERY_H
#define FEDERATION_PEER_DISCOVERY_H

#include "http/client/client.h"

struct discovery;
struct discovery *discovery_create(struct http_client *http, struct cache_budget *b);
void discovery_destroy(struct discovery *d); /* NULL-safe */
void discovery_add_metrics(struct discovery *d, struct buf *out);

struct server_endpoint {
    const char *authority;         /* of the URL: the Host header, and the certificate's name */
    const struct http_peer *peers; /* tried in turn */
    size_t peers_n;
};

/* Blocks during the lookup: until the deadline if another thread does it, else at most half a
 * minute. ERR_INVALID_PARAM for an invalid server name, ERR_CONNECTION_FAILED if the server's DNS
 * says that it does not federate, ERR_CONNECTION_TIMEOUT. */
const struct err *discovery_find(struct discovery *d, struct arena *a, const char *server,
                                 int64_t deadline_mono_ms, struct server_endpoint *ret);

/* The server was unreachable: its entry is looked up again soon. */
void discovery_failed(struct discovery *d, const char *server);

/* The parts of a server name. */
struct host_name {
    const char *host; /* without brackets */
    int port;         /* 0: not given */
    bool is_literal;  /* an IP address */
};

#endif

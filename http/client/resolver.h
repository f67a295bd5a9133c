/* DNS: the addresses and SRV records of names, by c-ares.
 *
 * Names are absolute (no search domains); /etc/hosts comes first. A lookup blocks its caller up to
 * a deadline. Addresses are kept as long as the DNS says, within bounds. Thread-safe. */
#ifndef HTTP_CLIENT_RESOLVER_H
#define HTTP_CLIENT_RESOLVER_H

#include "base/cache.h"
#include "http/address.h"

struct resolver;

/* servers: "192.0.2.1", "192.0.2.1:5353", "[2001:db8::1]:53"; none: those of the system. */
const struct err *resolver_create(const char *const *servers, size_t n, struct cache_budget *b,
                                  struct resolver **ret);
void resolver_destroy(struct resolver *r); /* NULL-safe */

/* In the order in which to try them; none for an unknown name. */
struct resolved {
    const struct address *addresses;
    size_t n;
    bool is_alias; /* the name is a CNAME */
};

/* Errors: ERR_CONNECTION_FAILED when no DNS server answers. */
const struct err *resolver_addresses(struct resolver *r, struct arena *a, const char *name,
                                     int64_t deadline_mono_ms, struct resolved *ret);

struct srv_record {
    const char *host; /* "" when the service is decidedly not available (RFC 2782) */
    int port, priority, weight;
};

/* In the DNS's order; *ret_n is 0 when there are none. The same errors. */
const struct err *resolver_srv(struct resolver *r, struct arena *a, const char *name,
                               int64_t deadline_mono_ms, struct srv_record **ret, size_t *ret_n);

/* Parses a DNS answer; returns a status of c-ares, 0 when it is well-formed. */
int srv_read(struct arena *a, const unsigned char *answer, int n, struct srv_record **ret,
             size_t *ret_n);

#endif

/* Who the client is, when it may stand behind reverse proxies.
 *
 * An address is kept as IPv6; IPv4 is the mapped range ::ffff:0:0/96. X-Forwarded-For is believed
 * only as far as the chain of trusted proxies reaches: from its right end, the first address that
 * is not a trusted proxy is the client. A peer on a unix socket counts as a trusted proxy. */
#ifndef HTTP_PROXY_H
#define HTTP_PROXY_H

#include "base/str.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct address {
    unsigned char bytes[16];
};

struct proxy_list;

/* Addresses or CIDRs. The error names what is not one. */
const struct err *proxy_list_create(const char *const *cidrs, size_t n, struct proxy_list **ret);
void proxy_list_destroy(struct proxy_list *l); /* NULL-safe */
bool proxy_is_trusted(const struct proxy_list *l, const struct address *a);

/* The client of a trusted peer: the header's values joined by commas, nearest proxy last. */
struct address proxy_client(const struct proxy_list *l, struct address peer, struct str forwarded);

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80". */
bool address_parse(struct str text, struct address *ret);
bool address_of_socket(const struct sockaddr *sa, struct address *ret); /* false: a unix socket */
void address_write(const struct address *a, char ret[INET6_ADDRSTRLEN]);

/* The bytes that stand for one subscriber: all of an IPv4 address, the /64 of an IPv6 one. */
struct str address_subscriber(const struct address *a);

#endif

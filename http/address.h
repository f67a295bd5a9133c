/* IP addresses and ranges of them.
 *
 * An address is kept as IPv6; IPv4 is the mapped range ::ffff:0:0/96, so that both spellings of an
 * IPv4 address are equal. */
#ifndef HTTP_ADDRESS_H
#define HTTP_ADDRESS_H

#include "base/str.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct address {
    unsigned char bytes[16];
};

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80". */
bool address_parse(struct str text, struct address *ret);
bool address_of_socket(const struct sockaddr *sa, struct address *ret); /* false: a unix socket */
void address_write(const struct address *a, char ret[INET6_ADDRSTRLEN]);
bool address_is_ipv4(const struct address *a);

/* The bytes that identify a subscriber: all of an IPv4 address, the /64 of an IPv6 one. */
struct str address_subscriber(const struct address *a);

struct address_ranges;

/* Addresses or CIDRs. The error names the malformed one. */
const struct err *address_ranges_create(const char *const *cidrs, size_t n,
                                        struct address_ranges **ret);
void address_ranges_destroy(struct address_ranges *l); /* NULL-safe */
bool address_is_within(const struct address_ranges *l, const struct address *a);

#endif

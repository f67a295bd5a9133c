/* The client's address behind reverse proxies.
 *
 * X-Forwarded-For is trusted only as far as the chain of trusted proxies reaches: from its right
 * end, the first address that is not a trusted proxy is the client. A peer on a unix socket counts
 * as a trusted proxy. */
#ifndef HTTP_PROXY_H
#define HTTP_PROXY_H

#include "http/address.h"

/* The client of a trusted peer: the header's values joined by commas, nearest proxy last. */
struct address proxy_client(const struct address_ranges *trusted, struct address peer,
                            struct str forwarded);

#endif

#include "http/proxy.h"

struct address proxy_client(const struct address_ranges *trusted, struct address peer,
                            struct str forwarded)
{
    struct address client = peer;
    while (forwarded.n) {
        size_t start = forwarded.n;
        while (start && forwarded.p[start - 1] != ',')
            start--;
        struct address hop;
        if (!address_parse((struct str){forwarded.p + start, forwarded.n - start}, &hop))
            break; /* malformed: only the nearest trusted proxy's peer is known */
        client = hop;
        if (!address_is_within(trusted, &hop))
            break;
        forwarded.n = start ? start - 1 : 0;
    }
    return client;
}

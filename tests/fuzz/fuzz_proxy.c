/* Input: CIDRs of trusted proxies, a line each, an empty line, then X-Forwarded-For. */
#include "fuzz.h"

#include "http/proxy.h"

enum { CIDRS_MAX = 8 };

static void check_address(const struct address *a)
{
    char text[INET6_ADDRSTRLEN];
    struct address again;
    address_write(a, text);
    HOLDS(address_parse(str_of(text), &again));
    HOLDS(memcmp(a, &again, sizeof again) == 0);
}

static void check_chain(const struct address_ranges *l, struct str forwarded)
{
    struct address peer, client, again;
    HOLDS(address_parse(STR("192.0.2.1"), &peer));
    client = proxy_client(l, peer, forwarded);
    check_address(&client);
    /* entries before the last hop that is not trusted change nothing */
    if (!address_is_within(l, &client) && memcmp(&client, &peer, sizeof peer) != 0) {
        buf_auto struct buf longer = {0};
        buf_add_text(&longer, "203.0.113.1,");
        buf_add_str(&longer, forwarded);
        again = proxy_client(l, peer, buf_str(&longer));
        HOLDS(memcmp(&client, &again, sizeof again) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    const char *cidrs[CIDRS_MAX];
    size_t n = 0;
    struct str left = fuzz_str(data, size);
    while (left.n && n < CIDRS_MAX) {
        const char *end = memchr(left.p, '\n', left.n);
        struct str line = {left.p, end ? (size_t)(end - left.p) : left.n};
        left.p += line.n + (end != NULL);
        left.n -= line.n + (end != NULL);
        if (!line.n)
            break;
        cidrs[n++] = str_dup(a, line);
    }
    struct address_ranges *l = NULL;
    if (address_ranges_create(cidrs, n, &l))
        return 0;
    check_chain(l, left);
    address_ranges_destroy(l);
    return 0;
}

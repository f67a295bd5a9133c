/* Input: two lines, a URL and the Location that its server answers with. */
#include "fuzz.h"

#include "http/client/client_target.h"

static void check_peer(const struct http_peer *p)
{
    HOLDS(p->port >= 1 && p->port <= 65535);
    HOLDS(*p->host && !strpbrk(p->host, "/@?#[] \r\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    const char *end = size ? memchr(data, '\n', size) : NULL;
    size_t n = end ? (size_t)(end - (const char *)data) : size;
    const char *url = arena_memdup(a, data, n), *next;
    const char *location = end ? arena_memdup(a, end + 1, size - n - 1) : "";
    struct http_peer peer;
    if (!target_read(a, url, false, &peer)) {
        check_peer(&peer);
        HOLDS(strncmp(url, "https://", 8) == 0);
    }
    if (!target_read(a, url, true, &peer))
        check_peer(&peer);
    if (target_follow(a, url, location, &next))
        return 0;
    HOLDS(strncmp(next, "https://", 8) == 0 && !strpbrk(next, "\r\n"));
    HOLDS(!target_read(a, next, false, &peer));
    check_peer(&peer);
    return 0;
}

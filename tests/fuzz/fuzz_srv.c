/* Input: a DNS answer with SRV records. */
#include "fuzz.h"

#include "http/client/resolver.h"
#include "http/client/srv.h"

static uint32_t last_of(uint32_t n)
{
    return n - 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { MESSAGE_MAX = 65535 };
    arena_auto struct arena *a = arena_create();
    struct srv_record *records;
    size_t n;
    if (size > MESSAGE_MAX || srv_read(a, data, (int)size, &records, &n))
        return 0;
    int ports = 0, after = 0;
    for (size_t i = 0; i < n; i++)
        ports += records[i].port;
    srv_order(records, n, last_of);
    for (size_t i = 0; i < n; i++) {
        after += records[i].port;
        HOLDS(records[i].host && records[i].port >= 0 && records[i].port <= 65535);
        HOLDS(i == 0 || records[i - 1].priority <= records[i].priority);
    }
    HOLDS(ports == after);
    return 0;
}

/* The state of a room as another server tells it. */
#include "federation/rooms/told.h"
#include "fuzz.h"
#include "matrix/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    struct job job = {.arena = a};
    struct str reply = fuzz_str(data, size);
    struct told told;
    if (json_scan_check(reply) || told_read(&job, reply, "state", &told))
        return 0;
    HOLDS(told.state_n <= told.n);
    for (size_t i = 0; i < told.n; i++) {
        struct str raw = told.pdus[i].raw;
        HOLDS(raw.p >= reply.p && raw.p + raw.n <= reply.p + reply.n);
        HOLDS(!json_scan_check(raw));
    }
    for (size_t i = 0; i < told.servers_n; i++)
        HOLDS(*told.servers[i]);
    return 0;
}

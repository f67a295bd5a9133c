/* The state of a room in another server's answer. */
#include "federation/rooms/state_reply.h"
#include "fuzz.h"
#include "matrix/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    struct job job = {.arena = a};
    struct str reply = fuzz_str(data, size);
    struct state_reply reply_state;
    if (json_scan_check(reply) || state_reply_read(&job, reply, "state", &reply_state))
        return 0;
    HOLDS(reply_state.state_n <= reply_state.n);
    for (size_t i = 0; i < reply_state.n; i++) {
        struct str raw = reply_state.pdus[i].raw;
        HOLDS(raw.p >= reply.p && raw.p + raw.n <= reply.p + reply.n);
        HOLDS(!json_scan_check(raw));
    }
    for (size_t i = 0; i < reply_state.servers_n; i++)
        HOLDS(*reply_state.servers[i]);
    return 0;
}

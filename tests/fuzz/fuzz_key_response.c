/* Keys published by other servers: accepted keys are well-formed, bounded, of that server and
 * signed by it. */
#include "federation/keys/key_response.h"
#include "fuzz.h"
#include "matrix/id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t now = INT64_C(1700000000000);
    arena_auto struct arena *a = arena_create();
    json_t *answer;
    struct key_response r;
    if (json_read(a, fuzz_str(data, size), &answer))
        return 0;
    const struct err *e = key_response_read(a, answer, NULL, now, &r);
    HOLDS(!e || e->code == ERR_BAD_STATUS);
    HOLDS(key_response_read(a, answer, "another.example", now, &r) ||
          strcmp(r.server, "another.example") == 0);
    if (e)
        return 0;
    HOLDS(!key_response_read(a, answer, NULL, now, &r));
    HOLDS(id_is_server_name(str_of(r.server)));
    HOLDS(r.n >= 1 && r.n <= KEY_RESPONSE_KEYS_MAX);
    HOLDS(r.valid_until_ts >= 0 && r.valid_until_ts <= now + KEY_VALID_MAX_MS);
    for (size_t i = 0; i < r.n; i++)
        HOLDS(key_is_wellformed(r.keys[i].public_key) && strcmp(r.keys[i].server, r.server) == 0);
    return 0;
}

/* Redaction: the first byte picks the room version, the rest is an event. The result is valid
 * JSON, and redacting it again changes nothing. */
#include "fuzz.h"
#include "matrix/json_scan.h"
#include "matrix/redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    const struct room_version *v = &room_versions[data[0] % 12];
    buf_auto struct buf event = {0}, once = {0}, twice = {0}, bare = {0};
    if (canonical_json_add(&event, CANONICAL_STRICT, fuzz_str(data + 1, size - 1)) ||
        event.p[0] != '{')
        return 0;
    redact_add(&once, v, buf_str(&event), false);
    HOLDS(!json_scan_check(buf_str(&once)));
    redact_add(&twice, v, buf_str(&once), false);
    HOLDS(str_eq(buf_str(&once), buf_str(&twice)));
    redact_add(&bare, v, buf_str(&event), true);
    HOLDS(!json_scan_check(buf_str(&bare)) && !json_scan_get(buf_str(&bare), "signatures").p);
    return 0;
}

/* Lists of PDUs as other servers send them: the first byte picks the room version. No keys are
 * known, so that no event may be accepted; the requested keys must be within bounds. */
#include "federation/in/pdu.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { MAX = 8 };
    if (!size)
        return 0;
    arena_auto struct arena *a = arena_create();
    const struct config config = {.server_name = "us"};
    struct storage storage = {0};
    struct node node = {.config = &config, .storage = &storage};
    struct job job;
    struct pdu *pdus;
    size_t n;
    job_init(&job, &node, a);
    if (pdu_list(a, fuzz_str(data + 1, size - 1), MAX, &pdus, &n))
        return 0;
    HOLDS(n <= MAX);
    HOLDS(!pdu_read(&job, &room_versions[data[0] % 12], NULL, pdus, n));
    for (size_t i = 0; i < n; i++)
        HOLDS(!pdus[i].event && pdus[i].refused.text[0]);
    job_finish(&job);
    return 0;
}

/* Transactions of other servers: the scanner's results lie within the body and are JSON. */
#include "federation/in/transaction_scan.h"
#include "fuzz.h"
#include "matrix/json_scan.h"

static void check_object(struct str body, struct str found)
{
    HOLDS(found.p >= body.p && found.p + found.n <= body.p + body.n);
    HOLDS(found.n >= 2 && found.p[0] == '{' && found.p[found.n - 1] == '}');
    HOLDS(!json_scan_check(found));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    struct str body = fuzz_str(data, size);
    struct incoming_transaction *t = arena_alloc(a, sizeof *t);
    if (transaction_scan(a, body, t))
        return 0;
    HOLDS(t->pdus_n <= TRANSACTION_PDUS_MAX && t->edus_n <= TRANSACTION_EDUS_MAX);
    for (size_t i = 0; i < t->pdus_n; i++) {
        check_object(body, t->pdus[i].raw);
        HOLDS(!t->pdus[i].room_id || strlen(t->pdus[i].room_id) <= t->pdus[i].raw.n);
    }
    for (size_t i = 0; i < t->edus_n; i++)
        check_object(body, t->edus[i]);
    return 0;
}

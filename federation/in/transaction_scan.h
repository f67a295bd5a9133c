/* Scans the body of a transaction for its PDUs and EDUs, as byte ranges ("Transactions"). Pure;
 * builds no tree of the whole. */
#ifndef FEDERATION_IN_TRANSACTION_SCAN_H
#define FEDERATION_IN_TRANSACTION_SCAN_H

#include "base/str.h"

enum { TRANSACTION_PDUS_MAX = 50, TRANSACTION_EDUS_MAX = 100 };

struct incoming_transaction {
    const char *origin; /* NULL: missing */
    struct transaction_pdu {
        struct str raw;
        const char *room_id; /* NULL: none, as in create events from version 12 on */
    } pdus[TRANSACTION_PDUS_MAX];
    struct str edus[TRANSACTION_EDUS_MAX];
    size_t pdus_n, edus_n;
};

/* M_NOT_JSON, M_BAD_JSON: malformed, or more PDUs or EDUs than a transaction may have. Members of
 * the lists that are not objects are skipped. */
const struct err *transaction_scan(struct arena *a, struct str body,
                                   struct incoming_transaction *ret);

#endif

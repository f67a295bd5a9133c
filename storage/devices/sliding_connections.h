/* sliding_connections: what sliding sync has sent on each connection of a device, as
 * server/sliding/ encodes it. */
#ifndef STORAGE_DEVICES_SLIDING_CONNECTIONS_H
#define STORAGE_DEVICES_SLIDING_CONNECTIONS_H

#include "storage/db/db.h"

enum {
    SLIDING_CONNECTIONS_MAX = 16,  /* of one device; the one that changed first gives way */
    SLIDING_CONNECTIONS_DAYS = 30, /* unused ones are deleted after that time */
};

struct sliding_row {
    int64_t number; /* names the state; 0: none */
    struct str state;
    int64_t previous_number;
    struct str previous;
};

/* Replaces what is stored. It is lost if the database crashes within a fraction of a second: the
 * client then begins a new connection. */
const struct err *sliding_connections_store(struct tx *tx, int64_t device, const char *conn_id,
                                            const struct sliding_row *row, int64_t now_ms);
/* number 0: there is no such connection. Counts as a use. */
const struct err *sliding_connections_load(struct tx *tx, int64_t device, const char *conn_id,
                                           int64_t now_ms, struct sliding_row *ret);
/* Deletes those that are not used any more, a bounded number at a time. */
const struct err *sliding_connections_sweep(struct tx *tx, int64_t now_ms);

#endif

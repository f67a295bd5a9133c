/* destinations: other servers, the position up to which each has been sent the log, and its
 * failures. */
#ifndef STORAGE_SERVERS_DESTINATIONS_H
#define STORAGE_SERVERS_DESTINATIONS_H

#include "storage/db/write.h"

/* Commands of the operator to the running server; stored as these numbers. */
enum destination_asked {
    ASKED_NOTHING = 0,
    ASKED_RETRY = 1, /* try now */
    ASKED_RESET = 2, /* and forget that it failed */
    ASKED_RESEND = 3 /* try now, and resend refused items */
};

struct destination_row {
    const char *server;
    int64_t sent_position;
    int64_t failing_since_ts, retry_at_ts, retry_interval_ms; /* 0: it answers */
    int64_t last_success_ts;                                  /* 0: never */
    const char *last_error;                                   /* NULL: none */
    int refusals;                                             /* of the same transaction in a row */
    int64_t refused_n; /* its refused items (storage/servers/refused_items.h) */
    bool must_resend;  /* some of that is to be sent again */
    bool has_pending;  /* there may be changes after the cursor to be sent */
};

/* Stores the row; the cursor never goes back. */
void destinations_write(struct write *w, const struct destination_row *r);

/* Adds the row of a destination that is sent something for the first time. */
const struct err *destinations_add(struct tx *tx, const char *server, int64_t sent_position);

/* Of these slices (lease_slice_of_name()): destinations that have pending changes or are failing.
 * Also servers that lack a row although something is pending for them (the server stopped before
 * the row was added), with a cursor before the first pending change. */
const struct err *destinations_busy(struct tx *tx, const char *own, const int64_t *slices,
                                    size_t slices_n, const struct destination_row **ret,
                                    size_t *ret_n);

/* All of them, or only the named one, sorted by name. */
const struct err *destinations_list(struct tx *tx, const char *server,
                                    const struct destination_row **ret, size_t *ret_n);

/* Stores the operator's command for the running server, as a change of the log; CONFLICT if there
 * is no such destination. */
void destinations_write_asked(struct write *w, const char *server, enum destination_asked what);
struct destination_wish {
    const char *server;
    enum destination_asked what;
};
/* Reads and deletes these commands, of these slices. */
const struct err *destinations_take_asked(struct tx *tx, const int64_t *slices, size_t slices_n,
                                          const struct destination_wish **ret, size_t *ret_n);

#endif

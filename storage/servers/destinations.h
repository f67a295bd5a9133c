/* destinations: other servers, how far on the log each has been told, and how they answer. */
#ifndef STORAGE_SERVERS_DESTINATIONS_H
#define STORAGE_SERVERS_DESTINATIONS_H

#include "storage/db/write.h"

/* What the operator asked of the server that runs; stored as these numbers. */
enum destination_asked {
    ASKED_NOTHING = 0,
    ASKED_RETRY = 1, /* try now */
    ASKED_RESET = 2, /* and forget that it ever failed */
    ASKED_RESEND = 3 /* try now, also what was set aside */
};

struct destination_row {
    const char *server;
    int64_t sent_position;
    int64_t failing_since_ts, retry_at_ts, retry_interval_ms; /* 0: it answers */
    int64_t last_success_ts;                                  /* 0: never */
    const char *last_error;                                   /* NULL: none */
    int refusals;                                             /* of the same transaction in a row */
    int64_t off_timeline_n; /* what it refused and what was set aside
                               (storage/servers/refused_items.h) */
    bool must_resend;       /* some of that is to be sent again */
    bool has_pending;       /* there may be something behind the cursor that it has to be told */
};

/* Stores the row; the cursor never goes back. */
void destinations_write(struct write *w, const struct destination_row *r);

/* Makes the row of a destination that is told something for the first time. */
const struct err *destinations_add(struct tx *tx, const char *server, int64_t sent_position);

/* Those with something to do: with news, or failing. Also those servers that have no
 * row although they have something to get (we stopped before it was made): their cursor stands
 * before the first that it may be. */
const struct err *destinations_busy(struct tx *tx, const char *own,
                                    const struct destination_row **ret, size_t *ret_n);

/* All of them, or the one that is named, in the order of their names. */
const struct err *destinations_list(struct tx *tx, const char *server,
                                    const struct destination_row **ret, size_t *ret_n);

/* Leaves the operator's wish for the server that runs, as a change of the log; CONFLICT when there
 * is no such destination. */
void destinations_write_asked(struct write *w, const char *server, enum destination_asked what);
struct destination_wish {
    const char *server;
    enum destination_asked what;
};
/* And takes them. */
const struct err *destinations_take_asked(struct tx *tx, const struct destination_wish **ret,
                                          size_t *ret_n);

#endif

/* What is removed when it is old: transaction ids of events, and push_actions that were read. Rows
 * of both name the position of an event; log_times tells which positions are how old. In pages, so
 * that no statement holds others up. */
#ifndef STORAGE_ROOMS_RETENTION_H
#define STORAGE_ROOMS_RETENTION_H

#include "storage/db/db.h"

enum {
    RETENTION_TXNS_DAYS = 7,
    RETENTION_ACTIONS_DAYS = 30, /* /notifications shows what was read for so long */
    RETENTION_ROOMS_DAYS = 30    /* that none of our users was in, after the last of them left */
};

/* Notes where the log stands now, unless that was done within the hour. */
const struct err *log_times_note(struct tx *tx, int64_t now);
/* What was at or before this position is older than `ts`; 0: nothing is known to be. */
const struct err *log_times_position(struct tx *tx, int64_t ts, int64_t *ret);

/* At most `max` of those up to the position. */
const struct err *event_txns_remove(struct tx *tx, int64_t position, int64_t max, int64_t *ret_n);

/* How far a walk over push_actions has come: in the order of their key. Zeros: at its beginning. */
struct push_actions_place {
    int64_t user, room, event;
};
/* Looks at the next `max` rows and removes, of those up to the position, the ones that nothing
 * counts any more: those that were read, or whose user is not in the room. At the end the place is
 * the beginning again. */
const struct err *push_actions_remove_read(struct tx *tx, int64_t position,
                                           struct push_actions_place *place, int64_t max,
                                           int64_t *ret_n);

/* All of it, a bounded part at a time; the place is where it goes on the next time. */
const struct err *retention_sweep(struct tx *tx, int64_t now, struct push_actions_place *place);

#endif

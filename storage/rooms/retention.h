/* Deletion of old rows: transaction ids of events, and push_actions that were read. Both name the
 * position of an event; log_times maps time to positions. In pages, so that no statement blocks
 * others for long. */
#ifndef STORAGE_ROOMS_RETENTION_H
#define STORAGE_ROOMS_RETENTION_H

#include "storage/db/db.h"

enum {
    RETENTION_TXNS_DAYS = 7,
    RETENTION_ACTIONS_DAYS = 30, /* read notifications are listed for so long */
    RETENTION_ROOMS_DAYS = 30    /* after the last of our users left */
};

/* Stores the head of the log and the time, at most once an hour. */
const struct err *log_times_note(struct tx *tx, int64_t now);
/* Changes up to this position are older than `ts`; 0: none is known to be. */
const struct err *log_times_position(struct tx *tx, int64_t ts, int64_t *ret);

/* Deletes at most `max` up to the position. */
const struct err *event_txns_remove(struct tx *tx, int64_t position, int64_t max, int64_t *ret_n);

/* How far a walk over push_actions has come, in the order of their key. Zeros: the beginning. */
struct push_actions_place {
    int64_t user, room, event;
};
/* Visits the next `max` rows and deletes those up to the position that no longer count: they were
 * read, or their user is not in the room. At the end the place is the beginning again. */
const struct err *push_actions_remove_read(struct tx *tx, int64_t position,
                                           struct push_actions_place *place, int64_t max,
                                           int64_t *ret_n);

/* All of the above, a bounded part at a time; the next call continues at the place. */
const struct err *retention_sweep(struct tx *tx, int64_t now, struct push_actions_place *place);

#endif

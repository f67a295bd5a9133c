/* Read receipts and markers (client-server-api, "Receipts", "Fully read markers"). */
#ifndef ROOMS_RECEIPTS_H
#define ROOMS_RECEIPTS_H

#include "rooms/append.h"

enum receipt_type { RECEIPT_READ = 1, RECEIPT_READ_PRIVATE = 2 }; /* as stored */

/* Moves a receipt (never backwards) through the log, as CHANGE_RECEIPT. thread: "" unthreaded,
 * "main", or the event id of the thread's root. */
const struct err *receipt_set(struct job *job, struct room *room, const struct author *who,
                              enum receipt_type type, const char *thread, const char *event_id);

/* Appends one whole m.receipt event with the receipts that this user may see and that were set in
 * (since, until]; since 0: all. Nothing, and *ret_any false, when there are none. From the feed
 * when it reaches back to `since`, else from SQL. */
const struct err *receipts_add_event(struct job *job, int64_t room, int64_t user, int64_t since,
                                     int64_t until, struct buf *out, bool *ret_any);

#endif

/* Read receipts and markers (client-server-api, "Receipts", "Fully read markers"). */
#ifndef USERS_RECEIPTS_H
#define USERS_RECEIPTS_H

#include "rooms/write/append.h"
#include "storage/users/receipts.h"

/* struct change.thread of a CHANGE_RECEIPT: 0 for an unthreaded one, the position of the thread's
 * root, or this for the main timeline. Its `parent` is the position of the event that was read. */
enum { RECEIPT_OF_MAIN = -1 };

/* Moves a receipt (never backwards) through the log, as CHANGE_RECEIPT. thread: "" unthreaded,
 * "main", or the event id of the thread's root. M_NOT_FOUND for an event that is not of this room,
 * M_INVALID_PARAM for one that is not in the thread. */
const struct err *receipt_set(struct job *job, struct room *room, const struct author *who,
                              enum receipt_type type, const char *thread, const char *event_id);

/* Receipts of other servers' users, who are joined, all as one write. Left out are those that are
 * behind what is set, those of threads that they are not in, and those of events that are not here:
 * their `event` is 0 then, else it is filled. */
const struct err *receipts_set_remote(struct job *job, struct room *room, struct receipt *list,
                                      size_t n);
/* The public ones that our users set in (since, until]: where each mark stands now. */
const struct err *receipts_list_own(struct job *job, int64_t room, int64_t since, int64_t until,
                                    const struct receipt **ret, size_t *ret_n);

/* The fully read marker, as room account data; never backwards. */
const struct err *receipt_set_fully_read(struct job *job, struct room *room,
                                         const struct author *who, const char *event_id);

/* Appends one whole m.receipt event with the receipts that this user may see and that were set in
 * (since, until]; since 0: all. Nothing, and *ret_any false, when there are none. From the feed
 * when it reaches back to `since`, else from SQL. (In the rare case that a user marked one event
 * both in a thread and without one, a second event with what has no room in the first.) without: a
 * set of user ids whose receipts are left out; room_id: to stand in the event; NULL: none. */
const struct err *receipts_add_event(struct job *job, int64_t room, int64_t user, int64_t since,
                                     int64_t until, const struct map *without, const char *room_id,
                                     struct buf *out, bool *ret_any);

#endif

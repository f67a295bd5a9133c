/* Read receipts and markers (client-server-api, "Receipts", "Fully read markers"). */
#ifndef USERS_RECEIPTS_H
#define USERS_RECEIPTS_H

#include "rooms/write/append.h"
#include "storage/users/receipts.h"

/* thread of a struct change_receipt: 0 for an unthreaded one, the position of the thread's
 * root, or this for the main timeline. Its `parent` is the position of the event that was read. */
enum { RECEIPT_OF_MAIN = -1 };

/* Moves a receipt forward (never back) and adds a CHANGE_RECEIPT. thread: "" unthreaded, "main", or
 * the event id of the thread's root. M_NOT_FOUND if the event is not in this room, M_INVALID_PARAM
 * if it is not in the thread. */
const struct err *receipt_set(struct job *job, struct room *room, const struct author *who,
                              enum receipt_type type, const char *thread, const char *event_id);

/* Sets receipts of joined users of other servers, all in one write. Skipped are those behind the
 * stored receipt, those whose event is not in the thread, and those for unknown events, whose
 * `event` stays 0. */
const struct err *receipts_set_remote(struct job *job, struct room *room, struct receipt *list,
                                      size_t n);
/* The public receipts that our users set in (since, until]; the newest of each. */
const struct err *receipts_list_own(struct job *job, int64_t room, int64_t since, int64_t until,
                                    const struct receipt **ret, size_t *ret_n);

/* Sets the fully read marker (room account data); never back. */
const struct err *receipt_set_fully_read(struct job *job, struct room *room,
                                         const struct author *who, const char *event_id);

/* The receipts that this user may see and that were set in (since, until], the newest of each kind,
 * thread and user, in the order of the events that were read; since 0: all. In the job's arena.
 * Reads the feed if it reaches back to `since`, else one query. without: a set of user ids to leave
 * out, or NULL. */
const struct err *receipts_read(struct job *job, int64_t room, int64_t user, int64_t since,
                                int64_t until, const struct map *without, struct receipt **ret,
                                size_t *ret_n);

/* The same of those that were set up to `until` for events at `from` and later positions, or by
 * this user. One query. */
const struct err *receipts_read_of_events(struct job *job, int64_t room, int64_t user, int64_t from,
                                          int64_t until, const struct map *without,
                                          struct receipt **ret, size_t *ret_n);

/* Appends them as an m.receipt event, nothing if there are none; the list is used up. (If a user
 * marked one event both in a thread and without one, which is rare, a second event has the rest.)
 * room_id: added to the event unless NULL. */
void receipts_add_events(struct receipt *list, size_t n, const char *room_id, struct buf *out);

#endif

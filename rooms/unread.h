/* What an event means to whom: notification and highlight counts.
 *
 * Every event carries the room's counters up to itself (events.notify_total, highlight_total): what
 * a member who has the predefined push rules and is not singled out gets. A user's unread count is
 * the room's counter now, minus the counter where their read receipt (or own last message) stands,
 * plus the push_actions rows in between: one row per user whom an event singles out (mentions,
 * display names, own rules), holding the difference to everybody's outcome. So a message to ten
 * thousand members writes no row for any of them. */
#ifndef ROOMS_UNREAD_H
#define ROOMS_UNREAD_H

#include "storage/write.h"

struct room;

struct name_index;
void name_index_destroy(struct name_index *n); /* NULL-safe */

/* Under the room's lock, while an event is built: works out what everybody gets (0 or 1 each) and
 * adds the push_actions rows of those who get something else to the write. */
const struct err *unread_evaluate_locked(struct job *job, struct room *room, struct write *w,
                                         int at, const struct event *e, int64_t thread,
                                         int *ret_notify, int *ret_highlight);

#endif

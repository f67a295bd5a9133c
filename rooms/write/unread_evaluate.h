/* What an event means to each user, worked out while it is built: does it notify, does it
 * highlight?
 *
 * Every event carries the room's counters up to itself (events.notify_total, highlight_total): what
 * a member who has the predefined push rules and is not singled out gets. Each user whom an event
 * singles out (mentions, display names, own rules) has a row in push_actions with the difference.
 * So a message to ten thousand members writes no row for any of them. */
#ifndef ROOMS_WRITE_UNREAD_EVALUATE_H
#define ROOMS_WRITE_UNREAD_EVALUATE_H

#include "storage/db/write.h"

struct room;
struct room_member;

/* Under the room's lock: a member event changed what a local member is called, or whether they are
 * one. display_name may be NULL. */
void unread_member_changed_locked(struct room *room, const struct room_member *m,
                                  const char *display_name);

/* Under the room's lock, while an event is built as change `at` of the write: works out what
 * everybody gets (notify and highlight of the change, 0 or 1 each), and who gets something else
 * (its actions, and their rows in the write). The change says which thread it is in. */
const struct err *unread_evaluate_locked(struct job *job, struct room *room, struct write *w,
                                         int at, const struct event *e, struct change *change);

#endif

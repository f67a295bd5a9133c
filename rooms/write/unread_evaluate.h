/* Evaluation of push rules while an event is built: which users does it notify or highlight for?
 *
 * Every event stores the room's counters up to itself (events.notify_total, highlight_total), as
 * they are for a member with the predefined push rules who is not mentioned. Each user with another
 * result (by mentions, display names, own rules) gets a row in push_actions with the difference. So
 * a message to ten thousand members writes no row for most of them. */
#ifndef ROOMS_WRITE_UNREAD_EVALUATE_H
#define ROOMS_WRITE_UNREAD_EVALUATE_H

#include "base/map.h"
#include "matrix/push_rules.h"
#include "storage/db/write.h"

struct room;
struct room_member;

/* Under the room's lock: a member event changed a local member's name or membership. display_name
 * may be NULL. */
void unread_member_changed_locked(struct room *room, const struct room_member *m,
                                  const char *display_name);

/* Under the room's lock, while an event is built as change `at` of the write: sets the counters of
 * the room (notify and highlight of the change, 0 or 1 each), and the users who differ (its
 * actions, and their rows in the write). The change has the thread. */
const struct err *unread_evaluate_locked(struct job *job, struct room *room, struct write *w,
                                         int at, const struct event *e, struct change *change);

/* What the rules do with an event, for pushers. */
struct push_outcomes {
    struct push_outcome base; /* for all members but those in: */
    struct map own;           /* users.id -> struct push_outcome, in the job's arena */
};

/* Under the room's lock, for an event that is committed. Of the users who may have another outcome
 * than the rest, those that wants() names are evaluated. The caller calls map_finish(&ret->own). */
const struct err *unread_evaluate_outcomes_locked(struct job *job, struct room *room,
                                                  const struct event *e, int64_t sender,
                                                  bool (*wants)(void *ctx, int64_t user), void *ctx,
                                                  struct push_outcomes *ret);

#endif

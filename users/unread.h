/* What an event means to each user: notification and highlight counts.
 *
 * Every event carries the room's counters up to itself (events.notify_total, highlight_total): what
 * a member who has the predefined push rules and is not singled out gets. A user's unread count is
 * the room's counter now, minus the counter where their read receipt (or own last message) stands,
 * plus the push_actions rows in between: one row per user that an event singles out (mentions,
 * display names, own rules), holding the difference to everybody's outcome. So a message to ten
 * thousand members writes no row for any of them. */
#ifndef USERS_UNREAD_H
#define USERS_UNREAD_H

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

struct thread_counts {
    const char *root; /* event id */
    int64_t notify, highlight;
};

struct unread_counts {
    int64_t notify,
        highlight; /* of the main timeline; of everything when threads were not asked for */
    const struct thread_counts *threads; /* only those with something unread */
    size_t threads_n;
};

/* The counts of one user in one room. From memory in the usual case (a cache of where each active
 * user's receipts stand, kept in step by a feed listener): no SQL per delivered message. */
const struct err *unread_get(struct job *job, struct room *room, int64_t user, const char *user_id,
                             bool by_thread, struct unread_counts *ret);

/* Of one event: was the user in the room when it came, and have they read it? From SQL. */
struct stored_event;
const struct err *unread_is_read(struct job *job, struct room *room, int64_t user,
                                 const char *user_id, const struct stored_event *e,
                                 bool *ret_was_there, bool *ret_is_read);

struct unread_cache;
struct unread_cache *unread_cache_create(struct store *store);
void unread_cache_destroy(struct unread_cache *c);
void unread_cache_add_metrics(struct unread_cache *c, struct buf *out);

#endif

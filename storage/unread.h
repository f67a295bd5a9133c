/* What unread counts are made of (rooms/unread.h): the rooms' counters in events, and push_actions
 * for those whom an event singles out. */
#ifndef STORAGE_UNREAD_H
#define STORAGE_UNREAD_H

#include "storage/write.h"

/* What an event means to a user beyond what it means to everybody, as change `at`. */
void push_actions_write(struct write *w, int64_t room, int64_t thread, const struct push_action *a,
                        int at);

/* One event, or many of them up to it. */
struct unread_row {
    int64_t position, thread, notify, highlight;
};

/* The room's counters at two positions (thread and position are not filled). */
const struct err *unread_totals(struct tx *tx, int64_t room, int64_t one, int64_t other,
                                struct unread_row *ret_one, struct unread_row *ret_other);
/* The newest UNREAD_ROWS_MAX events in threads in (since, until], newest first, and whom this user
 * was singled out by in that range. */
enum { UNREAD_ROWS_MAX = 5000 };
const struct err *unread_in_threads(struct tx *tx, int64_t room, int64_t since, int64_t until,
                                    const struct unread_row **ret, size_t *ret_n);
const struct err *unread_exceptions(struct tx *tx, int64_t room, int64_t user, int64_t since,
                                    int64_t until, const struct unread_row **ret, size_t *ret_n);
/* The newest event of this sender in each thread (0: main) in (since, until], member events apart;
 * looks at the newest UNREAD_ROWS_MAX events only. */
const struct err *unread_own_events(struct tx *tx, int64_t room, int64_t sender, int64_t since,
                                    int64_t until, const struct unread_row **ret, size_t *ret_n);

/* The user's member events, newest first, a few of them. */
struct member_event {
    int64_t position;
    struct str json;
};
const struct err *unread_member_events(struct tx *tx, int64_t room, const char *user_id,
                                       const struct member_event **ret, size_t *ret_n);
/* Event ids (as bytes) of events by position; the same order, p NULL for unknown ones. */
const struct err *unread_event_ids(struct tx *tx, const int64_t *positions, size_t n,
                                   struct str *ret);

/* The member events of a room's joined local members. */
struct local_member {
    int64_t user;
    struct str json;
};
const struct err *unread_local_members(struct tx *tx, int64_t room, const struct local_member **ret,
                                       size_t *ret_n);

#endif

/* The sources of unread counts (users/unread.h): the rooms' counters in events, and push_actions
 * for users whose counts differ. */
#ifndef STORAGE_USERS_UNREAD_H
#define STORAGE_USERS_UNREAD_H

#include "storage/db/write.h"

/* How an event, change `at`, counts for one user, if that differs from the room's counters. */
void push_actions_write(struct write *w, int64_t room, int64_t thread, const struct push_action *a,
                        int at);

/* One event, or the sum of all up to it. */
struct unread_row {
    int64_t position, thread, notify, highlight;
};

/* How far a user has read, in one round trip. */
struct unread_marks {
    struct unread_row newest; /* of the room's events up to a position, with its counters */
    const struct unread_receipt {
        const char *thread; /* storage/users/receipts.h */
        int64_t event;      /* of the later receipt of both types */
    } * receipts;
    size_t receipts_n;
    const struct member_event { /* the user's, newest first, a few of them */
        int64_t position;
        struct str json;
    } * member_events;
    size_t member_events_n;
};
const struct err *unread_read_marks(struct tx *tx, int64_t room, int64_t user, const char *user_id,
                                    int64_t until, struct unread_marks *ret);

/* What was not read, in (since, until], in one round trip: at most the newest UNREAD_ROWS_MAX of
 * each kind. */
enum { UNREAD_ROWS_MAX = 5000 };
struct unread_range {
    const struct unread_row *own; /* the user's newest in each thread (0: main), no member events */
    const struct unread_row *in_threads; /* events in threads, newest first */
    const struct unread_row *exceptions; /* events that count differently for the user */
    const struct unread_row *ignored;    /* all events of ignored users */
    size_t own_n, in_threads_n, exceptions_n, ignored_n;
};
struct unread_reader {
    int64_t room, user;
    const int64_t *ignored; /* users.id: senders whose events the user is not sent */
    size_t ignored_n;
};
const struct err *unread_read_range(struct tx *tx, const struct unread_reader *reader,
                                    int64_t since, int64_t until, struct unread_range *ret);

/* The room's counters at a position (position and thread are not filled). */
const struct err *unread_totals_at(struct tx *tx, int64_t room, int64_t position,
                                   struct unread_row *ret);

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

/* The events that notified a user, for GET /notifications: from the counters of the rooms' events
 * and the user's push_actions. */
#ifndef STORAGE_USERS_NOTIFICATIONS_H
#define STORAGE_USERS_NOTIFICATIONS_H

#include "storage/db/db.h"

struct notification {
    int64_t position, room;
    bool highlight;
};

/* The newest ones before a position, newest first, of the rooms the user is in; at most limit.
 * ignored: users.id of senders whose events do not count, except state events. ret_floor:
 * everything after this position was searched; 0: all events were. */
const struct err *notifications_before(struct tx *tx, int64_t user, int64_t before,
                                       bool only_highlights, int64_t limit, const int64_t *ignored,
                                       size_t ignored_n, const struct notification **ret,
                                       size_t *ret_n, int64_t *ret_floor);

#endif

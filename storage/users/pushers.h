/* pushers: where a user's notifications are to be sent. */
#ifndef STORAGE_USERS_PUSHERS_H
#define STORAGE_USERS_PUSHERS_H

#include "storage/db/db.h"

enum { PUSHERS_MAX = 100 }; /* of one user */

struct pusher {
    int64_t user, device; /* device: that set it; deleted with it */
    const char *app_id, *pushkey;
    struct str json; /* as GET /pushers returns it */
};

/* Adds or replaces the user's pusher of this app and key, beginning at the head of the log. alone:
 * deletes those of other users. M_TOO_LARGE when the user has too many. */
const struct err *pushers_set(struct tx *tx, const struct pusher *p, bool alone);
const struct err *pushers_delete(struct tx *tx, int64_t user, const char *app_id,
                                 const char *pushkey);
/* The user's, as JSON objects. */
const struct err *pushers_list(struct tx *tx, int64_t user, const struct str **ret, size_t *ret_n);

#endif

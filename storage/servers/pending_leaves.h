/* pending_leaves: our users who rejected an invite or retracted a knock while no server of the room
 * answered. Kept until one has received the leave. */
#ifndef STORAGE_SERVERS_PENDING_LEAVES_H
#define STORAGE_SERVERS_PENDING_LEAVES_H

#include "storage/db/db.h"

struct pending_leave {
    int64_t room, user;
    const char *reason; /* NULL: none was given */
    int64_t since_ts;
    const struct str *servers; /* to be tried; each ends in NUL */
    size_t servers_n;
};

const struct err *pending_leaves_add(struct tx *tx, int64_t room, int64_t user, const char *reason,
                                     const char *const *servers, size_t servers_n);
/* NULL when there is none. */
const struct err *pending_leaves_get(struct tx *tx, int64_t room, int64_t user,
                                     const struct pending_leave **ret);
const struct err *pending_leaves_remove(struct tx *tx, int64_t room, int64_t user);
/* All; only room and user are filled. */
const struct err *pending_leaves_list(struct tx *tx, const struct pending_leave **ret,
                                      size_t *ret_n);

#endif

/* presence: the last presence that users have set. */
#ifndef STORAGE_USERS_PRESENCE_H
#define STORAGE_USERS_PRESENCE_H

#include "storage/db/write.h"

enum presence_state { PRESENCE_OFFLINE, PRESENCE_UNAVAILABLE, PRESENCE_ONLINE }; /* as stored */

struct presence_row {
    int64_t user;
    const char *user_id;
    enum presence_state state;
    const char *status_msg; /* NULL: none */
    int64_t last_active_ts; /* 0: never */
    int64_t position;
};

void presence_write(struct write *w, const struct presence_row *r, int at);
/* *ret_found false for a user who never had a presence. */
const struct err *presence_find(struct tx *tx, int64_t user, bool *ret_found,
                                struct presence_row *ret);
/* All users who are not offline. */
const struct err *presence_list_present(struct tx *tx, const struct presence_row **ret,
                                        size_t *ret_n);
/* Are both joined to some room? */
const struct err *presence_share_room(struct tx *tx, int64_t one, int64_t other, bool *ret);

#endif

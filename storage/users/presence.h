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
    int64_t valid_until; /* now_ms() until which a node knows it to be that */
};

void presence_write(struct write *w, const struct presence_row *r, int at);
/* *ret_found false for a user who never had a presence. */
const struct err *presence_find(struct tx *tx, int64_t user, bool *ret_found,
                                struct presence_row *ret);
/* These users are active on this node. Rows that are being written are left out. */
const struct err *presence_renew(struct tx *tx, const int64_t *users, const int64_t *valid_until,
                                 const int64_t *last_active_ts, size_t n);
/* Those of them whose state is valid at that time (now_ms()), with the time until which it is. */
const struct err *presence_list_valid(struct tx *tx, const int64_t *users, size_t n, int64_t now,
                                      const struct presence_row **ret, size_t *ret_n);
/* Makes the write fail with ERR_CONFLICT if one of them is valid at that time. */
void presence_expect_ended(struct write *w, const int64_t *users, size_t n, int64_t now);
/* All users whose presence changed after that position, in that order. */
const struct err *presence_list_after(struct tx *tx, int64_t position,
                                      const struct presence_row **ret, size_t *ret_n);
/* All users who are not offline, in the order of their positions. */
const struct err *presence_list_present(struct tx *tx, const struct presence_row **ret,
                                        size_t *ret_n);
/* Are both joined to some room? */
const struct err *presence_share_room(struct tx *tx, int64_t one, int64_t other, bool *ret);

#endif

/* account_data: what clients store for a user, globally (room 0) or per room. */
#ifndef STORAGE_USERS_ACCOUNT_DATA_H
#define STORAGE_USERS_ACCOUNT_DATA_H

#include "storage/db/write.h"

/* Of one user, over all rooms: all of it is in one reply of an initial /sync. */
enum { ACCOUNT_DATA_ROWS_MAX = 20000, ACCOUNT_DATA_BYTES_MAX = 32 << 20 };

struct account_data {
    int64_t room;
    const char *type;
    struct str content; /* raw JSON object */
    int64_t position;
};

/* The change and the row in one. Everything is copied. */
void account_data_set(struct write *w, int64_t user, int64_t room, const char *type,
                      struct str content);

/* The same, when what is there is still what was read: ERR_CONFLICT if somebody was faster.
 * seen: its position, 0 when there was nothing. shown: what readers are told, which differs from
 * what is stored for m.push_rules. */
void account_data_replace(struct write *w, int64_t user, int64_t room, const char *type,
                          struct str content, struct str shown, int64_t seen);

/* content.p == NULL when there is none. */
const struct err *account_data_get(struct tx *tx, int64_t user, int64_t room, const char *type,
                                   struct str *ret);
const struct err *account_data_get_position(struct tx *tx, int64_t user, int64_t room,
                                            const char *type, struct str *ret,
                                            int64_t *ret_position);
/* M_TOO_LARGE when the user has too much besides what this is to replace. */
const struct err *account_data_check_space(struct tx *tx, int64_t user, int64_t room,
                                           const char *type, size_t bytes);
/* What changed in (since, until], of all rooms and globally, ordered by position. since 0: all. */
const struct err *account_data_since(struct tx *tx, int64_t user, int64_t since, int64_t until,
                                     const struct account_data **ret, size_t *ret_n);

#endif

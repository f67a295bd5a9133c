/* account_data: what clients store for a user, globally (room 0) or per room. */
#ifndef STORAGE_USERS_ACCOUNT_DATA_H
#define STORAGE_USERS_ACCOUNT_DATA_H

#include "storage/db/write.h"

/* Of one user, over all rooms: an initial /sync returns all of it. */
enum { ACCOUNT_DATA_ROWS_MAX = 20000, ACCOUNT_DATA_BYTES_MAX = 32 << 20 };

struct account_data {
    int64_t room;
    const char *type;
    struct str content; /* raw JSON object */
    int64_t position;
};

/* Adds the change and the row. Everything is copied. */
void account_data_set(struct write *w, int64_t user, int64_t room, const char *type,
                      struct str content);

/* The same if the stored content is still the one that was read, else ERR_CONFLICT. seen: its
 * position, 0 if there was none. */
void account_data_replace(struct write *w, int64_t user, int64_t room, const char *type,
                          struct str content, int64_t seen);

/* content.p == NULL: none. */
const struct err *account_data_get(struct tx *tx, int64_t user, int64_t room, const char *type,
                                   struct str *ret);
const struct err *account_data_get_position(struct tx *tx, int64_t user, int64_t room,
                                            const char *type, struct str *ret,
                                            int64_t *ret_position);
/* M_TOO_LARGE when the user has too much, not counting what this replaces. */
const struct err *account_data_check_space(struct tx *tx, int64_t user, int64_t room,
                                           const char *type, size_t bytes);
/* Changes in (since, until], of all rooms and global, ordered by position. since 0: all. */
const struct err *account_data_since(struct tx *tx, int64_t user, int64_t since, int64_t until,
                                     const struct account_data **ret, size_t *ret_n);
/* Those of one type, of all rooms and global. */
const struct err *account_data_of_type(struct tx *tx, int64_t user, const char *type,
                                       const struct account_data **ret, size_t *ret_n);
/* Those of these rooms (0: global) up to a position. */
const struct err *account_data_of_rooms(struct tx *tx, int64_t user, const int64_t *rooms, size_t n,
                                        int64_t until, const struct account_data **ret,
                                        size_t *ret_n);

#endif

/* Finding users (client-server-api, "User directory" and "Mutual rooms"). */
#ifndef STORAGE_USERS_USER_DIRECTORY_H
#define STORAGE_USERS_USER_DIRECTORY_H

#include "storage/db/db.h"

struct found_user {
    const char *user_id;
    struct str profile; /* raw JSON of a local user's profile; p NULL: none */
};

/* Users whose id or display name contains each of the first ten words of the term, in any order and
 * folded (base/text.h), and who share a room with `viewer`, are in one that is public, or are the
 * viewer; best matches first. At most a thousand matching local users and two thousand matching
 * members of the viewer's rooms are ranked, besides a user with the term as id. server: our name.
 */
const struct err *user_directory_search(struct tx *tx, int64_t viewer, const char *server,
                                        const char *term, int64_t limit,
                                        const struct found_user **ret, size_t *ret_n);

/* The rooms that both are joined to, in order of rooms.id, after `after`. ret_total: of all. */
struct mutual_room {
    int64_t room;
    const char *room_id;
};
const struct err *mutual_rooms_find(struct tx *tx, int64_t a, int64_t b, int64_t after,
                                    int64_t limit, const struct mutual_room **ret, size_t *ret_n,
                                    int64_t *ret_total);

#endif

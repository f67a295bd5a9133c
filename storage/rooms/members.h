/* room_members: the current membership of each user in each room. */
#ifndef STORAGE_ROOMS_MEMBERS_H
#define STORAGE_ROOMS_MEMBERS_H

#include "matrix/membership.h"
#include "storage/db/db.h"
#include "storage/db/write.h"

struct member_row {
    int64_t room, user;
    enum membership membership;
    int64_t event; /* position of the member event, and ... */
    int64_t since; /* ... where it became the membership: that position, unless it is older */
    bool is_local, forgotten, has_own_rules;
    struct str stripped;
};

/* Sets the membership that the change `at` of this write made. event: position of the member event
 * when that is not the change itself; else 0. */
void members_write(struct write *w, int64_t room, int64_t user, enum membership m, int at,
                   int64_t event, bool is_local, struct str stripped);
/* The users, an array of the write's arena, have no membership any more: a fork was resolved so, or
 * the room's contents were replaced. */
void members_write_none(struct write *w, int64_t room, const int64_t *users, size_t n);

/* All members of a room (only user, membership, event, is_local, has_own_rules are filled). */
const struct err *members_of_room(struct tx *tx, int64_t room, const struct member_row **ret,
                                  size_t *ret_n);
/* The rooms of a user, all memberships, without what they have forgotten. */
const struct err *members_of_user(struct tx *tx, int64_t user, const struct member_row **ret,
                                  size_t *ret_n);
/* The same with forgotten rooms: the newest FORGOTTEN_MAX that they left. */
enum { FORGOTTEN_MAX = 1000 };
const struct err *members_of_user_and_forgotten(struct tx *tx, int64_t user,
                                                const struct member_row **ret, size_t *ret_n);
/* Forgets a room, if the user is not in it any more when this is committed. */
void members_write_forgotten(struct write *w, int64_t room, int64_t user);

/* Does the user still have the room in their list (not forgotten)? */
const struct err *members_remember(struct tx *tx, int64_t room, int64_t user, bool *ret);

/* The stripped state stored with an invite or knock; p == NULL when there is none. */
const struct err *members_stripped(struct tx *tx, int64_t room, int64_t user, struct str *ret);
/* Of all rooms that the user is invited to or knocks on. */
struct stripped_room {
    int64_t room;
    struct str stripped; /* p NULL: none */
};
const struct err *members_stripped_of_user(struct tx *tx, int64_t user,
                                           const struct stripped_room **ret, size_t *ret_n);
/* Our guests who are joined to a room. */
const struct err *members_guests(struct tx *tx, int64_t room, const int64_t **ret, size_t *ret_n);

/* The rooms that any of our guests is joined to. */
const struct err *members_rooms_with_guests(struct tx *tx, const int64_t **ret, size_t *ret_n);

/* The number of a user's pending invites, and of those by users of that server; each counted up to
 * `most`. */
const struct err *members_count_invites(struct tx *tx, int64_t user, const char *server,
                                        int64_t most, int64_t *ret_n, int64_t *ret_of_server);

/* Does this local user have push rules that differ from the predefined ones? */
const struct err *members_have_own_rules(struct tx *tx, int64_t user, bool *ret);
/* Those of the users that do. */
const struct err *members_with_own_rules(struct tx *tx, const int64_t *users, size_t n,
                                         const int64_t **ret, size_t *ret_n);

#endif

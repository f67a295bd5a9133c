/* Restricted rooms (client-server-api, "Restricted rooms"): who may join because of another room
 * they are in, and which of our users' server vouches for it. */
#ifndef ROOMS_STATE_RESTRICTED_H
#define ROOMS_STATE_RESTRICTED_H

#include "rooms/write/basis.h"

/* Is the user in one of the rooms that the join rule allows? False for other join rules. */
const struct err *restricted_is_allowed(struct job *job, struct room *room, int64_t user,
                                        bool *ret);

/* Is a user of that server in one of them? */
const struct err *restricted_is_allowed_server(struct job *job, struct room *room,
                                               const char *server, bool *ret);

/* Does the room's join rule let people in by such conditions? */
const struct err *restricted_applies(struct basis *on, bool *ret);

/* May the user of another server come in by a condition of the room, as far as we can tell?
 * M_UNABLE_TO_AUTHORISE_JOIN when another server may know better, since we are not in all of the
 * rooms named; M_FORBIDDEN. */
const struct err *restricted_check_remote(struct basis *on, int64_t user);

/* Whose id goes into join_authorised_via_users_server when this user joins without an invite: a
 * local member with the power to invite. NULL when the room is not restricted, or (left to the
 * authorization rules to refuse) the user fulfils no condition. M_UNABLE_TO_GRANT_JOIN when no user
 * of ours can vouch. */
const struct err *restricted_find_authoriser(struct basis *on, int64_t user, const char **ret);

#endif

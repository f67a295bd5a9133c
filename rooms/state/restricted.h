/* Restricted rooms (client-server-api, "Restricted rooms"): users who may join because they are in
 * another room, and the authorising user. */
#ifndef ROOMS_STATE_RESTRICTED_H
#define ROOMS_STATE_RESTRICTED_H

#include "rooms/write/basis.h"

/* Is the user in one of the rooms that the join rule allows? False for other join rules. */
const struct err *restricted_is_allowed(struct job *job, struct room *room, int64_t user,
                                        bool *ret);

/* Is a user of that server in one of them? */
const struct err *restricted_is_allowed_server(struct job *job, struct room *room,
                                               const char *server, bool *ret);

/* Does the room's join rule have such conditions? */
const struct err *restricted_applies(struct basis *on, bool *ret);

/* Checks whether a user of another server fulfils a condition of the room.
 * M_UNABLE_TO_AUTHORISE_JOIN if another server may know, since we are not in all of the rooms
 * named; M_FORBIDDEN. */
const struct err *restricted_check_remote(struct basis *on, int64_t user);

/* The authorising user (join_authorised_via_users_server) for this user's join without an invite: a
 * local member with the power to invite. NULL if the room is not restricted, or if the user fulfils
 * no condition (the authorization rules then refuse the join). M_UNABLE_TO_GRANT_JOIN if no user of
 * ours can authorise it. */
const struct err *restricted_find_authoriser(struct basis *on, int64_t user, const char **ret);

#endif

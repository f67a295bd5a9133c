/* Membership changes that may need another server: an invite is signed by the invited user's
 * server, an invite to a room elsewhere is rejected there. Such requests wait, in POOL_REMOTE. */
#ifndef SERVER_CLIENT_ROOM_MEMBER_CHANGE_H
#define SERVER_CLIENT_ROOM_MEMBER_CHANGE_H

#include "rooms/write/membership.h"

/* Can the user enter, knock or leave by ourselves? We are in the room, or it is one that everybody
 * has left, here and elsewhere. Otherwise a server that is in it must be asked. */
const struct err *member_room_is_here(struct job *job, struct room *room, bool *ret);

bool member_change_is_remote(struct job *job, struct room *room,
                             const struct member_change *change);

/* membership_change(), or what another server must be asked for. ret_event_id: NULL when a room
 * elsewhere was left. */
const struct err *member_change_apply(struct job *job, struct room *room,
                                      const struct author *author,
                                      const struct member_change *change,
                                      const char **ret_event_id);

#endif

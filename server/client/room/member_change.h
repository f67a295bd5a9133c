/* Membership changes that may need another server: an invite is signed by the invited user's
 * server, an invite to a room on other servers is rejected there. Such requests wait in
 * POOL_REMOTE. */
#ifndef SERVER_CLIENT_ROOM_MEMBER_CHANGE_H
#define SERVER_CLIENT_ROOM_MEMBER_CHANGE_H

#include "rooms/write/membership.h"

/* Whether this server alone can make the user's join, knock or leave: it is in the room, or all
 * users of all servers have left. Otherwise a server in the room must be asked. */
const struct err *member_room_is_here(struct job *job, struct room *room, bool *ret);

bool member_change_is_remote(struct job *job, struct room *room,
                             const struct member_change *change);

/* membership_change(), or the request to another server. ret_event_id: NULL after leaving a room
 * through another server. */
const struct err *member_change_apply(struct job *job, struct room *room,
                                      const struct author *author,
                                      const struct member_change *change,
                                      const char **ret_event_id);

#endif

/* Our users in rooms of other servers: joining, knocking, leaving, inviting (server-server-api,
 * "Joining Rooms", "Knocking", "Inviting to a room", "Leaving Rooms"). Called by server/client/;
 * they block while other servers answer, so from POOL_REMOTE.
 *
 * via: servers to ask, in this order; the room id's own server and what we know of the room are
 * added. Each returns the errors that the other servers give, the last of them when all fail. */
#ifndef FEDERATION_ROOMS_JOIN_H
#define FEDERATION_ROOMS_JOIN_H

#include "rooms/write/append.h"

struct via {
    const char *const *servers;
    size_t n;
    bool not_again; /* leave out those that did not answer others just now */
};

const struct err *federation_join(struct job *job, const char *room_id, const struct via *via,
                                  const struct author *author, const json_t *content,
                                  const char **ret_event_id);
/* Is a user of ours joining that room through another server just now? federation_join then waits
 * for them; a caller that would rather not hold a thread looks again later. */
bool federation_join_is_under_way(struct job *job, const char *room_id);
const struct err *federation_knock(struct job *job, const char *room_id, const struct via *via,
                                   const struct author *author, const json_t *content);
/* Rejects an invite or takes back a knock. When no server answers, the room is left for our user
 * all the same, and the other side is told when it answers again. */
const struct err *federation_leave(struct job *job, const char *room_id,
                                   const struct author *author, const json_t *content);
/* The same without waiting: the other side is told afterwards. */
const struct err *federation_leave_unattended(struct job *job, struct room *room,
                                              const struct author *author);
/* Has the target's server sign an invite that one of our users makes, then appends it. */
const struct err *federation_invite(struct job *job, struct room *room, const struct author *author,
                                    const char *target, const json_t *content,
                                    const char **ret_event_id);

#endif

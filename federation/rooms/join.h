/* Our users in rooms of other servers: joining, knocking, leaving, inviting (server-server-api,
 * "Joining Rooms", "Knocking", "Inviting to a room", "Leaving Rooms"). Called by server/client/.
 * These functions block while other servers answer: call them from POOL_REMOTE.
 *
 * via: servers to ask, in this order; the room id's server and known servers of the room are added.
 * Each returns the other servers' errors; if all fail, the most useful one
 * (federation/peer/candidates.h). */
#ifndef FEDERATION_ROOMS_JOIN_H
#define FEDERATION_ROOMS_JOIN_H

#include "rooms/write/append.h"

struct via {
    const char *const *servers;
    size_t n;
    bool not_again; /* skip servers in back-off */
};

const struct err *federation_join(struct job *job, const char *room_id, const struct via *via,
                                  const struct author *author, const json_t *content,
                                  const char **ret_event_id);
/* Whether a request to this node is joining that room through another server now. federation_join
 * then waits for them; a caller that should not hold a thread checks again later. */
bool federation_join_is_under_way(struct job *job, const char *room_id);
/* The task (federation/tasks.h) that ends joins which have ended without that being stored, and
 * processes the PDUs that arrived during them. */
const struct err *join_rest_task(struct job *job, int64_t unused_a, int64_t unused_b,
                                 bool *ret_done);

#endif

/* POST /createRoom (client-server-api, "Creation"): from the request's body to the first events of
 * the room. */
#ifndef ROOMS_WRITE_CREATE_H
#define ROOMS_WRITE_CREATE_H

#include "rooms/write/append.h"

/* Users of other servers that the request invites. */
struct invited_elsewhere {
    const char *const *ids;
    size_t n;
    bool is_direct;
};

/* The whole request as one atomic write, with the alias and the invites of our users. The caller
 * then sends the invites of other users, which need their servers (federation/rooms/join.h). */
const struct err *room_create(struct job *job, const struct author *author, const json_t *body,
                              const char **ret_room_id, struct invited_elsewhere *ret_elsewhere);

#endif

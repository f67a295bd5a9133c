/* POST /createRoom (client-server-api, "Creation"): from the request's body to the events that make
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

/* The whole request as one atomic write: either all of the room is there, alias and invites of our
 * users included, or nothing. Invites of others need their servers: they are the caller's to make
 * afterwards (federation/rooms/join.h). */
const struct err *room_create(struct job *job, const struct author *author, const json_t *body,
                              const char **ret_room_id, struct invited_elsewhere *ret_elsewhere);

#endif

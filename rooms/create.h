/* POST /createRoom (client-server-api, "Creation"): from the request's body to the events that make
 * the room. */
#ifndef ROOMS_CREATE_H
#define ROOMS_CREATE_H

#include "rooms/append.h"

/* The whole request as one atomic write: either all of the room is there, invites and alias
 * included, or nothing. */
const struct err *room_create(struct job *job, const struct author *author, const json_t *body,
                              const char **ret_room_id);

#endif

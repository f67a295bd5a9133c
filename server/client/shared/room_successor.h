/* What a user has set for a room follows them into the room that replaces it (client-server-api,
 * "Room upgrades"): tags, push rules of the room, its place among their direct chats. What our
 * server knows of the room follows with the first of them: aliases, the place in the directory. */
#ifndef SERVER_CLIENT_SHARED_ROOM_SUCCESSOR_H
#define SERVER_CLIENT_SHARED_ROOM_SUCCESSOR_H

#include "rooms/room.h"
#include "server/account/caller.h"

/* After the caller has come into the room. Does nothing unless it replaces one they were in. What
 * goes wrong is logged: the user is in the room all the same. */
void room_successor_joined(struct request *rq, struct room *room);

#endif

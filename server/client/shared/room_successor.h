/* Copies a user's settings for a room to the room that replaces it (client-server-api, "Room
 * upgrades"): tags, push rules of the room, its entry in the direct chats. The first such user also
 * moves the server's data: aliases, the entry in the directory. */
#ifndef SERVER_CLIENT_SHARED_ROOM_SUCCESSOR_H
#define SERVER_CLIENT_SHARED_ROOM_SUCCESSOR_H

#include "rooms/room.h"
#include "server/account/caller.h"

/* Call after the caller has joined the room. Does nothing unless it replaces one that the caller
 * was in. Errors are only logged, since the user has joined. */
void room_successor_joined(struct request *rq, struct room *room);

#endif

/* Which servers are in a room: those with joined members, and while the state is partial those that
 * the resident server named. Kept in the cached room. */
#ifndef ROOMS_SERVERS_H
#define ROOMS_SERVERS_H

#include "rooms/room.h"

bool room_has_server(struct room *room, const char *server);
/* All but ours, copied into the arena. */
void room_list_servers(struct job *job, struct room *room, const char *const **ret, size_t *ret_n);
/* For feed listeners, which have no job: calls each for every server but ours, under the room's
 * lock. False: the room is not cached. */
bool room_each_server(struct node *node, int64_t room, void (*each)(void *ctx, const char *server),
                      void *ctx);

/* Also for listeners: how many members the server has there; 0 when the room is not cached. */
int64_t room_server_joined(struct node *node, int64_t room, const char *server);
/* Also for listeners: is that event how our server came into the room, through another one? False
 * when the room is not cached. */
bool room_was_joined_with(struct node *node, int64_t room, int64_t position);

/* May this server take part (m.room.server_acl)? */
const struct err *room_check_acl(struct job *job, struct room *room, const char *server);

#endif

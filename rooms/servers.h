/* The servers in a room: those with joined members, and while the state is partial those that the
 * resident server listed. Kept in the cached room. */
#ifndef ROOMS_SERVERS_H
#define ROOMS_SERVERS_H

#include "rooms/room.h"

bool room_has_server(struct room *room, const char *server);
/* All except ours, copied into the arena. */
void room_list_servers(struct job *job, struct room *room, const char *const **ret, size_t *ret_n);
/* For feed listeners, which have no job: calls each() for every server except ours, under the
 * room's lock. False: the room is not cached; or its state has changed after that position, since
 * it was loaded before changes of other nodes were published here. */
bool room_each_server(struct node *node, int64_t room, int64_t until,
                      void (*each)(void *ctx, const char *server), void *ctx);

/* Also for listeners: the number of joined members of the server; 0 if the room is not cached. */
int64_t room_server_joined(struct node *node, int64_t room, const char *server);
/* Also for listeners: is that event our server's join through another one? False if the room is not
 * cached. */
bool room_was_joined_with(struct node *node, int64_t room, int64_t position);

/* May this server take part (m.room.server_acl)? */
const struct err *room_check_acl(struct job *job, struct room *room, const char *server);

#endif

/* Leaves (rejected invites, withdrawn knocks) that could not be sent to any server of the room:
 * they are stored (storage/servers/pending_leaves.h) and retried. federation_leave itself is in
 * federation/rooms/join.h. */
#ifndef FEDERATION_ROOMS_LEAVE_H
#define FEDERATION_ROOMS_LEAVE_H

#include "federation/tasks.h"
#include "rooms/room.h"
#include "rooms/write/append.h"

/* Of a room and a user; 0, 0: adds one for every stored leave. */
task_fn leave_task;

/* Rejects an invite or withdraws a knock. If no server is reachable, the user leaves the room
 * anyway, and the leave is sent later. */
const struct err *federation_leave(struct job *job, const char *room_id,
                                   const struct author *author, const json_t *content);
/* The same without waiting: the leave is sent later. */
const struct err *federation_leave_unattended(struct job *job, struct room *room,
                                              const struct author *author);

#endif

/* Resync of partial state after a fast join, in the background and across restarts: a server of the
 * room sends the rest (/state), which is merged (rooms/accept/resync.h). */
#ifndef FEDERATION_ROOMS_RESYNC_H
#define FEDERATION_ROOMS_RESYNC_H

#include "federation/federation.h"
#include "federation/tasks.h"

/* Call for a room with partial state. */
void resync_room_later(struct federation *f, int64_t room);
/* Of a room; 0: adds one for every room with partial state. */
task_fn resync_task;

#endif

/* Completing the state that a fast join left partial, in the background and over restarts: a server
 * of the room gives the rest (/state), which is merged (rooms/accept/remote_join.h). */
#ifndef FEDERATION_ROOMS_RESYNC_H
#define FEDERATION_ROOMS_RESYNC_H

#include "federation/federation.h"
#include "federation/tasks.h"

/* The room's state is partial. */
void resync_room_later(struct federation *f, int64_t room);
/* At start: every room whose state is partial. */
task_fn resync_find_interrupted;

#endif

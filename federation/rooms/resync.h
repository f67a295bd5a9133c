/* Completing the state that a fast join left partial, in the background and over restarts: a server
 * of the room gives the rest (/state), which is merged (rooms/accept/enter.h). */
#ifndef FEDERATION_ROOMS_COMPLETE_H
#define FEDERATION_ROOMS_COMPLETE_H

#include "federation/federation.h"
#include "federation/tasks.h"

/* The room's state is partial. */
void complete_room_later(struct federation *f, int64_t room);
/* At start: every room whose state is partial. */
task_fn complete_find_interrupted;

#endif

/* Leaves (rejected invites, withdrawn knocks) that could not be sent to any server of the room:
 * they are stored (storage/servers/pending_leaves.h) and retried. federation_leave itself is in
 * federation/rooms/join.h. */
#ifndef FEDERATION_ROOMS_LEAVE_H
#define FEDERATION_ROOMS_LEAVE_H

#include "federation/tasks.h"

/* At start: adds a task for every stored leave. */
task_fn leave_find_interrupted;

#endif

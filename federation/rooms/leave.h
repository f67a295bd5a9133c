/* Leaves (rejected invites, knocks taken back) of which no server of the room could be told then:
 * they are kept (storage/servers/pending_leaves.h) and tried again. federation_leave itself is in
 * federation/rooms/join.h. */
#ifndef FEDERATION_ROOMS_LEAVE_H
#define FEDERATION_ROOMS_LEAVE_H

#include "federation/tasks.h"

/* At start: every leave that is kept. */
task_fn leave_find_interrupted;

#endif

/* Telling a room elsewhere that one of our users is out of it: for federation/rooms/complete.c,
 * which tries again what failed in federation_leave (federation/rooms/join.h). */
#ifndef FEDERATION_ROOMS_LEAVE_H
#define FEDERATION_ROOMS_LEAVE_H

#include "federation/errands.h"

errand_fn leave_tell_errand; /* rooms.id, users.id; see storage/servers/untold_leaves.h */

#endif

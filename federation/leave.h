/* Telling a room elsewhere that one of our users is out of it: for federation/complete.c, which
 * tries again what failed in federation_leave (federation/join.h). */
#ifndef FEDERATION_LEAVE_H
#define FEDERATION_LEAVE_H

#include "federation/errands.h"

errand_fn leave_tell_errand; /* rooms.id, users.id; see storage/untold_leaves.h */

#endif

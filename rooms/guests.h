/* Guests in rooms (client-server-api, "Guest Access"). */
#ifndef ROOMS_GUESTS_H
#define ROOMS_GUESTS_H

#include "rooms/write/basis.h"

/* M_GUEST_ACCESS_FORBIDDEN unless the room's state allows guests to join. */
const struct err *guests_check_access(struct basis *on);

/* Makes our guests leave a room that guests may not join any more. */
const struct err *guests_remove(struct job *job, struct room *room);
const struct err *guests_remove_one(struct job *job, struct room *room, const struct author *guest);

#endif

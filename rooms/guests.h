/* Guests in rooms (client-server-api, "Guest Access"): where they may be. */
#ifndef ROOMS_GUESTS_H
#define ROOMS_GUESTS_H

#include "rooms/write/basis.h"

/* M_GUEST_ACCESS_FORBIDDEN unless the room's state says that guests can join. */
const struct err *guests_check_access(struct basis *on);

/* Where guests may not join any more, they may not stay either: ours leave. */
const struct err *guests_remove(struct job *job, struct room *room);
const struct err *guests_remove_one(struct job *job, struct room *room, const struct author *guest);

#endif

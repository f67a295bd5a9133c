/* Events that another server will sign: make_join, make_leave, make_knock, exchanged third-party
 * invites. Built on the room's head like one of our own, checked by the rules, and not stored. */
#ifndef ROOMS_WRITE_TEMPLATE_H
#define ROOMS_WRITE_TEMPLATE_H

#include "rooms/write/append.h"

/* The event without hashes and signatures, as the `event` of a make_… reply. M_FORBIDDEN if it is
 * not allowed. */
const struct err *room_template(struct job *job, struct room *room, const char *sender,
                                const struct new_event *e, json_t **ret);

#endif

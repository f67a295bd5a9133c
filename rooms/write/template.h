/* Events that another server is going to sign: make_join, make_leave, make_knock, exchanged
 * third-party invites. Built on the room's head like one of our own, judged by the rules, and not
 * stored. */
#ifndef ROOMS_WRITE_TEMPLATE_H
#define ROOMS_WRITE_TEMPLATE_H

#include "rooms/write/append.h"

/* The event without hashes and signatures, as the `event` of a make_… reply. M_FORBIDDEN when the
 * rules would refuse it. */
const struct err *room_template(struct job *job, struct room *room, const char *sender,
                                const struct new_event *e, json_t **ret);

#endif

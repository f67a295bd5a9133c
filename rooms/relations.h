/* Relations between events (client-server-api, "Forming relationships between events"): what a new
 * event relates to, and whether it may. */
#ifndef ROOMS_RELATIONS_H
#define ROOMS_RELATIONS_H

#include "rooms/room.h"
#include "storage/events.h"

/* ret: parent NULL when the event relates to nothing. ret_thread: position of the thread's root; 0
 * for the main timeline. M_DUPLICATE_ANNOTATION when the sender annotated the same event with the
 * same key before; M_UNKNOWN for a thread that would start at an event which is in a thread. */
const struct err *relation_of_new_event(struct job *job, struct room *room, const struct event *e,
                                        struct relation *ret, int64_t *ret_thread);

#endif

/* Bounds a room's forward extremities. Each event of another server that cites none of them adds
 * one, and each of them has a cost with every further event. If there are more than one event can
 * cite (EVENT_PREV_MAX), dummy events of one of our users merge them. These are not sent to clients
 * or other servers; servers fetch them when later events cite them. */
#ifndef ROOMS_WRITE_EXTREMITIES_H
#define ROOMS_WRITE_EXTREMITIES_H

#include "rooms/room.h"

/* Merges them if they are too many. If that fails, or none of our users may send, it is tried again
 * after a later event. Call without locks; returns when it is committed. */
void extremities_gather(struct job *job, struct room *room);

#endif

/* A room's forward extremities are bounded. Each event of another server that cites none of them
 * adds one, and each of them costs something with every event that comes. When there are more than
 * one event can cite (EVENT_PREV_MAX), one of our users who may brings them together by dummy
 * events, which clients are not shown and other servers are not sent: they ask for them when
 * something follows. */
#ifndef ROOMS_WRITE_EXTREMITIES_H
#define ROOMS_WRITE_EXTREMITIES_H

#include "rooms/room.h"

/* Brings them together if they are too many. What fails, or if none of us may send, is tried again
 * after a later event. Call without locks; returns when it is committed. */
void extremities_gather(struct job *job, struct room *room);

#endif

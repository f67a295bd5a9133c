/* Finding the place in a room's timeline where something was said at a certain time.
 *
 * The log is in the order of arrival, not of origin_server_ts, which any server may set as it
 * likes; there is no index of times. The place is found by bisection, as if times grew along the
 * log: where a few events have strange times it is still close, and who wants an event looks around
 * it. */
#ifndef ROOMS_READ_EVENT_BY_TIME_H
#define ROOMS_READ_EVENT_BY_TIME_H

#include "rooms/room.h"
#include "storage/rooms/events.h"

/* The place (rooms/read/walk.h) in front of the first event that is not older than ts. */
const struct err *event_by_time_position(struct job *job, struct room *room, int64_t ts,
                                         int64_t *ret);

/* Makes this event the closest one if it is closer to ts than the one so far (NULL: none) and not
 * on the wrong side; of several at one time the first stays. */
void event_by_time_closest(const struct event *e, int64_t ts, bool backwards,
                           const struct event **closest);

#endif

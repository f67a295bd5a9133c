/* Finding the place in a room's timeline that corresponds to a time.
 *
 * The log is in the order of arrival, not of origin_server_ts, which any server may set as it
 * likes; there is no index of times. The place is found by bisection, as if times grew along the
 * log. If a few events have odd times it is still close, and the caller searches around it. */
#ifndef ROOMS_READ_EVENT_BY_TIME_H
#define ROOMS_READ_EVENT_BY_TIME_H

#include "rooms/room.h"
#include "storage/rooms/events.h"

/* The place (rooms/read/walk.h) before the first event that is not older than ts. */
const struct err *event_by_time_position(struct job *job, struct room *room, int64_t ts,
                                         int64_t *ret);

/* Makes this event the closest one if it is closer to ts than the one so far (NULL: none) and not
 * on the wrong side; of several with the same time the first is kept. */
void event_by_time_closest(const struct event *e, int64_t ts, bool backwards,
                           const struct event **closest);

#endif

/* The event closest to a time, where our own history has a gap around it (server-server-api,
 * "Retrieving events", timestamp_to_event). */
#ifndef FEDERATION_ROUTES_TIMESTAMP_H
#define FEDERATION_ROUTES_TIMESTAMP_H

#include "rooms/room.h"

/* Asks servers of the room, a few in turn; blocks. *ret_event_id: one at or after ts (backwards: at
 * or before it), which they claim is in the room; NULL when none of them knows any. */
const struct err *federation_event_by_time(struct job *job, struct room *room, int64_t ts,
                                           bool backwards, const char **ret_event_id,
                                           int64_t *ret_ts, const char **ret_server);

/* Has history fetched until the event is in our timeline, within bounds. If that does not reach so
 * far back, *ret_here is false, and *ret_exists says whether the server really has such an event of
 * that time. */
const struct err *federation_reach_event(struct job *job, struct room *room, const char *server,
                                         const char *event_id, int64_t ts, bool *ret_here,
                                         bool *ret_exists);

#endif

/* The event closest to a time for which our own history has a gap (server-server-api, "Retrieving
 * events", timestamp_to_event). */
#ifndef FEDERATION_ROUTES_TIMESTAMP_H
#define FEDERATION_ROUTES_TIMESTAMP_H

#include "rooms/room.h"

/* Asks a few servers of the room, one after the other; blocks. *ret_event_id: an event at or after
 * ts (backwards: at or before it) that they claim is in the room; NULL if none has any. */
const struct err *federation_event_by_time(struct job *job, struct room *room, int64_t ts,
                                           bool backwards, const char **ret_event_id,
                                           int64_t *ret_ts, const char **ret_server);

/* Fetches history, within bounds, until the event is in our timeline. If that does not reach so far
 * back, *ret_here is false, and *ret_exists says whether the server really has such an event. */
const struct err *federation_reach_event(struct job *job, struct room *room, const char *server,
                                         const char *event_id, int64_t ts, bool *ret_here,
                                         bool *ret_exists);

#endif

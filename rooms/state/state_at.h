/* The state of a room at any stored event (docs/architecture.md, "State as intervals").
 *
 * The state before an event that extended the room's head is the state at its position: an index
 * range of room_state. Events on forks, in history from before our join, and off the timeline have
 * a reference (state_refs): a base position and a chain of differences. */
#ifndef ROOMS_STATE_STATE_AT_H
#define ROOMS_STATE_STATE_AT_H

#include "rooms/room.h"
#include "storage/rooms/events.h"

/* One key's event before (after) the event at this position; NULL when there is none. */
const struct err *state_before_get(struct job *job, struct room *room, int64_t position,
                                   int64_t type, const char *state_key,
                                   const struct stored_event **ret);
const struct err *state_after_get(struct job *job, struct room *room, int64_t position,
                                  int64_t type, const char *state_key,
                                  const struct stored_event **ret);

/* The whole state before the event. ret_known false: it is an outlier, whose state is not known. */
const struct err *state_before_list(struct job *job, struct room *room, int64_t position,
                                    const struct stored_event **ret, size_t *ret_n,
                                    bool *ret_known);
/* The same without member events: cheap in rooms of any size. */
const struct err *state_before_list_without_members(struct job *job, struct room *room,
                                                    int64_t position,
                                                    const struct stored_event **ret, size_t *ret_n,
                                                    bool *ret_known);

/* May this server see the event (server_in_room and history visibility at the event)? Sets
 * ret_visible[i]; the caller sends invisible events redacted or not at all. */
const struct err *visibility_for_server(struct job *job, struct room *room, const char *server,
                                        const struct stored_event *const *events, size_t n,
                                        bool *ret_visible);

#endif

/* Partial state: a room that was joined without its members, or without all of a large state, and
 * the resync that adds the rest. Rooms to be resynced after a start:
 * storage/rooms/partial_rooms.h. */
#ifndef ROOMS_ACCEPT_RESYNC_H
#define ROOMS_ACCEPT_RESYNC_H

#include "rooms/room.h"

struct received_state; /* rooms/accept/remote_join.h */

/* Adds the received state that the room lacks (members, and other state with a key) to the current
 * state, in bounded writes; changes since the join win. Then clears the partial flag and wakes the
 * waiting requests. Can be repeated after a restart. */
const struct err *room_resync(struct job *job, struct room *room,
                              const struct received_state *remote);

bool room_is_partial(struct room *room);
/* Waits until the state is complete; *room is then the reloaded room. *ret false: the deadline
 * (mono_ms) passed. */
const struct err *room_await_resync(struct job *job, struct room **room, int64_t deadline_mono_ms,
                                    bool *ret);

#endif

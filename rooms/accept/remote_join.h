/* Rooms that live elsewhere: entering one with the state another server tells, completing that
 * state later, and noting what happens to our users in rooms that we are not in.
 *
 * What other servers tell comes checked (federation/in/pdu.h). */
#ifndef ROOMS_ACCEPT_REMOTE_JOIN_H
#define ROOMS_ACCEPT_REMOTE_JOIN_H

#include "rooms/room.h"

struct received_state {
    const struct event *const *state; /* the state before the join event */
    size_t state_n;
    const struct event *const *auth_chain;
    size_t auth_n;
};

struct remote_join {
    const struct room_version *version;
    const char *room_id;
    struct received_state remote;
    const struct event *join;   /* of one of our users */
    bool is_partial;            /* member events were left out (omit_members) ... */
    const char *const *servers; /* ... and these servers are in the room; else NULL */
    size_t servers_n;
    const char *resident; /* the server that told it: completes it later */
};

/* Makes our server part of the room: judges state and auth chain (those that fail
 * are left out), then the join by them (M_FORBIDDEN), makes it the room's current state and the
 * join its only extremity. The room may be known already (invites, an earlier stay): its state is
 * then replaced, and what was before stays history.
 *
 * This is one atomic write of bounded size. When the state is larger (rooms/accept/remote_state.h)
 * the room is partial afterwards: call room_resync() with the same state. */
const struct err *room_join_remote(struct job *job, const struct remote_join *entry,
                                   struct room **ret);

/* The state of a partially joined room became complete: merges what was left out (members, and
 * other state with a key) into the current state, in bounded writes; what happened since the join
 * wins. Then clears the partial flag and wakes those who wait for it. Can be repeated after a
 * restart. */
const struct err *room_resync(struct job *job, struct room *room,
                              const struct received_state *remote);

/* Rooms whose state is partial, to be completed after a start: storage/rooms/partial_rooms.h. */

bool room_is_partial(struct room *room);
/* Waits until the state is whole; *room is then the room read anew. *ret false: the deadline
 * (mono_ms) passed. */
const struct err *room_await_resync(struct job *job, struct room **room, int64_t deadline_mono_ms,
                                    bool *ret);

/* A member event about one of our users in a room that our server is not in: invited, invite taken
 * back, rejected, knocking, knock taken back or refused. The user is told. There is no state to
 * judge by: the user who ends an invite must be of the inviting server, and there must be one
 * (M_FORBIDDEN). Makes the room's row when there is none. */
struct room_note {
    const struct room_version *version;
    const char *room_id;
    const struct event *event;
    struct str stripped; /* invite_room_state or knock_room_state: a JSON array; p NULL: none */
    bool proves_version; /* the room's create event came along, signed by its maker */
};
const struct err *room_note_membership(struct job *job, const struct room_note *note);

/* Is one of our users joined (is our server a resident of the room)? */
bool room_is_resident(struct room *room);

#endif

/* Joining a room with the state received from a resident server, and storing memberships of our
 * users in rooms that our server is not in. Format, hash and signatures of the events were checked
 * before (federation/in/pdu.h). */
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
    const char *resident; /* the server that sent the state, which a resync asks first */
    int64_t node; /* which must hold the join (storage/servers/joins.h); 0: that is not checked */
};

/* Makes our server part of the room: checks state and auth chain (events that fail are left out),
 * then the join by them (M_FORBIDDEN), makes them the room's current state and the join its only
 * extremity. The room may be known already (by invites, or a former membership): then its state is
 * replaced, and its earlier events remain as history.
 *
 * ERR_LEASE_LOST: another node has taken over the join.
 *
 * This is one atomic write of bounded size. When the state is larger (rooms/accept/remote_state.h)
 * the room is partial afterwards: call room_resync() with the same state. */
const struct err *room_join_remote(struct job *job, const struct remote_join *entry,
                                   struct room **ret);

/* Stores a member event about one of our users in a room that our server is not in, and sends it to
 * the user: an invite or knock, or its retraction or rejection. There is no state to check it by:
 * an invite must exist and may only be retracted by a user of the inviting server (M_FORBIDDEN).
 * Adds the room's row if there is none. */
struct room_note {
    const struct room_version *version;
    const char *room_id;
    const struct event *event;
    struct str stripped; /* invite_room_state or knock_room_state: a JSON array; p NULL: none */
    bool proves_version; /* the room's create event was sent along, signed by its server */
};
const struct err *room_note_membership(struct job *job, const struct room_note *note);

/* Is one of our users joined (is our server a resident of the room)? */
bool room_is_resident(struct room *room);

#endif

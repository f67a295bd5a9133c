/* A room's state received from another server: the replies of send_join and /state
 * (server-server-api). Parsed piece by piece from the bytes, then checked like any PDU. */
#ifndef FEDERATION_ROOMS_STATE_REPLY_H
#define FEDERATION_ROOMS_STATE_REPLY_H

#include "federation/in/pdu.h"
#include "rooms/accept/remote_join.h"

struct state_reply {
    struct pdu *pdus; /* first the state, then the auth chain */
    size_t state_n, n;
    struct str event; /* send_join: our event as the other server signed it; p NULL: absent */
    bool members_omitted;
    const char *const *servers; /* servers_in_room */
    size_t servers_n;
};

/* state_key: "state" for a reply of send_join, "pdus" for /state. Bounded; M_BAD_JSON, M_TOO_LARGE.
 * The bytes must be valid JSON and outlive *ret. */
const struct err *state_reply_read(struct job *job, struct str reply, const char *state_key,
                                   struct state_reply *ret);

/* Checks format, hashes and signatures of all. Invalid events are dropped; events that are not
 * state, or repeat a state key, are not part of the state. M_BAD_JSON if the create event is
 * missing, or has another room version. */
const struct err *state_reply_check(struct job *job, const struct room_version *v,
                                    const char *room_id, const struct state_reply *reply_state,
                                    struct received_state *ret);

/* Adds omitted members that authorise the event (its sender's invite, the authorising user) to the
 * state: they are only in the auth chain. */
void state_reply_add_cited_members(struct arena *a, const struct event *event,
                                   struct received_state *reply_state);

#endif

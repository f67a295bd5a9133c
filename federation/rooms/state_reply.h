/* A room's state as another server tells it: the replies of send_join and /state
 * (server-server-api). Read piece by piece from the bytes, then checked like any PDU. */
#ifndef FEDERATION_ROOMS_STATE_REPLY_H
#define FEDERATION_ROOMS_STATE_REPLY_H

#include "federation/in/pdu.h"
#include "rooms/accept/remote_join.h"

struct state_reply {
    struct pdu *pdus; /* first the state, then the auth chain */
    size_t state_n, n;
    struct str event; /* send_join: our event as the other server signed it; p NULL: not told */
    bool members_omitted;
    const char *const *servers; /* servers_in_room */
    size_t servers_n;
};

/* state_key: "state" in a reply of send_join, "pdus" in one of /state. Bounded; M_BAD_JSON,
 * M_TOO_LARGE. The bytes must be valid JSON and outlive *ret. */
const struct err *state_reply_read(struct job *job, struct str reply, const char *state_key,
                                   struct state_reply *ret);

/* Format, hashes and signatures of all. What fails is left out; what is no state, or comes a second
 * time for the same key, is no part of the state. M_BAD_JSON when the create event is not among
 * it, or makes a room of another version. */
const struct err *state_reply_check(struct job *job, const struct room_version *v,
                                    const char *room_id, const struct state_reply *reply_state,
                                    struct received_state *ret);

/* Of the members that were left out, those by whom the event is authorised (its sender's
 * invitation, the user who vouches for it): they are in the auth chain, and part of the state
 * before the event. */
void state_reply_add_cited_members(struct arena *a, const struct event *event,
                                   struct received_state *reply_state);

#endif

/* Taking events of other servers into a room (server-server-api, "Checks performed on receipt of a
 * PDU", steps 4 to 6). Format, hash and signatures were checked before (federation/in/pdu.h).
 *
 * An event is judged by its auth events, by the state before it, and by the current state (soft
 * fail), in that order. What is accepted gets a position of the log and is told to everybody; what
 * is rejected or soft-failed is stored aside, so that it is known when others refer to it. State
 * that a fork changes is resolved, and the outcome becomes new intervals. Nothing is fetched: what
 * is missing is returned. */
#ifndef ROOMS_ACCEPT_ACCEPT_H
#define ROOMS_ACCEPT_ACCEPT_H

#include "rooms/room.h"
#include "storage/rooms/events.h"

struct incoming {
    const struct event *event; /* kept by the job's arena */
    bool relay;                /* it came to us as resident server: we tell the others */
    /* Set when its prev events cannot be had: the ids of the whole state before it, as another
     * server tells it (/state_ids). Those events must be stored (outliers_store) or are missing. */
    const char *const *state_ids;
    size_t state_n;
    struct str stripped; /* of an invite or knock: invite_room_state; p NULL: made here */
};

enum accept_verdict {
    VERDICT_ACCEPTED,
    VERDICT_KNOWN,       /* was here already, whatever became of it */
    VERDICT_SOFT_FAILED, /* stored aside; no client is told */
    VERDICT_REJECTED,    /* stored aside; the reason says why */
    VERDICT_MISSING      /* not stored: `missing` are not here */
};

struct accept_outcome {
    enum accept_verdict verdict;
    int64_t position; /* of the stored event; see storage/rooms/events.h for those that are aside */
    const char *reason; /* REJECTED, SOFT_FAILED: a sentence for the other server */
    const char *const *missing_prev, *const *missing_auth; /* event ids, in the arena */
    size_t missing_prev_n, missing_auth_n;
    bool is_large; /* MISSING, and nothing is: it is left for room_accept */
};

/* Events of one room, parents before children; those whose parents are neither here nor earlier in
 * the list come out as MISSING. Returns when everything is committed and published: as few commits
 * as the events allow. ret: n outcomes. Errors are our own failures; what was committed before one
 * stays, and a repeated call finds it KNOWN. */
const struct err *room_accept(struct job *job, struct room *room, const struct incoming *events,
                              size_t n, struct accept_outcome *ret);

/* The same for who must not compute for long: events of a fork whose branches differ in more than a
 * thousand keys, or that has more than a hundred, are left as MISSING with is_large. Each costs
 * tens of milliseconds at least, and others shall not wait for that. room_accept takes them. */
const struct err *room_accept_unless_large(struct job *job, struct room *room,
                                           const struct incoming *events, size_t n,
                                           struct accept_outcome *ret);

/* The usual events of many rooms at once (those that simply go on from a room's head, in the order
 * in which they are given), looked up together and stored in one commit. */
struct accept_room {
    struct room *room; /* each room once */
    const struct incoming *events;
    size_t n;
    struct accept_outcome *outcomes; /* n */
    size_t taken; /* out: so many of them, from the first on; the others are for room_accept */
};
const struct err *rooms_accept_usual(struct job *job, struct accept_room *rooms, size_t n);

#endif

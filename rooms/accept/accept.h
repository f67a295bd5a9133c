/* Taking events of other servers into a room: the last steps of rooms/accept/steps.def. Format,
 * hash and signatures were checked before (federation/in/pdu.h).
 *
 * Accepted events get a position of the log and are sent to clients; rejected
 * and soft-failed ones are stored off the timeline, since other events may refer to them. State
 * that a fork changes is resolved, and the outcome becomes new intervals. Nothing is fetched: the
 * ids of missing events are returned. */
#ifndef ROOMS_ACCEPT_ACCEPT_H
#define ROOMS_ACCEPT_ACCEPT_H

#include "rooms/accept/steps.h"
#include "rooms/room.h"
#include "storage/rooms/events.h"

struct incoming {
    const struct event *event; /* kept by the job's arena */
    bool relay;                /* received as resident server: we send it to the others */
    /* Set when its prev events cannot be fetched: the ids of the whole state before it, by another
     * server's /state_ids. Events that are not stored (outliers_store) are reported as missing. */
    const char *const *state_ids;
    size_t state_n;
    struct str stripped; /* of an invite or knock: invite_room_state; p NULL: made here */
};

enum accept_verdict {
    VERDICT_ACCEPTED,
    VERDICT_KNOWN,       /* already stored, with any status */
    VERDICT_SOFT_FAILED, /* stored off the timeline; not sent to clients */
    VERDICT_REJECTED,    /* stored off the timeline; see `reason` */
    VERDICT_MISSING      /* not stored, since events that it cites are not */
};

struct accept_outcome {
    enum accept_verdict verdict;
    enum pdu_step step; /* that the verdict comes from */
    int64_t position; /* of the stored event; negative off the timeline (storage/rooms/events.h) */
    const char *reason; /* REJECTED, SOFT_FAILED: a sentence for the other server */
    const char *const *missing_prev, *const *missing_auth; /* event ids, in the arena */
    size_t missing_prev_n, missing_auth_n;
    bool is_large; /* MISSING although nothing is missing: it is left for room_accept */
};

/* Takes in events of one room, parents before children; those whose parents are neither stored nor
 * earlier in the list are MISSING. Returns when everything is committed and published, with as few
 * commits as the events allow. ret: n outcomes. Errors are our own failures; events committed
 * before one stay, and a repeated call finds them KNOWN. */
const struct err *room_accept(struct job *job, struct room *room, const struct incoming *events,
                              size_t n, struct accept_outcome *ret);

/* The same for callers that must not compute for long: events of a fork whose branches differ in
 * more than a thousand keys, or that has more than a hundred branches, are left as MISSING with
 * is_large. Each costs at least tens of milliseconds, for which others should not wait. room_accept
 * takes them. */
const struct err *room_accept_unless_large(struct job *job, struct room *room,
                                           const struct incoming *events, size_t n,
                                           struct accept_outcome *ret);

/* The usual events of many rooms at once (those that extend a room's head, in the given order),
 * looked up together and stored in one commit. */
struct accept_room {
    struct room *room; /* each room once */
    const struct incoming *events;
    size_t n;
    struct accept_outcome *outcomes; /* n */
    size_t taken; /* out: the number of events taken, from the first on; the others are for
                     room_accept */
};
const struct err *rooms_accept_usual(struct job *job, struct accept_room *rooms, size_t n);

#endif

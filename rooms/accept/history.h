/* Old events of a room that were fetched from other servers: a place in the timeline before what is
 * here (storage/rooms/events.h: negative positions, newest first). No client is told of them;
 * /messages finds them. */
#ifndef ROOMS_ACCEPT_HISTORY_H
#define ROOMS_ACCEPT_HISTORY_H

#include "rooms/room.h"
#include "storage/rooms/events.h"

/* Where history ends: timeline events some of whose prev events are not in the timeline. At most
 * max, the newest first; n == 0: nothing is missing. What is fetched for any of them goes before
 * all that is here, so that a walk back comes to it at last wherever it began. */
struct history_end {
    const char *event_id;
    int64_t position, depth;
    const char *const *missing; /* its prev events that are not here */
    size_t missing_n;
};
const struct err *history_ends(struct job *job, struct room *room, size_t max,
                               const struct history_end **ret, size_t *ret_n);

/* Adds a stretch of history: checked events, any order, that lead back from what is missing. The
 * state before the oldest of them, as another server tells it (/state_ids); those events are stored
 * (outliers_store). Events that fail the auth rules are kept aside. ret_added: how many came into
 * the timeline. */
const struct err *history_add(struct job *job, struct room *room, const struct event *const *events,
                              size_t n, const char *const *state_ids, size_t state_n,
                              size_t *ret_added);

#endif

/* Old events of a room that were fetched from other servers (backfill): they get positions in the
 * timeline before the stored ones (storage/rooms/events.h: negative, newest first). They are not
 * sent to clients by /sync; /messages finds them. */
#ifndef ROOMS_ACCEPT_HISTORY_H
#define ROOMS_ACCEPT_HISTORY_H

#include "rooms/room.h"
#include "storage/rooms/events.h"

/* Backward extremities: timeline events some of whose prev events are not in the timeline. At most
 * max, the newest first; n == 0: nothing is missing. Events fetched for any of them are put before
 * all stored ones, so that every walk back reaches them. */
struct history_end {
    const char *event_id;
    int64_t position, depth;
    const char *const *missing; /* its prev events that are not stored */
    size_t missing_n;
};
const struct err *history_ends(struct job *job, struct room *room, size_t max,
                               const struct history_end **ret, size_t *ret_n);

/* Adds history: checked events, in any order, that lead back from missing ones. state_ids: the
 * state before the oldest of them, by another server's /state_ids; those events are stored
 * (outliers_store). Events that fail the auth rules are stored off the timeline. ret_added: how
 * many were added to the timeline. */
const struct err *history_add(struct job *job, struct room *room, const struct event *const *events,
                              size_t n, const char *const *state_ids, size_t state_n,
                              size_t *ret_added);

#endif

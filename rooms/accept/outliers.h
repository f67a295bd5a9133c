/* Outliers: state and auth events received from another server, stored off the timeline. */
#ifndef ROOMS_ACCEPT_OUTLIERS_H
#define ROOMS_ACCEPT_OUTLIERS_H

#include "rooms/room.h"

struct event;

/* Stores these events, given in any order, as outliers. Each is judged by its auth events alone.
 * Events that are already stored are skipped; those whose auth events are neither stored nor in the
 * list are left out, and the missing ids put into ret_missing (NULL: not wanted). */
const struct err *outliers_store(struct job *job, struct room *room,
                                 const struct event *const *events, size_t n,
                                 const char *const **ret_missing, size_t *ret_missing_n);

/* Which of these ids are not stored at all. */
const struct err *events_unknown(struct job *job, struct room *room, const char *const *ids,
                                 size_t n, const char *const **ret, size_t *ret_n);

#endif

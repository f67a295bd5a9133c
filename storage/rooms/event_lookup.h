/* Stored events by their ids, many at once. */
#ifndef STORAGE_ROOMS_EVENT_LOOKUP_H
#define STORAGE_ROOMS_EVENT_LOOKUP_H

#include "storage/rooms/events.h"

/* Those that are stored, of this room, in no particular order. */
const struct err *events_find_many(struct tx *tx, int64_t room, const struct room_version *v,
                                   const char *const *ids, size_t n,
                                   const struct stored_event **ret, size_t *ret_n);

/* The ids whose events are not stored, or are outliers, so that the state before them is not known
 * (rooms/state/lookup.h, known_is_placed). */
const struct err *events_find_unplaced(struct tx *tx, int64_t room, const struct room_version *v,
                                       const char *const *ids, size_t n, const char *const **ret,
                                       size_t *ret_n);

/* The ids of these events and of their auth chains, also of events that are not stored; at most
 * `limit`. */
const struct err *events_find_auth_chain(struct tx *tx, int64_t room, const struct room_version *v,
                                         const char *const *ids, size_t n, size_t limit,
                                         const char *const **ret, size_t *ret_n);

/* Events of all rooms in the order of the log: from < position <= to. */
const struct err *events_of_log(struct tx *tx, int64_t from, int64_t to, int64_t limit,
                                const struct stored_event **ret, size_t *ret_n);

#endif

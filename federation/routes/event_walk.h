/* Walks back through a room along prev_events, as other servers request it ("Backfilling and
 * retrieving missing events"). */
#ifndef FEDERATION_ROUTES_EVENT_WALK_H
#define FEDERATION_ROUTES_EVENT_WALK_H

#include "rooms/room.h"
#include "storage/rooms/events.h"

struct event_walk {
    const char *const *from; /* event ids */
    size_t from_n;
    bool with_from; /* include the events of `from` */
    const char *const *until;
    size_t until_n; /* exclude these, and do not walk past them */
    int64_t min_depth;
    size_t limit;
};

/* The stored events, deepest first. Rejected events are walked through but not returned. */
const struct err *event_walk_back(struct job *job, struct room *room, const struct event_walk *w,
                                  const struct stored_event ***ret, size_t *ret_n);

#endif

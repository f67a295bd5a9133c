/* Walking back through a room by what its events refer to (prev_events), as other servers ask for
 * it ("Backfilling and retrieving missing events"). */
#ifndef FEDERATION_ROUTES_EVENT_WALK_H
#define FEDERATION_ROUTES_EVENT_WALK_H

#include "rooms/room.h"
#include "storage/rooms/events.h"

struct event_walk {
    const char *const *from; /* event ids */
    size_t from_n;
    bool with_from; /* they are part of the answer */
    const char *const *until;
    size_t until_n; /* neither these nor what is only before them */
    int64_t min_depth;
    size_t limit;
};

/* Those that are here, the deepest first. Rejected events are walked over. */
const struct err *event_walk_back(struct job *job, struct room *room, const struct event_walk *w,
                                  const struct stored_event ***ret, size_t *ret_n);

#endif

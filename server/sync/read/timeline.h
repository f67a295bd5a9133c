/* The newest events of a room in a range, as one reader may see them. */
#ifndef SERVER_SYNC_READ_TIMELINE_H
#define SERVER_SYNC_READ_TIMELINE_H

#include "rooms/read/serialize.h"
#include "server/sync/read/rooms.h"

struct sync_timeline {
    const struct stored_event **shown; /* oldest first */
    size_t shown_n;
    /* State events that the filter or the history visibility kept out of the timeline, oldest
     * first; only those after its start. */
    const struct stored_event **hidden;
    size_t hidden_n;
    bool limited;
    int64_t start; /* the first position that the timeline covers: older changes are state */
    enum relations_known relations;
};

/* At most filter->limit events (LIMIT_DEFAULT if none is given). In the arena, or the feed's, held
 * by the job. From the feed without SQL, if it reaches back to the range's start and the user has
 * been in the room all the time; else at most ten pages from the database. */
const struct err *sync_timeline_read(const struct sync_reader *who, const struct sync_range *range,
                                     const struct sync_room *room,
                                     const struct event_filter *filter, struct sync_timeline *ret);

#endif

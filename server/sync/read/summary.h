/* A room's summary: heroes and member counts (MSC688), from the cached room, without SQL. */
#ifndef SERVER_SYNC_READ_SUMMARY_H
#define SERVER_SYNC_READ_SUMMARY_H

#include "server/sync/read/timeline.h"

struct sync_summary {
    const char *const
        *heroes; /* user ids, at most 5, in the arena; none where the room has a name */
    size_t heroes_n;
    int64_t joined, invited;
};

/* Whether the summary may have changed in the range. */
bool sync_summary_is_due(const struct sync_room *room, const struct sync_timeline *line);

const struct err *sync_summary_read(const struct sync_reader *who, struct room *room,
                                    struct sync_summary *ret);

#endif

/* Walking the tree of a space (client-server-api, "Spaces"): depth first, each room once. */
#ifndef ROOMS_HIERARCHY_H
#define ROOMS_HIERARCHY_H

#include "rooms/room.h"

enum { HIERARCHY_PAGE_DEFAULT = 50, HIERARCHY_PAGE_MAX = 100, HIERARCHY_DEPTH_MAX = 50 };

struct hierarchy_query {
    int64_t user; /* who looks */
    bool suggested_only;
    int64_t max_depth; /* 0: the room alone */
    int64_t limit;     /* rooms a page */
    const char *from;  /* token of an earlier page; NULL: from the start */
};

/* Writes the whole reply. M_FORBIDDEN when the user may not see the room itself, M_INVALID_PARAM
 * for a token that is none, or of other parameters. */
const struct err *hierarchy_list(struct job *job, const char *room_id,
                                 const struct hierarchy_query *q, struct buf *out);

#endif

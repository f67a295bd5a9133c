/* Walking the tree of a space (client-server-api, "Spaces"): depth first, each room once. */
#ifndef ROOMS_READ_HIERARCHY_H
#define ROOMS_READ_HIERARCHY_H

#include "rooms/room.h"

enum { HIERARCHY_PAGE_DEFAULT = 50, HIERARCHY_PAGE_MAX = 100, HIERARCHY_DEPTH_MAX = 50 };

/* A room that we are not in, as another server describes it, checked. */
struct space_answer {
    const json_t *room;     /* RoomSummary with children_state; NULL: no server has it */
    const json_t *children; /* RoomSummaries of its children, as far as they are accessible ... */
    const json_t *inaccessible; /* ... and the ids of the others */
    bool is_later; /* the limit of requests for one page was reached: no server was asked */
};

/* Asks other servers, which rooms/ cannot do itself. via: servers that may know the room. */
struct space_asker {
    const struct err *(*ask)(void *ctx, struct job *job, const char *room_id,
                             const char *const *via, size_t via_n, struct space_answer *ret);
    void *ctx;
};

struct hierarchy_query {
    int64_t user; /* the viewer */
    bool suggested_only;
    int64_t max_depth; /* 0: only the room */
    int64_t limit;     /* rooms a page */
    const char *from;  /* token of an earlier page; NULL: from the start */
    struct space_asker asker;
    const char *const *via; /* servers to ask for the room itself, if we are not in it */
    size_t via_n;
};

/* Writes the whole reply. M_FORBIDDEN if the user may not see the room itself, M_INVALID_PARAM for
 * a token that is invalid or of other parameters; errors of the asker. */
const struct err *hierarchy_list(struct job *job, const char *room_id,
                                 const struct hierarchy_query *q, struct buf *out);

#endif

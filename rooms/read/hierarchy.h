/* Walking the tree of a space (client-server-api, "Spaces"): depth first, each room once. */
#ifndef ROOMS_READ_HIERARCHY_H
#define ROOMS_READ_HIERARCHY_H

#include "rooms/room.h"

enum { HIERARCHY_PAGE_DEFAULT = 50, HIERARCHY_PAGE_MAX = 100, HIERARCHY_DEPTH_MAX = 50 };

/* A room that we are not in, as another server tells of it, checked. */
struct space_answer {
    const json_t *room;         /* RoomSummary with children_state; NULL: no server tells */
    const json_t *children;     /* the same of its children, as far as they may be seen ... */
    const json_t *inaccessible; /* ... and the ids of those that may not */
    bool is_later;              /* enough was asked for one page: no server was asked for this */
};

/* Finds that out: the rooms' floor cannot ask by itself. via: servers that may know. */
struct space_asker {
    const struct err *(*ask)(void *ctx, struct job *job, const char *room_id,
                             const char *const *via, size_t via_n, struct space_answer *ret);
    void *ctx;
};

struct hierarchy_query {
    int64_t user; /* who looks */
    bool suggested_only;
    int64_t max_depth; /* 0: the room alone */
    int64_t limit;     /* rooms a page */
    const char *from;  /* token of an earlier page; NULL: from the start */
    struct space_asker asker;
    const char *const *via; /* servers to ask for the room itself, if we are not in it */
    size_t via_n;
};

/* Writes the whole reply. M_FORBIDDEN when the user may not see the room itself, M_INVALID_PARAM
 * for a token that is none, or of other parameters; errors of the asker. */
const struct err *hierarchy_list(struct job *job, const char *room_id,
                                 const struct hierarchy_query *q, struct buf *out);

#endif

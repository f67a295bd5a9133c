/* The summary and the children of a space (client-server-api, "Spaces"). */
#ifndef ROOMS_READ_SPACE_H
#define ROOMS_READ_SPACE_H

#include "rooms/read/summary.h"

enum { SPACE_VIA_MAX = 5, SPACE_CHILDREN_MAX = 1000 };

/* A valid m.space.child. */
struct space_child {
    const char *room_id;
    const char *order; /* NULL: no valid one */
    int64_t ts;
    const char *via[SPACE_VIA_MAX]; /* servers to ask */
    size_t via_n;
    const struct event *event; /* ours, in memory */
    struct str shown; /* if `event` is NULL: the stripped event with origin_server_ts, JSON */
};

/* The children of a room that we are in, in the order of the specification; none if it is no space.
 * In the arena. */
const struct err *space_children(struct job *job, struct room *room, const struct room_summary *s,
                                 bool suggested_only, const struct space_child **ret,
                                 size_t *ret_n);

/* The same from another server's children_state; malformed ones are left out. */
void space_children_of_answer(struct job *job, const json_t *children_state, bool suggested_only,
                              const struct space_child **ret, size_t *ret_n);

/* A RoomSummary as an object with children_state. */
void space_write_room(struct buf *out, const json_t *summary, const struct space_child *children,
                      size_t n);

#endif

/* Rooms with partial state (rooms/accept/resync.h). */
#ifndef STORAGE_ROOMS_PARTIAL_ROOMS_H
#define STORAGE_ROOMS_PARTIAL_ROOMS_H

#include "storage/db/write.h"

struct partial_room {
    int64_t room, position; /* rooms.id; position of the join */
    const char *room_id, *join_event_id, *resident;
    const char *const *servers; /* in the room, as the resident server listed them */
    size_t servers_n;
};

/* All rooms that must be resynced. */
const struct err *rooms_partial_list(struct tx *tx, const struct partial_room **ret, size_t *ret_n);
/* NULL: its state is complete. */
const struct err *partial_room_get(struct tx *tx, int64_t room, const struct partial_room **ret);

/* p->position is that of change `at`. */
void partial_room_write(struct write *w, const struct partial_room *p, int at);
void partial_room_end(struct write *w, int64_t room);

#endif

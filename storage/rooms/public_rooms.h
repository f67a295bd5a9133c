/* Data of published rooms for the directory, read for many at once (rooms/read/directory.h). */
#ifndef STORAGE_ROOMS_PUBLIC_ROOMS_H
#define STORAGE_ROOMS_PUBLIC_ROOMS_H

#include "storage/db/db.h"

struct public_room {
    int64_t room, joined_n;
    const char *room_id;
};

struct public_room_state {
    int64_t room, type; /* TYPE_... of storage/rooms/events.h */
    struct str json;    /* the PDU */
};

/* The rooms that exist, and their current state of these types with empty keys; both sorted by
 * room. */
const struct err *public_rooms_read(struct tx *tx, const int64_t *ids, size_t n,
                                    const struct public_room **ret, size_t *ret_n);
const struct err *public_rooms_read_state(struct tx *tx, const int64_t *ids, size_t n,
                                          const int64_t *types, size_t types_n,
                                          const struct public_room_state **ret, size_t *ret_n);

#endif

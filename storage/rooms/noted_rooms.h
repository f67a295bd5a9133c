/* Rooms that are known by invites, knocks or failed joins only; none of our users was ever in them
 * (rooms.noted). They are deleted when none of our users has used them for long. */
#ifndef STORAGE_ROOMS_NOTED_ROOMS_H
#define STORAGE_ROOMS_NOTED_ROOMS_H

#include "storage/db/write.h"

/* For a room whose row the same write adds. A join ends that (rooms_write_joined_remotely). */
void noted_room_write(struct write *w, int64_t room);

/* The room is used now: it is kept for as long again. *ret false: it has been deleted or joined. */
const struct err *noted_room_touch(struct tx *tx, int64_t room, bool *ret);

struct noted_room {
    int64_t id, version; /* of its head */
};

/* Noted rooms that were not touched after that position. */
const struct err *noted_rooms_list(struct tx *tx, int64_t position, int64_t max,
                                   const struct noted_room **ret, size_t *ret_n);

/* Keeps those of these rooms for as long again (*ret) that have an invite or knock of our users, a
 * change after the position, or a pending leave. */
const struct err *noted_rooms_keep(struct tx *tx, const int64_t *rooms, size_t n, int64_t position,
                                   const int64_t **ret, size_t *ret_n);

/* Deletes some of the room's outliers, unless it was touched since. ret_n: how many. */
const struct err *noted_room_drop_outliers(struct tx *tx, int64_t room, int64_t position,
                                           int64_t max, int64_t *ret_n);

/* Deletes the room. The write fails with ERR_CONFLICT if it was touched or written to since. */
void noted_room_write_gone(struct write *w, const struct noted_room *room, int64_t position);

#endif

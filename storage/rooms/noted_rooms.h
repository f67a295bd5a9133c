/* Rooms that are known here by invites, knocks or joins that failed, and that none of our users has
 * been in (rooms.noted). They go when none of our users has to do with them for long. */
#ifndef STORAGE_ROOMS_NOTED_ROOMS_H
#define STORAGE_ROOMS_NOTED_ROOMS_H

#include "storage/db/write.h"

/* Of a room whose row the same write makes. Entering it ends that (rooms_write_joined_remotely). */
void noted_room_write(struct write *w, int64_t room);

/* Somebody has to do with it now: it stays for as long again. *ret false: it is noted no more, but
 * gone or entered. */
const struct err *noted_room_touch(struct tx *tx, int64_t room, bool *ret);

struct noted_room {
    int64_t id, version; /* of its head */
};

/* Those of which it was not made sure since that position. */
const struct err *noted_rooms_list(struct tx *tx, int64_t position, int64_t max,
                                   const struct noted_room **ret, size_t *ret_n);

/* Of these, those stay for as long again (*ret) that users of ours are invited to or knock at, that
 * were changed since the position, or that other servers must still hear a leave of. */
const struct err *noted_rooms_keep(struct tx *tx, const int64_t *rooms, size_t n, int64_t position,
                                   const int64_t **ret, size_t *ret_n);

/* Some of the room's outliers, unless it was touched since. ret_n: how many went. */
const struct err *noted_room_drop_outliers(struct tx *tx, int64_t room, int64_t position,
                                           int64_t max, int64_t *ret_n);

/* All of the room. The write fails with ERR_CONFLICT when it was touched or written to since. */
void noted_room_write_gone(struct write *w, const struct noted_room *room, int64_t position);

#endif

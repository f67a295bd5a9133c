/* Replacing a room by one of another version (client-server-api, "Room upgrades"). */
#ifndef ROOMS_WRITE_UPGRADE_H
#define ROOMS_WRITE_UPGRADE_H

#include "rooms/write/append.h"

/* Creates the new room in one write, then sends the tombstone to the old one; when that is
 * committed, its aliases and its place in the directory move. additional_creators: as the client
 * gave them, NULL for none. M_FORBIDDEN when the author may not send a tombstone. */
const struct err *room_upgrade(struct job *job, struct room *room, const struct author *author,
                               const struct room_version *version,
                               const json_t *additional_creators, const char **ret_room_id);

/* Moves our aliases of the old room, and its place in our directory, to its successor as soon as
 * each of the two names the other: also if they were upgraded on another server, or by hand. */
const struct err *room_upgrade_follow(struct job *job, struct room *old, struct room *new);

#endif

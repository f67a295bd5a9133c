/* A room's state and its newest messages in one object, for the two endpoints called initialSync.
 */
#ifndef SERVER_CLIENT_TIMELINE_ROOM_SNAPSHOT_H
#define SERVER_CLIENT_TIMELINE_ROOM_SNAPSHOT_H

#include "server/client/shared/room_reading.h"

/* Writes the whole object. The user may read the room. with_receipts_and_presence: also receipts
 * and presence. */
const struct err *room_snapshot_write(struct request *rq, struct reply *rp, struct room *room,
                                      size_t limit, bool with_receipts_and_presence);

#endif

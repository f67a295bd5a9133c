/* What another server says of a room, checked (client-server-api, definitions RoomSummary and
 * PublishedRoomsChunk): in room directories and space hierarchies. */
#ifndef FEDERATION_USERS_REMOTE_SUMMARY_H
#define FEDERATION_USERS_REMOTE_SUMMARY_H

#include "base/json.h"

/* A new object, owned, with those members that the specification names and that are of the right
 * type. NULL when it names no room. */
json_t *remote_summary_read(const json_t *answer);

#endif

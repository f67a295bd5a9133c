/* Another server's summary of a room, checked (client-server-api, definitions RoomSummary and
 * PublishedRoomsChunk): for room directories and space hierarchies. */
#ifndef FEDERATION_USERS_REMOTE_SUMMARY_H
#define FEDERATION_USERS_REMOTE_SUMMARY_H

#include "base/json.h"

/* A new object, owned, with the members that the specification defines, if they have the right
 * type. NULL if there is no room id. */
json_t *remote_summary_read(const json_t *answer);

#endif

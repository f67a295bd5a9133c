/* Spaces of other servers (server-server-api, "Spaces"): their summaries of rooms that we are not
 * in. Cached for some minutes for each set of servers that were asked: one server's answer about a
 * room is not given to callers who asked others. */
#ifndef FEDERATION_ROUTES_HIERARCHY_H
#define FEDERATION_ROUTES_HIERARCHY_H

#include "rooms/read/hierarchy.h"

enum { SPACE_SERVERS_MAX = 3 }; /* asked for one room, one after the other */

struct space_question {
    const char *room_id;
    const char *const *servers; /* the first few allowed ones are asked; the room id's is added */
    size_t servers_n;
    bool suggested_only;
};

#endif

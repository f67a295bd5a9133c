/* Spaces of other servers (server-server-api, "Spaces"): what they tell of rooms that we are not
 * in. Remembered for some minutes for each set of servers that were asked: what one server says of
 * a room is not told to those who asked others. */
#ifndef FEDERATION_ROUTES_HIERARCHY_H
#define FEDERATION_ROUTES_HIERARCHY_H

#include "rooms/read/hierarchy.h"

enum { SPACE_SERVERS_MAX = 3 }; /* asked for one room, in turn */

struct space_question {
    const char *room_id;
    const char *const *servers; /* the first few that may be asked; the room id's own is added */
    size_t servers_n;
    bool suggested_only;
};

/* From memory; false when a server must be asked. */
bool federation_space_known(struct job *job, const struct space_question *q,
                            struct space_answer *ret);

/* Blocks. ret->room is NULL when no server tells anything. Errors are ours alone. */
const struct err *federation_ask_space(struct job *job, const struct space_question *q,
                                       struct space_answer *ret);

#endif

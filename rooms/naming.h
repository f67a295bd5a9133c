/* Room aliases of this server (client-server-api, "Room aliases"): what they may look like, and
 * where they lead. */
#ifndef ROOMS_NAMING_H
#define ROOMS_NAMING_H

#include "rooms/room.h"

/* May there be such an alias here? M_INVALID_PARAM when it is malformed or of another server. */
const struct err *naming_check_new_alias(struct job *job, const char *alias);

/* From a room id or an alias to the room id. M_INVALID_PARAM when it is neither, M_NOT_FOUND when
 * there is no such alias. */
const struct err *naming_resolve(struct job *job, const char *id_or_alias,
                                 const char **ret_room_id);

/* The aliases that this m.room.canonical_alias content names and the current one does not must lead
 * to the room: M_BAD_ALIAS, M_INVALID_PARAM for malformed ones. */
const struct err *naming_check_canonical(struct job *job, struct room *room, const json_t *content);

#endif

/* Room aliases of this server (client-server-api, "Room aliases"): what they may look like, and
 * where they lead. */
#ifndef ROOMS_WRITE_NAMING_H
#define ROOMS_WRITE_NAMING_H

#include "rooms/write/basis.h"

/* May there be such an alias here? M_INVALID_PARAM when it is malformed or of another server. */
const struct err *naming_check_new_alias(struct job *job, const char *alias);

/* From a room id or an alias to the room id. M_INVALID_PARAM when it is neither, M_NOT_FOUND when
 * there is no such alias. */
const struct err *naming_resolve(struct job *job, const char *id_or_alias,
                                 const char **ret_room_id);

/* Finds out where an alias of another server leads: the rooms' floor cannot ask by itself. *ret
 * stays NULL when it leads nowhere. */
struct alias_asker {
    const struct err *(*ask)(void *ctx, struct job *job, const char *alias,
                             const char **ret_room_id);
    void *ctx;
};

/* The aliases that this m.room.canonical_alias content names and the current one does not must lead
 * to the room: M_BAD_ALIAS, M_INVALID_PARAM for malformed ones; errors of the asker. */
const struct err *naming_check_canonical(struct basis *on, const json_t *content,
                                         const struct alias_asker *asker);
/* Takes an alias that leads nowhere any more out of the room's m.room.canonical_alias. M_FORBIDDEN
 * when the author may not change that. */
const struct err *naming_drop_canonical(struct job *job, struct room *room,
                                        const struct author *author, const char *alias);

/* The servers that are in the room, ours first, a bounded number of them. */
void naming_list_servers(struct job *job, struct room *room, const char *const **ret,
                         size_t *ret_n);

#endif

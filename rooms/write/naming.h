/* Room aliases of this server (client-server-api, "Room aliases"): their grammar, and the rooms
 * they point to. */
#ifndef ROOMS_WRITE_NAMING_H
#define ROOMS_WRITE_NAMING_H

#include "rooms/write/basis.h"

/* M_INVALID_PARAM if the alias is malformed or of another server. */
const struct err *naming_check_new_alias(struct job *job, const char *alias);

/* Resolves a room id or an alias to the room id. M_INVALID_PARAM if it is neither, M_NOT_FOUND if
 * there is no such alias. */
const struct err *naming_resolve(struct job *job, const char *id_or_alias,
                                 const char **ret_room_id);

/* Resolves an alias of another server, which rooms/ cannot ask itself. *ret stays NULL if there is
 * no such alias. */
struct alias_asker {
    const struct err *(*ask)(void *ctx, struct job *job, const char *alias,
                             const char **ret_room_id);
    void *ctx;
};

/* Checks that aliases in this m.room.canonical_alias content that the current one lacks point to
 * the room: M_BAD_ALIAS, M_INVALID_PARAM for malformed ones; errors of the asker. */
const struct err *naming_check_canonical(struct basis *on, const json_t *content,
                                         const struct alias_asker *asker);
/* Removes a deleted alias from the room's m.room.canonical_alias. M_FORBIDDEN if the author may not
 * change that. */
const struct err *naming_drop_canonical(struct job *job, struct room *room,
                                        const struct author *author, const char *alias);

/* The servers that are in the room, ours first, a bounded number of them. */
void naming_list_servers(struct job *job, struct room *room, const char *const **ret,
                         size_t *ret_n);

#endif

/* Queries to other servers (server-server-api, "Querying for information"). */
#ifndef FEDERATION_USERS_QUERY_ASK_H
#define FEDERATION_USERS_QUERY_ASK_H

#include "federation/routes/query.h"

/* The room of an alias of any server, and servers through which to join it, in this order; none for
 * our own aliases. M_INVALID_PARAM if it is malformed. */
const struct err *federation_resolve_alias(struct job *job, const char *alias,
                                           const char **ret_room_id,
                                           const char *const **ret_servers, size_t *ret_n);
/* The profile of another server's user, an object; or only one field of it: an object with that
 * member, or none. */
const struct err *federation_get_profile(struct job *job, const char *user_id, const char *field,
                                         const json_t **ret);
/* Invalidates the cached answers of the server of that id. */
void federation_forget_answers(struct job *job, const char *id);

#endif

/* Queries other servers about their users and rooms (server-server-api, "Querying for
 * information"). These functions block while another server answers: call them from POOL_REMOTE or
 * a thread of your own.
 *
 * Answers are checked, and cached for a short time (federation/peer/answers.h). Errors: M_FORBIDDEN
 * if we do not federate with that server, M_NOT_FOUND and others that it returns,
 * ERR_CONNECTION_FAILED, ERR_CONNECTION_TIMEOUT and ERR_BAD_STATUS if there is no valid answer. */
#ifndef FEDERATION_ROUTES_QUERY_H
#define FEDERATION_ROUTES_QUERY_H

#include "base/json.h"
#include "storage/db/job.h"

enum { QUERY_SERVERS_MAX = 50 }; /* believed to be in a room */

/* The room of an alias of any server, and servers through which to join it, in this order; none for
 * our own aliases. M_INVALID_PARAM if it is malformed. */
const struct err *federation_resolve_alias(struct job *job, const char *alias,
                                           const char **ret_room_id,
                                           const char *const **ret_servers, size_t *ret_n);

/* The profile of another server's user, an object; or only one field of it: an object with that
 * member, or none. */
const struct err *federation_get_profile(struct job *job, const char *user_id, const char *field,
                                         const json_t **ret);

/* Whether this id of a user, room or alias belongs to another server. */
bool federation_is_remote_id(struct job *job, const char *id);
/* Invalidates the cached answers of the server of that id. */
void federation_forget_answers(struct job *job, const char *id);

#endif

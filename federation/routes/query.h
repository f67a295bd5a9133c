/* Asking other servers what they know of their users and rooms (server-server-api, "Querying for
 * information"). They block while another server answers: call them from POOL_REMOTE or
 * a thread of one's own.
 *
 * What is learnt is checked before it is returned, and remembered for a short time
 * (federation/peer/answers.h). Errors: M_FORBIDDEN when we do not federate with that server,
 * M_NOT_FOUND and others that it gives, ERR_CONNECTION_FAILED, ERR_CONNECTION_TIMEOUT and
 * ERR_BAD_STATUS when it cannot be had. */
#ifndef FEDERATION_ROUTES_QUERY_H
#define FEDERATION_ROUTES_QUERY_H

#include "base/json.h"
#include "storage/db/job.h"

enum { QUERY_SERVERS_MAX = 50 }; /* believed to be in a room */

/* Where an alias of any server leads, and servers that can be joined through, in this order; none
 * for an alias of ours. M_INVALID_PARAM when it is malformed. */
const struct err *federation_resolve_alias(struct job *job, const char *alias,
                                           const char **ret_room_id,
                                           const char *const **ret_servers, size_t *ret_n);

/* The profile of another server's user, an object; or only one field of it: an object with that
 * member or none. */
const struct err *federation_get_profile(struct job *job, const char *user_id, const char *field,
                                         const json_t **ret);

/* Is this name of a user, a room or an alias one of another server? */
/* What the server of that id has answered so far does not count any more. */
void federation_forget_answers(struct job *job, const char *id);
bool federation_is_remote_id(struct job *job, const char *id);

#endif

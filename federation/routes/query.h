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

#endif

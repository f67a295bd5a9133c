/* m.room.server_acl (client-server-api, "Server Access Control Lists"). Pure. */
#ifndef MATRIX_SERVER_ACL_H
#define MATRIX_SERVER_ACL_H

#include "base/json.h"

/* Whether this server may take part. acl is the content of the state event, NULL when there is
 * none. */
bool server_acl_allows(const json_t *acl, const char *server_name);

#endif

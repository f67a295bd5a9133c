/* The server name that the database belongs to, stored by the first `concorde serve`: with another
 * name, accounts and rooms would be created that belong to no server. */
#ifndef STORAGE_SCHEMA_DEPLOYMENT_H
#define STORAGE_SCHEMA_DEPLOYMENT_H

#include "storage/db/db.h"

/* ERR_INVALID_PARAM with advice if the database belongs to another server. A new one is claimed for
 * this server with may_claim, and refused without. ret_claimed (may be NULL): it was new. */
const struct err *deployment_check(struct tx *tx, const char *server_name, bool may_claim,
                                   bool *ret_claimed);

#endif

/* Whose database it is. The name of the server is a row in it from the first start of
 * `concorde serve`: with another name, accounts and rooms would be made that belong to no server.
 */
#ifndef STORAGE_SCHEMA_DEPLOYMENT_H
#define STORAGE_SCHEMA_DEPLOYMENT_H

#include "storage/db/db.h"

/* ERR_INVALID_PARAM with a sentence that helps when the database belongs to another server. One
 * that belongs to none yet becomes this server's with may_claim, else it is refused, too.
 * ret_claimed (may be NULL): it was new. */
const struct err *deployment_check(struct tx *tx, const char *server_name, bool may_claim,
                                   bool *ret_claimed);

#endif

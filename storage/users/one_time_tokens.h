/* Passes: random secrets that live for minutes and are good for one thing: login tokens, OpenID
 * tokens, nonces of registration with the shared secret. Kept as SHA-256. */
#ifndef STORAGE_USERS_PASSES_H
#define STORAGE_USERS_PASSES_H

#include "storage/db/db.h"

enum pass_kind { /* stored as these numbers */
                 PASS_LOGIN = 1,
                 PASS_OPENID = 2,
                 PASS_REGISTRATION_NONCE = 3
};

/* Makes one for the user (0: of no user). ret: in the tx's arena. */
const struct err *passes_make(struct tx *tx, enum pass_kind kind, int64_t user, int64_t lifetime_ms,
                              const char **ret);
/* Whose it is; ret_found false when it is unknown or has run out. */
const struct err *passes_look(struct tx *tx, enum pass_kind kind, const char *pass, bool *ret_found,
                              int64_t *ret_user);
/* The same, and it is used up. */
const struct err *passes_take(struct tx *tx, enum pass_kind kind, const char *pass, bool *ret_found,
                              int64_t *ret_user);
const struct err *passes_purge(struct tx *tx); /* removes those that ran out */

#endif

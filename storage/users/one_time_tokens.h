/* One-time tokens: random secrets that are valid for minutes and for one purpose: login tokens,
 * OpenID tokens, nonces of registration with the shared secret. Stored as SHA-256. */
#ifndef STORAGE_USERS_ONE_TIME_TOKENS_H
#define STORAGE_USERS_ONE_TIME_TOKENS_H

#include "storage/db/db.h"

enum one_time_token_kind { /* stored as these numbers */
                           ONE_TIME_LOGIN = 1,
                           ONE_TIME_OPENID = 2,
                           ONE_TIME_REGISTRATION_NONCE = 3
};

/* Makes one for the user (0: of no user). ret: in the tx's arena. */
const struct err *one_time_tokens_make(struct tx *tx, enum one_time_token_kind kind, int64_t user,
                                       int64_t lifetime_ms, const char **ret);
/* Finds its user; ret_found false when it is unknown or has expired. */
const struct err *one_time_tokens_look(struct tx *tx, enum one_time_token_kind kind,
                                       const char *pass, bool *ret_found, int64_t *ret_user);
/* The same, and deletes it. */
const struct err *one_time_tokens_take(struct tx *tx, enum one_time_token_kind kind,
                                       const char *pass, bool *ret_found, int64_t *ret_user);
const struct err *one_time_tokens_purge(struct tx *tx); /* deletes expired ones */

#endif

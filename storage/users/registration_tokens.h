/* Registration tokens: shared by administrators with those who may register (client-server API,
 * "Token-authenticated registration"). Stored in plain text: they give access to no existing
 * account. */
#ifndef STORAGE_USERS_REGISTRATION_TOKENS_H
#define STORAGE_USERS_REGISTRATION_TOKENS_H

#include "storage/db/db.h"

enum { REGISTRATION_TOKEN_MAX = 64, REGISTRATION_TOKENS_LISTED_MAX = 10000 };

struct registration_token {
    const char *token;
    int64_t uses_allowed; /* -1: any number */
    int64_t completed;    /* how often it was used */
    int64_t expires_ts;   /* ms; 0: never */
};

bool registration_token_is_wellformed(struct str token); /* opaque identifier, at most 64 bytes */
bool registration_token_is_usable(const struct registration_token *t, int64_t now);

/* ret_found false when there is none of that name. */
const struct err *registration_token_get(struct tx *tx, const char *token, bool *ret_found,
                                         struct registration_token *ret);
const struct err *registration_tokens_list(struct tx *tx, const struct registration_token **ret,
                                           size_t *ret_n);
/* ret_done false when one of that name already exists (does not exist, respectively). */
const struct err *registration_token_add(struct tx *tx, const struct registration_token *t,
                                         bool *ret_done);
const struct err *registration_token_change(struct tx *tx, const struct registration_token *t,
                                            bool *ret_done);
const struct err *registration_token_remove(struct tx *tx, const char *token, bool *ret_done);

/* Counts one use; false when it cannot be used any more. */
const struct err *registration_token_use(struct tx *tx, const char *token, bool *ret_done);

#endif

/* Tokens of /sync and of pagination: `s<position>`, with `_<serial>` for what is never stored. Both
 * kinds are accepted wherever a token is (clients paginate back from a sync token). */
#ifndef SERVER_SYNC_TOKEN_H
#define SERVER_SYNC_TOKEN_H

#include "base/str.h"

struct sync_token {
    int64_t position; /* below zero: a place in history that was fetched later */
    int64_t serial;   /* of typing; 0 when the token has none */
};

/* M_INVALID_PARAM when it is not one of ours. */
const struct err *sync_token_parse(const char *text, struct sync_token *ret);

/* The same for what follows the log, which begins at zero. */
const struct err *sync_token_parse_since(const char *text, struct sync_token *ret);

#endif

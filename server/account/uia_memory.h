/* What a session of User-Interactive Authentication remembers of a request, sealed with a key made
 * of the session's id. The database holds only a hash of that, so who reads it reads neither the
 * password of who registers nor the tokens that were given. */
#ifndef SERVER_ACCOUNT_UIA_MEMORY_H
#define SERVER_ACCOUNT_UIA_MEMORY_H

#include "base/json.h"

/* {NULL, 0} for what is too large to be remembered. */
struct str uia_memory_seal(struct arena *a, const char *session_id, const json_t *o);

/* NULL: there is nothing, or it was sealed otherwise. */
json_t *uia_memory_open(struct arena *a, const char *session_id, struct str sealed);

#endif

/* The stored parameters of a session of User-Interactive Authentication, encrypted with a key made
 * from the session's id. The database holds only a hash of the id, so that a reader of the database
 * sees neither passwords of registrations nor issued tokens. */
#ifndef SERVER_ACCOUNT_UIA_MEMORY_H
#define SERVER_ACCOUNT_UIA_MEMORY_H

#include "base/json.h"

/* {NULL, 0} for an object that is too large to be stored. */
struct str uia_memory_seal(struct arena *a, const char *session_id, const json_t *o);

/* NULL: nothing is stored, or it was encrypted with another key. */
json_t *uia_memory_open(struct arena *a, const char *session_id, struct str sealed);

#endif

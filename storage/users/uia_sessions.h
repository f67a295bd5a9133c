/* Sessions of User-Interactive Authentication: which stages a client has completed for one
 * operation. In the database, so that any node can serve the next step. */
#ifndef STORAGE_USERS_UIA_SESSIONS_H
#define STORAGE_USERS_UIA_SESSIONS_H

#include "base/sha256.h"
#include "storage/db/db.h"

enum { UIA_SESSIONS_MAX = 50 }; /* of a user: beyond that the oldest are deleted */

struct uia_session {
    const char *id;                        /* returned by the client */
    unsigned char operation[SHA256_BYTES]; /* the only operation that it authorises */
    int64_t user;                          /* 0: a user who registers */
    const char **completed;                /* stages, in their order */
    size_t completed_n;
    const char *registration_token; /* the one shown in its stage; NULL: none */
    const char **flows;             /* the allowed ones: stages separated by spaces */
    size_t flows_n;
    struct str params, answer; /* sealed (server/account/uia_memory.h); p NULL: none */
};

/* Stores it, new or changed, for lifetime_ms from now. */
const struct err *uia_session_put(struct tx *tx, const struct uia_session *s, int64_t lifetime_ms);
/* ret_found false when it is unknown or has expired. */
const struct err *uia_session_get(struct tx *tx, const char *id, bool *ret_found,
                                  struct uia_session *ret);
/* Deletes one that has no answer yet. ret_ended false: another request was faster, perhaps on
 * another node. */
const struct err *uia_session_end(struct tx *tx, const char *id, bool *ret_ended);
const struct err *uia_sessions_purge(struct tx *tx); /* deletes expired ones */

#endif

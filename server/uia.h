/* User-Interactive Authentication (client-server API): an operation that the caller must confirm in
 * stages, for instance with their password.
 *
 *     bool done;
 *     TRY(uia_require_password(rq, rp, &done));
 *     if (!done)
 *         return NULL;
 *
 * Not done: the 401 reply with flows, params, session and what is completed has been written. The
 * steps of one operation share a session in the database, bound to method, path and caller. Check
 * the request's own parameters first: a completed session is used up. Passwords are hashed, so such
 * routes belong into POOL_SLOW. */
#ifndef SERVER_UIA_H
#define SERVER_UIA_H

#include "server/caller.h"

enum { UIA_STAGES_MAX = 4 };

#define UIA_PASSWORD "m.login.password"
#define UIA_DUMMY "m.login.dummy"
#define UIA_REGISTRATION_TOKEN "m.login.registration_token"

struct uia_flow {
    const char *stages[UIA_STAGES_MAX]; /* in order; the unused ones NULL */
};

/* One of the flows must be completed. ret_registration_token (may be NULL): the token shown in the
 * stage for it, valid a moment ago; NULL without such a stage. */
const struct err *uia_require(struct request *rq, struct reply *rp, const struct uia_flow *flows,
                              size_t flows_n, bool *ret_done, const char **ret_registration_token);

/* The caller's password. */
const struct err *uia_require_password(struct request *rq, struct reply *rp, bool *ret_done);

#endif

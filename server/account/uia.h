/* User-Interactive Authentication (client-server API): an operation that the caller must confirm in
 * stages, for instance with their password.
 *
 *     bool done;
 *     TRY(uia_require_password(rq, rp, &done));
 *     if (!done)
 *         return NULL;
 *
 * Not done: the 401 reply with flows, params, session and completed stages has been written. The
 * steps of one operation share a session in the database, bound to method, path and caller: for
 * another operation it is M_FORBIDDEN. Call uia_recall before you read the request's own
 * parameters, and check these before uia_require: a completed session is used up. Passwords are
 * hashed, so such routes belong in POOL_PASSWORD. */
#ifndef SERVER_ACCOUNT_UIA_H
#define SERVER_ACCOUNT_UIA_H

#include "server/account/caller.h"

enum { UIA_STAGES_MAX = 4 };

#define UIA_PASSWORD "m.login.password"
#define UIA_DUMMY "m.login.dummy"
#define UIA_REGISTRATION_TOKEN "m.login.registration_token"

struct uia_flow {
    const char *stages[UIA_STAGES_MAX]; /* in order; the unused ones NULL */
};

/* Completes the body with the parameters of earlier requests of its session: a client may repeat
 * the request with `auth` only. *ret_answer (ret_answer may be NULL): the finished session's answer
 * to the same request (uia_remember); NULL: it is not finished. */
const struct err *uia_recall(struct request *rq, const json_t **ret_answer);

/* The data of a completed session. */
struct uia_proof {
    const char *session;            /* NULL: done in one request */
    const char *registration_token; /* given in its stage, valid when it was checked; NULL: none */
};

/* One of the flows must be completed. ret_proof may be NULL. */
const struct err *uia_require(struct request *rq, struct reply *rp, const struct uia_flow *flows,
                              size_t flows_n, bool *ret_done, struct uia_proof *ret_proof);

/* Stores the answer for a repetition of the request with the same session. */
const struct err *uia_remember(struct request *rq, const struct uia_proof *p, const json_t *answer);

/* The caller's password. */
const struct err *uia_require_password(struct request *rq, struct reply *rp, bool *ret_done);

/* For the fallback pages, where a stage is completed in a browser and the client then repeats the
 * request with the session only. ret_user_id: the session's user; NULL: one who registers. */
const struct err *uia_find_session(struct request *rq, const char *session_id, const char *stage,
                                   bool *ret_found, const char **ret_user_id);
/* ret_wrong: why the stage failed; NULL: it is completed. M_NOT_FOUND without such a session, or
 * when the stage is not the next one of its flows. */
const struct err *uia_complete(struct request *rq, const char *session_id, const char *stage,
                               const json_t *auth, const struct err **ret_wrong);

#endif

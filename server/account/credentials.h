/* Who a client says its user is, and whether their password is right. Attempts are limited
 * (server/account/attempts.h). */
#ifndef SERVER_ACCOUNT_CREDENTIALS_H
#define SERVER_ACCOUNT_CREDENTIALS_H

#include "base/json.h"
#include "http/reply.h"
#include "http/request.h"
#include "storage/users/users.h"

/* The user id that an `identifier` (or the old `user`) of a login or of a stage names ("Identifier
 * types"); NULL when the object has neither. Third-party identifiers and phone numbers are bound to
 * nobody here: M_FORBIDDEN. The user need not exist. */
const struct err *credentials_user_id(struct job *job, const json_t *o, const char **ret);

/* Counts an attempt, before credentials_check, as server/account/attempts.h says. */
const struct err *credentials_count(struct request *rq, const char *user_id,
                                    enum queue_order *ret_order);

/* The account of that name if the password is right; *ret_right false takes as long, whether there
 * is such an account or not. Keeps a better hash when the stored one is outdated. Call from
 * POOL_PASSWORD. */
const struct err *credentials_check(struct request *rq, const char *user_id, const char *password,
                                    bool *ret_right, struct account *ret);

/* M_WEAK_PASSWORD or M_INVALID_PARAM when it may not become a user's password. */
const struct err *credentials_check_new(struct job *job, const char *password);

/* The hash of a new password that was checked. Call from POOL_PASSWORD. */
const struct err *credentials_hash(struct job *job, const char *password, const char **ret);

#endif

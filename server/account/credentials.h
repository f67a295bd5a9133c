/* The user that a client claims, and whether the password is right. Attempts are limited
 * (server/account/attempts.h). */
#ifndef SERVER_ACCOUNT_CREDENTIALS_H
#define SERVER_ACCOUNT_CREDENTIALS_H

#include "base/json.h"
#include "http/reply.h"
#include "http/request.h"
#include "storage/users/users.h"

/* The user id that an `identifier` (or the old `user`) of a login or of a stage names ("Identifier
 * types"); NULL when the object has neither. No user has third-party identifiers or phone numbers
 * here: M_FORBIDDEN. The user need not exist. */
const struct err *credentials_user_id(struct job *job, const json_t *o, const char **ret);

/* Counts an attempt, before credentials_check, as server/account/attempts.h says. */
const struct err *credentials_count(struct request *rq, const char *user_id,
                                    enum queue_order *ret_order);

/* The account of that name if the password is right; if not, it takes the same time whether or not
 * the account exists. Stores a new hash when the old one is outdated. Call from POOL_PASSWORD. */
const struct err *credentials_check(struct request *rq, const char *user_id, const char *password,
                                    bool *ret_right, struct account *ret);

/* M_WEAK_PASSWORD or M_INVALID_PARAM for a password that is not allowed. */
const struct err *credentials_check_new(struct job *job, const char *password);

/* The hash of a new password that was checked. Call from POOL_PASSWORD. */
const struct err *credentials_hash(struct job *job, const char *password, const char **ret);

#endif

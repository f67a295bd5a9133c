/* Limits on trying passwords, by which no user can be kept out by others.
 *
 * An attempt counts for its account and network (an address; of IPv6 the first 64 bits), and if the
 * user has not signed in or used a device from there lately, also for the account and all such
 * networks together, which may try ATTEMPTS_ELSEWHERE times as much. Those of a client that is
 * signed in as the user count for its device alone.
 *
 * What is within these limits goes first (ORDER_FIRST) from a network that the account is known
 * from; elsewhere one of few (ATTEMPTS_RARE at once, then one each ATTEMPTS_RARE_S) for its account
 * and of few from its network goes before the usual ones (ORDER_AHEAD). So who tries passwords from
 * many networks, or for many accounts, keeps no user waiting who signs in where they did before. */
#ifndef SERVER_ACCOUNT_ATTEMPTS_H
#define SERVER_ACCOUNT_ATTEMPTS_H

#include "http/route.h"

enum { ATTEMPTS_ELSEWHERE = 5, ATTEMPTS_RARE = 3, ATTEMPTS_RARE_S = 10 };

/* Counts one. M_LIMIT_EXCEEDED when there were too many (rc_login). user: users.id; 0: there is no
 * such account. */
const struct err *attempts_count(struct request *rq, const char *user_id, int64_t user,
                                 enum queue_order *ret_order);

/* Notes that the user has signed in from where the request comes from. */
const struct err *attempts_note_sign_in(struct request *rq, int64_t user);

/* Writes to the log which user a client could not prove to be, and from where. */
void attempts_log_failure(const struct request *rq, const char *user_id, const char *why);

#endif

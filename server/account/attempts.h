/* Limits on trying passwords, such that no user can be locked out by others.
 *
 * An attempt counts for its account and network (an address; for IPv6 the first 64 bits). If the
 * user has not recently signed in or used a device from there, it also counts for the account and
 * all such networks together, which have ATTEMPTS_ELSEWHERE times as many attempts. Attempts of a
 * client that is signed in as the user count for its device only.
 *
 * Attempts within these limits go first (ORDER_FIRST) from a network where the account is known.
 * From others they go before the usual ones (ORDER_AHEAD) if there were few for the account
 * (ATTEMPTS_RARE at once, then one each ATTEMPTS_RARE_S), and few failed ones from the network
 * (ATTEMPTS_FAILED at once, then one each ATTEMPTS_FAILED_S). So attackers who use many networks or
 * accounts do not delay users on networks where they are known, and others only until each of these
 * networks has failed. */
#ifndef SERVER_ACCOUNT_ATTEMPTS_H
#define SERVER_ACCOUNT_ATTEMPTS_H

#include "http/reply.h"
#include "http/request.h"

enum {
    ATTEMPTS_ELSEWHERE = 5,
    ATTEMPTS_RARE = 3,
    ATTEMPTS_RARE_S = 10,
    ATTEMPTS_FAILED = 3,
    ATTEMPTS_FAILED_S = 300
};

struct rate_table; /* http/rate.h */

/* Counts one. M_LIMIT_EXCEEDED when there were too many (rc_login). user: users.id; 0: no such
 * account. */
const struct err *attempts_count(struct request *rq, const char *user_id, int64_t user,
                                 enum queue_order *ret_order);

/* The order of an attempt from a network where the account is not known. now_us: monotonic. */
enum queue_order attempts_order(struct rate_table *t, struct arena *a, const char *user_id,
                                const char *network, int64_t now_us);
/* An attempt that went ahead has not failed. */
void attempts_give_back(struct rate_table *t, struct arena *a, const char *network, int64_t now_us);

/* Records that the user has signed in from the request's network. */
const struct err *attempts_note_sign_in(struct request *rq, int64_t user);

/* Logs a failed login, with user and address. */
void attempts_log_failure(const struct request *rq, const char *user_id, const char *why);

#endif

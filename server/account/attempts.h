/* Limits on trying passwords, by which no user can be kept out by others.
 *
 * An attempt counts for its account and network (an address; of IPv6 the first 64 bits), and if the
 * user has not signed in or used a device from there lately, also for the account and all such
 * networks together, which may try ATTEMPTS_ELSEWHERE times as much. Those of a client that is
 * signed in as the user count for its device alone.
 *
 * What is within these limits goes first (ORDER_FIRST) from a network that the account is known
 * from. Elsewhere one of few (ATTEMPTS_RARE at once, then one each ATTEMPTS_RARE_S) for its account
 * goes before the usual ones (ORDER_AHEAD), unless as many from its network have failed
 * (ATTEMPTS_FAILED at once, then one each ATTEMPTS_FAILED_S). So who tries passwords from many
 * networks, or for many accounts, keeps no user waiting who signs in where they did before, and
 * others only at the beginning: networks soon have none left that goes ahead. */
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

/* Counts one. M_LIMIT_EXCEEDED when there were too many (rc_login). user: users.id; 0: there is no
 * such account. */
const struct err *attempts_count(struct request *rq, const char *user_id, int64_t user,
                                 enum queue_order *ret_order);

/* Of an attempt from a network where the account is not known. now_us: monotonic. */
enum queue_order attempts_order(struct arena *a, const char *user_id, const char *network,
                                int64_t now_us);
/* One that went ahead has not failed. */
void attempts_give_back(struct arena *a, const char *network, int64_t now_us);

/* Notes that the user has signed in from where the request comes from. */
const struct err *attempts_note_sign_in(struct request *rq, int64_t user);

/* Writes to the log which user a client could not prove to be, and from where. */
void attempts_log_failure(const struct request *rq, const char *user_id, const char *why);

#endif

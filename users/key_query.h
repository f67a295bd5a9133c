/* Answers to key queries and key claims, as JSON bytes, for clients and for other servers ("Key
 * management API"; server-server, "End-to-End Encryption"). */
#ifndef USERS_KEY_QUERY_H
#define USERS_KEY_QUERY_H

#include "storage/db/job.h"
#include "storage/devices/e2ee_keys.h"

/* Members of the reply's objects, `"@user:server":{…}` with commas and without the outer braces. */
struct key_query_reply {
    struct buf of_kind[KEY_KIND_COUNT];
};
void key_query_reply_finish(struct key_query_reply *r);

/* The requester: one of our users, who also sees what only they may see, or another server (user
 * 0). */
struct key_requester {
    int64_t user;
    const char *user_id;
    bool sees_names; /* the display names of devices */
};

/* wanted: user ids -> arrays of device ids (empty: all). Users are our own, or others whose keys
 * are stored here; at most KEY_QUERY_USERS_MAX. Every user gets an entry in the devices, even if
 * empty. */
enum { KEY_QUERY_USERS_MAX = 250 };
struct key_wanted {
    const char *user_id;
    struct str devices; /* of a VALID document (matrix/json_scan.h) */
};
const struct err *key_query_add(struct job *job, const struct key_wanted *wanted, size_t n,
                                const struct key_requester *requester, struct key_query_reply *r);

/* Writes a key as clients see it: the stored object with the members that were removed for storage.
 */
void public_key_add(struct buf *b, const struct public_key *k,
                    const struct key_requester *requester);

/* Reads user ids -> device ids -> algorithms from a VALID document. M_BAD_JSON for another form,
 * M_INVALID_PARAM for more than KEY_CLAIMS_MAX. Invalid user ids are skipped. */
enum { KEY_CLAIMS_MAX = 10000 };
struct key_claim;
const struct err *key_claims_read(struct arena *a, struct str users, struct key_claim **ret,
                                  size_t *ret_n);

/* Claims a one-time (or fallback) key for each device, and notifies the devices of their new
 * counts. Appends members `"@user:server":{"DEVICE":{"algorithm:id":key}}` to out. */
const struct err *key_claim_add(struct job *job, const struct key_claim *claims, size_t n,
                                struct buf *out);

#endif

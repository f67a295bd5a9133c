/* Keys of other servers' users, for our clients (end-to-end encryption, "Key management API";
 * server-server-api, "End-to-End Encryption"): all servers are asked at once, within a time. They
 * block: call them from POOL_REMOTE.
 *
 * Who does not answer in time is named in `failed`: an object of server names -> why, as the
 * client-server API wants it in `failures`. */
#ifndef FEDERATION_USERS_REMOTE_KEYS_H
#define FEDERATION_USERS_REMOTE_KEYS_H

#include "storage/db/job.h"

enum { REMOTE_KEYS_TIMEOUT_MS = 10 * 1000, REMOTE_KEYS_TIMEOUT_MAX_MS = 30 * 1000 };

/* Has the keys of these users, each once, told and stored, for key_query_add (users/key_query.h).
 */
const struct err *remote_keys_fetch(struct job *job, const char *const *user_ids, size_t n,
                                    int64_t timeout_ms, json_t *failed);

/* Claims one-time keys; adds members as key_claim_add does. */
struct key_claim;
const struct err *remote_keys_claim(struct job *job, const struct key_claim *claims, size_t n,
                                    int64_t timeout_ms, struct buf *out, json_t *failed);

#endif

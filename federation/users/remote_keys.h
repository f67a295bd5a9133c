/* Keys of other servers' users, for our clients (end-to-end encryption, "Key management API";
 * server-server-api, "End-to-End Encryption"): all servers are asked at once, within a time limit.
 * These functions block: call them from POOL_REMOTE.
 *
 * A server that does not answer in time is added to `failed`: an object of server names -> reasons,
 * as in `failures` of the client-server API. */
#ifndef FEDERATION_USERS_REMOTE_KEYS_H
#define FEDERATION_USERS_REMOTE_KEYS_H

#include "storage/db/job.h"

enum { REMOTE_KEYS_TIMEOUT_MS = 10 * 1000, REMOTE_KEYS_TIMEOUT_MAX_MS = 30 * 1000 };

/* Fetches and stores the keys of these users, each once, for key_query_add (users/key_query.h). */
const struct err *remote_keys_fetch(struct job *job, const char *const *user_ids, size_t n,
                                    int64_t timeout_ms, json_t *failed);

/* Claims one-time keys; adds members as key_claim_add does. */
struct key_claim;
const struct err *remote_keys_claim(struct job *job, const struct key_claim *claims, size_t n,
                                    int64_t timeout_ms, struct buf *out, json_t *failed);

#endif

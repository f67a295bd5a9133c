/* The public keys of other servers: from memory, the database, the server itself, or a notary
 * (server-server-api, "Retrieving server keys"); pinned keys take precedence. Many servers are
 * asked at once; one that does not answer is not asked again for a while. */
#ifndef FEDERATION_KEYS_KEYRING_H
#define FEDERATION_KEYS_KEYRING_H

#include "federation/keys/key_settings.h"
#include "storage/db/job.h"

struct keyring;
struct keyring *keyring_create(struct node *node);
void keyring_stop(struct keyring *k);    /* NULL-safe; ends requests and waits */
void keyring_destroy(struct keyring *k); /* NULL-safe */
void keyring_add_metrics(struct keyring *k, struct buf *out);

struct key_wanted_of {
    const char *server, *key_id; /* "ed25519:…" */
    int64_t valid_at_ms;         /* the key must be valid at that time; 0: it may have expired */
    const char *ret_key;         /* base64; NULL: unavailable */
};
/* Sets ret_key of each; blocks for a bounded time while servers are asked. Errors are our own
 * (database), never theirs. */
const struct err *keyring_find(struct job *job, struct key_wanted_of *wanted, size_t n);

/* The same without asking any server. */
const struct err *keyring_find_here(struct job *job, struct key_wanted_of *wanted, size_t n);

/* For a server that is sending us a request: asks it even if it did not answer a while ago. The
 * number of such waits is bounded by address in POOL_REMOTE (http/fair_queue.h). */
const struct err *keyring_find_caller(struct job *job, struct key_wanted_of *wanted, size_t n);

/* Asks these servers for their keys again, except those that failed to answer lately; returns when
 * they have answered or the time is over. Received keys are in the database. */
void keyring_refresh(struct keyring *k, const char *const *servers, size_t n, int64_t timeout_ms);

/* Our own keys as published, signed (federation/keys/keys.c). */
const struct err *federation_own_keys(struct job *job, json_t **ret);

#endif

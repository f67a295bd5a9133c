/* The tokens in memory. Private to server/account/auth.c.
 *
 * Sixteen caches (base/cache.h), by the token's hash, so that requests seldom wait for a lock. A
 * user's entries within a shard are chained, so that forgetting a user does not walk other users'
 * entries. */
#ifndef SERVER_ACCOUNT_AUTH_CACHE_H
#define SERVER_ACCOUNT_AUTH_CACHE_H

#include "server/account/caller.h"
#include "storage/users/tokens.h"

struct auth_cache;

enum { AUTH_SEEN_EVERY_MS = 60 * 1000 }; /* how often a device's use is recorded */

struct auth_cache *auth_cache_create(struct cache_budget *b);
void auth_cache_destroy(struct auth_cache *c);

/* What a request needs to know of its token; strings are in the arena or live as long as the
 * process. */
struct auth_entry {
    struct caller caller;
    int64_t expires_ts; /* ms; 0: never */
    bool locked;
    bool unseen; /* the device's use must be recorded */
};

/* False when the token is not in memory; *ret_epoch is then for auth_cache_put. */
bool auth_cache_get(struct auth_cache *c, struct arena *a, const struct token_hash *hash,
                    int64_t now, struct auth_entry *ret, uint64_t *ret_epoch);

/* The id of the token's user, which lives as long as the process; NULL: it is not in memory. */
const char *auth_cache_user(struct auth_cache *c, const struct token_hash *hash);

/* Adds an entry read from the database, unless one was forgotten since: then it may be outdated
 * already. user_id must live as long as the process. */
void auth_cache_put(struct auth_cache *c, const struct token_hash *hash,
                    const struct token_owner *owner, uint64_t epoch);

void auth_cache_forget_user(struct auth_cache *c, int64_t user);
void auth_cache_forget_all(struct auth_cache *c);

#endif

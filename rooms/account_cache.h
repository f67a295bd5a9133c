/* What of a user's account data the server itself acts on, parsed and cached: push rules and the
 * list of ignored users (rooms/visibility.h, ignored_users). Entries go when the log says that the
 * account data changed, and the least recently used go when there are too many. */
#ifndef ROOMS_ACCOUNT_CACHE_H
#define ROOMS_ACCOUNT_CACHE_H

#include "storage/job.h"

#include <jansson.h>

struct account_cache;
struct account_cache *account_cache_create(struct store *store); /* listens to the feed */
void account_cache_destroy(struct account_cache *c);             /* NULL-safe */

struct user_rules {
    const json_t *ruleset; /* merged: what GET /pushrules/global/ shows */
    bool differs;          /* from the predefined rules */
    /* What the difference can be about. Events of other rooms and by other senders get the same
     * outcome as for everybody, unless they single this user out. */
    bool anything;
    const char *const *rooms, *const *senders; /* ids */
    size_t rooms_n, senders_n;
};

/* Valid with the job's arena. */
const struct err *user_rules_get(struct job *job, int64_t user, const char *user_id,
                                 const struct user_rules **ret);
/* Can the user's own rules matter for an event of this sender in this room? */
bool user_rules_concern(const struct user_rules *r, const char *room_id, const char *sender);

#endif

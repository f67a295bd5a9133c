/* The account data that the server itself uses, parsed and cached: push rules and the list of
 * ignored users (rooms/read/visibility.h, ignored_users). An entry is dropped when the account data
 * change, and the least recently used one when there are too many. */
#ifndef ROOMS_ACCOUNT_CACHE_H
#define ROOMS_ACCOUNT_CACHE_H

#include "base/map.h"
#include "storage/db/job.h"

struct change;

#include <jansson.h>

struct account_cache;
struct account_cache *account_cache_create(struct node *node);
void account_cache_destroy(struct account_cache *c); /* NULL-safe */
void account_cache_on_changes(void *cache, const struct change *changes,
                              size_t n); /* a listener (storage/db/feed.h) */

/* The users that a user ignores, by user id. Immutable; hold a reference to keep it beyond a job.
 */
struct ignored_list;
const struct map *ignored_list_users(const struct ignored_list *l); /* NULL: none */
struct ignored_list *ignored_list_ref(struct ignored_list *l);      /* NULL-safe, as unref */
void ignored_list_unref(struct ignored_list *l);
bool ignored_list_same(const struct ignored_list *a, const struct ignored_list *b);
bool ignored_list_has(const struct ignored_list *l, const char *user_id);
struct ignored_list *ignored_list_create(const json_t *content); /* of m.ignored_user_list */

/* NULL: no user is ignored. Valid with the job's arena, and as long as it is referenced. */
const struct err *ignored_list_get(struct job *job, int64_t user, struct ignored_list **ret);

/* The users.id of those that have one. */
const struct err *ignored_list_ids(struct job *job, const struct ignored_list *l,
                                   const int64_t **ret, size_t *ret_n);

struct user_rules {
    const json_t *ruleset; /* merged: the response of GET /pushrules/global/ */
    bool differs;          /* from the predefined rules */
    /* What the difference may concern. Events of other rooms and by other senders count as by the
     * predefined rules, unless they mention this user. */
    bool anything;
    const char *const *rooms, *const *senders; /* ids */
    size_t rooms_n, senders_n;
};

/* Valid with the job's arena. */
const struct err *user_rules_get(struct job *job, int64_t user, const char *user_id,
                                 const struct user_rules **ret);
/* Can the user's own rules matter for an event of this sender in this room? */
bool user_rules_concern(const struct user_rules *r, const char *room_id, const char *sender);

/* The user's ignored users, cached; a set of user id text. NULL when there are none. */
const struct err *ignored_users(struct job *job, int64_t user, const struct map **ret);
/* The users.id of those of them that have one. */
const struct err *ignored_user_ids(struct job *job, int64_t user, const int64_t **ret,
                                   size_t *ret_n);

#endif

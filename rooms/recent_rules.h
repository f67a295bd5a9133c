/* The users who recently got push rules of their own, with the position of that change: for data
 * that were read from the database before the change and are cached after it (a room that is
 * loaded, a member event that waits in a queue, of this node or another). Bounded: a user is
 * dropped when thousands of others have changed their rules since. Only the feed's thread adds
 * users. */
#ifndef ROOMS_RECENT_RULES_H
#define ROOMS_RECENT_RULES_H

#include "base/lock.h"
#include "base/map.h"

enum { RECENT_RULES_MIN = 4096 }; /* users that it always remembers */

struct recent_rules {
    struct lock lock;                 /* a leaf */
    struct map newer, older;          /* users.id -> position */
    int64_t newest, older_to, forgot; /* newest positions: of all, of `older`, of dropped users */
};

void recent_rules_init(struct recent_rules *r);
void recent_rules_finish(struct recent_rules *r);

void recent_rules_add(struct recent_rules *r, int64_t user, int64_t position);
/* The position of the newest change of any user's push rules. */
int64_t recent_rules_newest(struct recent_rules *r);
bool recent_rules_has(struct recent_rules *r, int64_t user);
/* Calls fn for each user whose rules changed after `since`; fn must not take a lock. False: some of
 * these users were dropped. */
bool recent_rules_each(struct recent_rules *r, int64_t since, void (*fn)(void *ctx, int64_t user),
                       void *ctx);

#endif

/* The users whose push rules changed lately, in the order of their changes: for what was read of a
 * user before a change, and is used after it (rooms/own_rules.h). Bounded: the user whose change is
 * the oldest is dropped. Only the feed's thread adds users. Positions are those of the log. */
#ifndef ROOMS_RECENT_RULES_H
#define ROOMS_RECENT_RULES_H

#include "base/lock.h"
#include "base/map.h"

enum { RECENT_RULES_MAX = 8192 }; /* users that it remembers */

struct recent_rules {
    struct lock lock; /* a leaf */
    struct map users; /* users.id -> struct recent_change */
    struct recent_change *first, *last;
    int64_t forgot;         /* of the changes up to here, some are not remembered */
    _Atomic int64_t newest; /* change of any user's push rules */
};

/* Nothing is remembered of changes up to this position. */
void recent_rules_init(struct recent_rules *r, int64_t position);
void recent_rules_finish(struct recent_rules *r);

void recent_rules_add(struct recent_rules *r, int64_t user, int64_t position);
/* Changes up to this position were missed. */
void recent_rules_miss(struct recent_rules *r, int64_t position);

/* The position of the newest change. What is read of a user's rules afterwards includes it. */
int64_t recent_rules_newest(struct recent_rules *r);
/* Calls fn for each user whose rules changed after `since`; fn must not take a lock. *ret_until:
 * the newest change. False: some of these users are not remembered, and fn was not called. */
bool recent_rules_each(struct recent_rules *r, int64_t since, void (*fn)(void *ctx, int64_t user),
                       void *ctx, int64_t *ret_until);

#endif

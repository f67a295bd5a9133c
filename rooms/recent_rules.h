/* The users whose push rules became their own lately, with the position of that change: for what
 * was read from the database before it and is put into memory after it (a room that is loaded, a
 * member event that waits in a queue, of this node or another). Bounded: users leave it when
 * thousands of others have changed theirs since. One thread adds, the feed's. */
#ifndef ROOMS_RECENT_RULES_H
#define ROOMS_RECENT_RULES_H

#include "base/lock.h"
#include "base/map.h"

enum { RECENT_RULES_MIN = 4096 }; /* users that it always remembers */

struct recent_rules {
    struct lock lock;                 /* a leaf */
    struct map newer, older;          /* users.id -> position */
    int64_t newest, older_to, forgot; /* positions: of all, of older, of what is forgotten */
};

void recent_rules_init(struct recent_rules *r);
void recent_rules_finish(struct recent_rules *r);

void recent_rules_add(struct recent_rules *r, int64_t user, int64_t position);
/* Of the newest change of anybody's push rules. */
int64_t recent_rules_newest(struct recent_rules *r);
bool recent_rules_has(struct recent_rules *r, int64_t user);
/* Calls for each user whose rules changed after `since`; it must not take a lock. False: it does
 * not remember all of them. */
bool recent_rules_each(struct recent_rules *r, int64_t since, void (*fn)(void *ctx, int64_t user),
                       void *ctx);

#endif

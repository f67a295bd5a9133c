/* Which members of a cached room have push rules of their own?
 *
 * A change of push rules is noted once, in rooms/recent_rules.h, for all rooms. Each room knows up
 * to which change it has followed them (rules_seen), and follows when it needs to know. What became
 * known of a member as of an earlier position takes rules_seen back to it, so that no change in
 * between is missed. If the changes since then are not remembered any more, the database is read.
 * A user who had such rules once counts, even without any now: user_rules_get knows. */
#ifndef ROOMS_OWN_RULES_H
#define ROOMS_OWN_RULES_H

#include "storage/db/job.h"

struct room;

/* Under the room's lock: room->own_rules, and the members ahead, include all changes that were
 * published so far. */
const struct err *own_rules_follow_locked(struct job *job, struct room *room);
/* Under the room's lock: has_own_rules of a member was read as of this position. */
void own_rules_go_back_locked(struct room *room, int64_t position);

#endif

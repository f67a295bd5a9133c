/* State that is ahead of the log: changes of a room's state that wait in the committer's queue. The
 * next event of the room is built on them, as on the head; all readers use the committed state,
 * without them.
 *
 * A change is removed here when the feed publishes it. If its write fails, the room is dropped from
 * the cache with all that was ahead, and writes that were built on it fail by the version of the
 * head (rooms/write/append.c). All functions need the room's lock. */
#ifndef ROOMS_AHEAD_H
#define ROOMS_AHEAD_H

#include "rooms/room.h"

struct ahead {
    const struct event *event; /* owned reference */
    struct room_member member; /* the new member; user 0: it is no member event */
    char key[];                /* as the key of a struct room_state_slot */
};

/* The event becomes its key's one for new events. member NULL: it is no member event. */
void ahead_put_locked(struct room *r, const struct event *e, const struct room_member *member);
/* The event is committed and part of the room's state. */
void ahead_settle_locked(struct room *r, const struct event *e);
void ahead_finish(struct room *r);

/* NULL: no change of that key waits. */
const struct ahead *ahead_find_locked(struct room *r, const char *type, const char *state_key);

/* The member as new events must see it; NULL if the user never was one. */
const struct room_member *ahead_member_locked(struct room *r, int64_t user);
/* Calls each() for the members in the changes ahead. */
void ahead_each_member_locked(struct room *r,
                              void (*each)(void *ctx, const struct room_member *member), void *ctx);
/* How many joined members the changes ahead add to the committed ones; may be negative. */
int64_t ahead_joined_locked(struct room *r);
void ahead_set_own_rules_locked(struct room *r, int64_t user);

#endif

/* State that is ahead of the log: changes of a room's state that wait in the committer's queue. Who
 * builds the next event of the room builds upon them, as on the head; all others read the committed
 * state, in which they are not.
 *
 * A change leaves this when the feed brings it. If its write fails the room is dropped from the
 * cache, with all that was ahead, and what was built upon it fails by the version of the head
 * (rooms/write/append.c). All functions are for those who hold the room's lock. */
#ifndef ROOMS_AHEAD_H
#define ROOMS_AHEAD_H

#include "rooms/room.h"

struct ahead {
    const struct event *event; /* owned reference */
    struct room_member member; /* of a member event: what it makes; user 0: it is of another type */
    char key[];                /* as that of a struct room_state_slot */
};

/* The event becomes the one of its key for those who build. member NULL: it is no member event. */
void ahead_put_locked(struct room *r, const struct event *e, const struct room_member *member);
/* The event is committed and part of the room's state. */
void ahead_settle_locked(struct room *r, const struct event *e);
void ahead_finish(struct room *r);

/* NULL: no change of that key waits. */
const struct ahead *ahead_find_locked(struct room *r, const char *type, const char *state_key);

/* The member as who builds must see them; NULL when the user never was one. */
const struct room_member *ahead_member_locked(struct room *r, int64_t user);
/* Calls each() for the members that changes ahead make. */
void ahead_each_member_locked(struct room *r,
                              void (*each)(void *ctx, const struct room_member *member), void *ctx);
/* How many joined members there will be, less those that are committed. */
int64_t ahead_joined_locked(struct room *r);
void ahead_set_own_rules_locked(struct room *r, int64_t user);

#endif

/* How a cached room is loaded and changed: shared by room.c, room_cache.c and append.c. */
#ifndef ROOMS_ROOM_INTERNAL_H
#define ROOMS_ROOM_INTERNAL_H

#include "rooms/room.h"
#include "rooms/unread.h"

/* Reads a room from the database; NULL when there is none. Not yet in the cache. */
const struct err *room_load(struct job *job, int64_t id, struct room **ret);

/* Idempotent: an older position than the one that is there changes nothing. */
void room_put_state_locked(struct room *r, const struct event *e, int64_t position);
void room_put_member_locked(struct room *r, const struct room_member *member);
void room_set_own_rules_locked(struct room *r, int64_t user, bool has);

/* A room that append.c made and committed enters the cache. */
void room_cache_add_new(struct job *job, struct room *r);

#endif

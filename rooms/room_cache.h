/* The cache of rooms: finds them, reads them in and drops them (rooms/room.h is about one room). */
#ifndef ROOMS_ROOM_CACHE_H
#define ROOMS_ROOM_CACHE_H

#include "rooms/room.h"

struct change;

struct room_cache *room_cache_create(struct node *node);
void room_cache_destroy(struct room_cache *c);
void room_cache_on_changes(void *cache, const struct change *changes,
                           size_t n); /* a listener (storage/db/feed.h) */
struct recent_rules *room_cache_recent_rules(struct room_cache *c); /* rooms/recent_rules.h */
/* The position of the newest change of any user's push rules that the cache has seen: rules that
 * were read stay valid while it does not change. */
int64_t room_cache_rules_position(struct room_cache *c);
/* *ret is NULL if the room does not exist (not an error). The reference is dropped with the job's
 * arena. */
const struct err *room_find(struct job *job, const char *room_id, struct room **ret);
const struct err *room_get_by_id(struct job *job, int64_t id, struct room **ret);
/* The same, but M_NOT_FOUND "Unknown room" if it does not exist. */
const struct err *room_get(struct job *job, const char *room_id, struct room **ret);
/* Drops a room from the cache: the next room_get reads the database. */
void room_forget(struct job *job, struct room *room);

#endif

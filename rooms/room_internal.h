/* How a cached room is loaded and changed: shared by room.c, room_cache.c and append.c. */
#ifndef ROOMS_ROOM_INTERNAL_H
#define ROOMS_ROOM_INTERNAL_H

#include "rooms/room.h"
#include "rooms/write/unread_evaluate.h"

/* An id for a new room. Ids are reserved many at a time, to save queries. */
const struct err *room_cache_next_id(struct job *job, int64_t *ret);
/* The time for the create event of a new room: about now, and unique among rooms of this node. */
int64_t room_cache_creation_ms(struct room_cache *c);
/* Puts a new room into the cache, with a reference of the job. */
void room_cache_list_new(struct job *job, struct room *r);

/* Reads a room from the database; NULL if it does not exist. Does not put it into the cache. */
const struct err *room_load(struct job *job, int64_t id, struct room **ret);

/* The key of a state event in the maps of a room; p NULL if it is longer than any event may have.
 */
enum { ROOM_STATE_KEY_MAX = EVENT_KEY_MAX + 1 + EVENT_STATE_KEY_MAX };
struct str room_state_key(const char *type, const char *state_key,
                          char ret[static ROOM_STATE_KEY_MAX]);

/* Idempotent: an older position than the cached one changes nothing. */
void room_put_state_locked(struct room *r, const struct event *e, int64_t position);
void room_end_state_locked(struct room *r, const struct event *e, int64_t position);
struct room_state_slot *room_state_slot_locked(struct room *r, const char *type,
                                               const char *state_key); /* NULL: not in memory */
void room_put_member_locked(struct room *r, const struct room_member *member);
void room_set_own_rules_locked(struct room *r, int64_t user, bool has);

/* What later events build on. */
void room_set_head_locked(struct room *r, const struct change_head *head);

/* Notes that events off the timeline changed (off_timeline_version), so that other writers repeat
 * their look-ups. Call while they are still kept out. */
void room_note_off_timeline(struct room *r);

/* A cached room, for feed listeners; NULL if it is not cached. Follow with give_back. */
struct room *room_take_cached(struct room_cache *c, int64_t id);
void room_give_back(struct room_cache *c, struct room *room);

/* rooms/servers.c: the servers with members in the room. Partial rooms: those that the resident
 * server listed. */
void room_servers_count_locked(struct room *r, const char *user_id, int by);
void room_servers_add_named_locked(struct room *r, const char *server);
void room_servers_finish(struct room *r);

/* In version 12 the room id is made from the create event. */
void room_rename_unlisted(struct room *r, const char *room_id);

#endif

/* Typing users; never stored. Each change gets a serial from one counter that only grows, also
 * across restarts (it starts at the time in ms); sync tokens carry it as their second number. */
#ifndef USERS_TYPING_H
#define USERS_TYPING_H

#include "rooms/room.h"

struct change;

struct typing;
struct typing *typing_create(struct node *node); /* ends what times out on node->storage->timers */
void typing_destroy(struct typing *t);
void typing_on_changes(void *typing, const struct change *changes,
                       size_t n); /* a listener (storage/db/feed.h) */

/* Called without locks when a user starts or stops typing, and again while they go on, to notify
 * other servers. At most one. */
typedef void typing_listener(void *ctx, int64_t room, const char *user_id, bool typing);
void typing_listen(struct typing *t, typing_listener *fn, void *ctx);

/* For users of any server. timeout_ms 0: stopped. Wakes the room if something changed. */
void typing_set(struct typing *t, int64_t room, int64_t user, const char *user_id, int timeout_ms);
int64_t typing_serial(struct typing *t); /* the newest */
int64_t typing_room_serial(struct typing *t,
                           int64_t room); /* of the room's newest change; 0: none */
/* Rooms that changed after the serial, newest first, up to max. */
size_t typing_changed_since(struct typing *t, int64_t serial, int64_t *ret_rooms, size_t max);
/* The users who type in the room (none: all have stopped), in the arena. without: a set of user ids
 * to leave out, or NULL. */
void typing_list(struct typing *t, struct arena *a, int64_t room, const struct map *without,
                 const char *const **ret, size_t *ret_n);
/* Appends one m.typing event. room_id: added to the event unless NULL. */
void typing_add_event(const char *const *users, size_t n, const char *room_id, struct buf *out);

#endif

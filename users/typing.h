/* Who is typing: never stored. Each change gets a serial from one counter that only grows, also
 * over restarts (it starts at the time in ms); sync tokens carry it as their second number. */
#ifndef USERS_TYPING_H
#define USERS_TYPING_H

#include "rooms/room.h"

struct typing;
struct typing *typing_create(struct node *node); /* a thread ends what times out */
void typing_destroy(struct typing *t);

/* Called without locks when a user begins or ends typing, and again while they go on: what other
 * servers are told. At most one. */
typedef void typing_listener(void *ctx, int64_t room, const char *user_id, bool typing);
void typing_listen(struct typing *t, typing_listener *fn, void *ctx);

/* Of users of any server. timeout_ms 0: stopped. Wakes the room when something changed. */
void typing_set(struct typing *t, int64_t room, int64_t user, const char *user_id, int timeout_ms);
int64_t typing_serial(struct typing *t); /* the newest */
int64_t typing_room_serial(struct typing *t,
                           int64_t room); /* of the room's newest change; 0: none */
/* Rooms that changed after the serial, newest first, up to max. */
size_t typing_changed_since(struct typing *t, int64_t serial, int64_t *ret_rooms, size_t max);
/* Appends one whole m.typing event (an empty list of users says that no user types any more).
 * without: a set of user ids who are not named; room_id: to stand in it; NULL: none. */
void typing_add_event(struct typing *t, int64_t room, const struct map *without,
                      const char *room_id, struct buf *out);

#endif

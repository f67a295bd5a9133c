/* Typing users; in no table.
 *
 * A node alone keeps them to itself. While other nodes live, a change of who types goes through the
 * log (CHANGE_TYPING), so that all nodes know the same list, each user with the same end by the
 * clock; a call that only repeats the last one is written when it moves the end by more than
 * TYPING_EXTRA_MS, which then is added to the end. So a user who types on costs a change each
 * TYPING_EXTRA_MS, and one who vanishes while typing is seen that much longer.
 *
 * What a reader has seen is a place: a position of the log, and a serial, the second number of a
 * token of /sync, for what is not in the log. While this node is alone each change gets the next
 * serial of one counter that only grows, also across restarts (it starts at the time in ms). Once
 * typing went through the log, serials follow the clock, and the end of a user who is in the log
 * has the serial of its time. So a token means the same on all nodes, as far as their clocks agree.
 */
#ifndef USERS_TYPING_H
#define USERS_TYPING_H

#include "rooms/room.h"

struct change;

enum { TYPING_EXTRA_MS = 10 * 1000 };

struct typing;
struct typing *typing_create(struct node *node); /* ends what times out on node->storage->timers */
void typing_stop(struct typing *t); /* writes nothing any more; before the committer; NULL-safe */
void typing_destroy(struct typing *t);
void typing_on_changes(void *typing, const struct change *changes,
                       size_t n); /* a listener (storage/db/feed.h) */

/* Called without locks but RANK_LOG when a user starts or stops typing, and again while they go on,
 * to notify other servers; on all nodes. It must not block. At most one. */
typedef void typing_listener(void *ctx, int64_t room, const char *user_id, bool typing);
void typing_listen(struct typing *t, typing_listener *fn, void *ctx);

/* For users of any server. timeout_ms 0: stopped. Wakes the room if something changed. The errors
 * are those of write_commit(); none while this node is alone. */
const struct err *typing_set(struct job *job, int64_t room, int64_t user, const char *user_id,
                             int timeout_ms);
/* Other nodes came: writes to the log, in the background, who types by the requests that this node
 * had. */
void typing_share(struct typing *t);

int64_t typing_serial(struct typing *t); /* of a reader who reads now */
/* The same for a reader who has seen another serial; not less than that if it is of another node,
 * whose clock may be a little ahead. */
int64_t typing_serial_after(struct typing *t, int64_t seen);

struct typing_place {
    int64_t position, serial;
};
/* until: up to where the reader reads now; a later change is for the next time. */
bool typing_has_changed(struct typing *t, int64_t room, const struct typing_place *seen,
                        const struct typing_place *until);
/* Rooms that changed after that, newest first by serial, then by position, up to max. */
size_t typing_changed_since(struct typing *t, const struct typing_place *seen, int64_t *ret_rooms,
                            size_t max);
/* The users who type in the room (none: all have stopped), in the arena. without: a set of user ids
 * to leave out, or NULL. */
void typing_list(struct typing *t, struct arena *a, int64_t room, const struct map *without,
                 const char *const **ret, size_t *ret_n);
/* Appends one m.typing event. room_id: added to the event unless NULL. */
void typing_add_event(const char *const *users, size_t n, const char *room_id, struct buf *out);

#endif

/* Active users: for each local user who syncs, the rooms they are in, what changed for them lately,
 * and who waits for more. Kept in step with the log by a feed listener; rebuilt from room_members
 * when it is missing; dropped after SESSION_IDLE_MS without use. */
#ifndef USERS_SESSION_H
#define USERS_SESSION_H

#include "base/waiter.h"
#include "rooms/room.h"

enum { SESSION_IDLE_MS = 10 * 60 * 1000 };

struct session;
struct session_table;

struct session_table *session_table_create(struct node *node); /* listens to the feed */
void session_table_destroy(struct session_table *t);
void session_table_add_metrics(struct session_table *t, struct buf *out);

struct session_room {
    int64_t room;
    enum membership membership;
    int64_t position; /* where it became the membership, and ... */
    int64_t event;    /* ... the position of the member event */
    bool forgotten;   /* left, and told only to devices that have not heard of it */
};

/* The user's session, made when there is none; held until the job's arena is reset. */
const struct err *session_open(struct job *job, int64_t user, const char *user_id,
                               struct session **ret);

int64_t session_user(const struct session *s);

/* The waiter is woken when anything changes that this user can be told. Call before reading. Beyond
 * SESSION_WAITERS_MAX of one user the oldest is displaced (base/waiter.h). */
enum { SESSION_WAITERS_MAX = 200 };
void session_subscribe(struct session *s, struct waiter *w);

/* For one that is subscribed to the session: it is woken for events of this room too, in which the
 * user need not be. Call before reading. */
void session_await_room(struct session *s, struct waiter *w, int64_t room);

/* All rooms of the user, in the arena. */
void session_rooms(struct job *job, struct session *s, const struct session_room **ret,
                   size_t *ret_n);
/* Only the rooms with changes after `since`; false when the session does not reach back that far.
 */
bool session_rooms_changed_since(struct job *job, struct session *s, int64_t since,
                                 const struct session_room **ret, size_t *ret_n);
/* False: the user has nothing to do with the room. */
bool session_get_room(struct session *s, int64_t room, struct session_room *ret);
bool session_is_joined(struct session *s, int64_t room);

/* Which member events a device has been sent lately (lazy loading): true when this one is new to
 * it; it counts as sent from then on. since: of the reply that they are for. A device that asks
 * again for what it was told before has not got it: its next reply begins anew. */
bool session_member_is_new(struct session *s, int64_t device, int64_t since, int64_t room,
                           int64_t member, int64_t position);
void session_begin_reply(struct session *s, int64_t device, int64_t since);

/* The user has forgotten a room that they left. */
void session_forget_room(struct session_table *t, int64_t user, int64_t room);

/* Wakes everybody in a room for what is not in the log: typing. */
void session_wake_room(struct session_table *t, int64_t room);

/* Fills change->audience with the rooms whose members are told of a change of this user (device
 * lists, presence, profiles). Lives in the job's arena: use it for write_change. */
const struct err *session_fill_audience(struct job *job, struct change *change);

#endif

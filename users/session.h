/* Active users: for each local user who syncs, their rooms, what changed in them lately, and the
 * requests that wait. A feed listener keeps it up to date; it is loaded from room_members if it is
 * missing, and dropped after SESSION_IDLE_MS without use. */
#ifndef USERS_SESSION_H
#define USERS_SESSION_H

#include "base/waiter.h"
#include "rooms/room.h"

struct change;

enum { SESSION_IDLE_MS = 10 * 60 * 1000 };

struct session;
struct session_table;

struct session_table *session_table_create(struct node *node);
void session_table_destroy(struct session_table *t);
void session_table_on_settled(void *table); /* wakes waiters */
void session_table_on_changes(void *table, const struct change *changes,
                              size_t n); /* a listener (storage/db/feed.h) */
void session_table_add_metrics(struct session_table *t, struct buf *out);

struct session_room {
    int64_t room;
    enum membership membership;
    int64_t position; /* where this became the membership */
    int64_t event;    /* position of the member event */
    bool forgotten;   /* left; only sent to devices that were not sent the leave yet */
};

/* The user's session, created if missing; held until the job's arena is reset. */
const struct err *session_open(struct job *job, int64_t user, const char *user_id,
                               struct session **ret);
/* The same, but NULL if there is none. A session is notified of every event in its rooms, so only
 * requests that wait or read should create one. */
const struct err *session_find(struct job *job, int64_t user, struct session **ret);

int64_t session_user(const struct session *s);

/* The waiter is woken when anything changes that this user may be sent. Call before reading. Beyond
 * SESSION_WAITERS_MAX of one user the oldest is displaced (base/waiter.h). */
enum { SESSION_WAITERS_MAX = 200 };
void session_subscribe(struct session *s, struct waiter *w);

/* Also wakes a waiter that is subscribed to the session for events of this room. The user need not
 * be in it. Call before reading. */
void session_await_room(struct session *s, struct waiter *w, int64_t room);

/* All rooms of the user, in the arena. */
void session_rooms(struct job *job, struct session *s, const struct session_room **ret,
                   size_t *ret_n);
/* Only the rooms with changes after `since`; false if the session does not reach back that far. */
bool session_rooms_changed_since(struct job *job, struct session *s, int64_t since,
                                 const struct session_room **ret, size_t *ret_n);
/* False if the user has no membership in the room. */
bool session_get_room(struct session *s, int64_t room, struct session_room *ret);
bool session_is_joined(struct session *s, int64_t room);

/* Lazy loading: true if the recipient (a device, or one of its connections) was not sent this
 * member event lately; it then counts as sent. since: of the reply with the event. A recipient that
 * repeats an old `since` did not receive the reply, so its table is cleared. Of many recipients the
 * one that was sent nothing for the longest time is forgotten. */
bool session_member_is_new(struct session *s, int64_t recipient, int64_t since, int64_t room,
                           int64_t member, int64_t position);
void session_begin_reply(struct session *s, int64_t recipient, int64_t since);

/* Wakes all users in a room for what is not in the log, such as the end of typing. */
void session_wake_room(struct session_table *t, int64_t room);

/* Fills change->local.audience with the rooms whose members are sent a change of this user (device
 * lists, presence, profiles). Lives in the job's arena: use it for write_change. */
const struct err *session_fill_audience(struct job *job, struct change *change);

#endif

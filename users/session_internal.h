/* Shared by users/session.c (active users and their state) and users/session_follow.c (following
 * the log, and waking). */
#ifndef USERS_SESSION_INTERNAL_H
#define USERS_SESSION_INTERNAL_H

#include "base/lock.h"
#include "base/map.h"
#include "users/session.h"

enum { SESSION_RECENT = 128 };

/* A room with a change. */
struct recent {
    int64_t room, position;
};

/* Messages wake at once. In a crowded room every member's receipt for every message would wake all
 * members, so receipts there wake a few times a second. */
enum urgency { AT_ONCE, SOON, URGENCIES };

struct session_list {
    struct session **sessions;
    size_t n, cap; /* cap: allocated */
};

struct session {
    struct session_table *table;
    struct lock lock;
    int64_t user;
    struct map rooms;      /* rooms.id -> struct session_room */
    struct recent *recent; /* a ring of the newest changes in rooms; NULL before the first */
    size_t recent_n;       /* ever added */
    int64_t recent_from;   /* the ring is complete for changes after this position */
    struct waiter waiters; /* head of a circular list, the newest first */
    size_t waiters_n;
    struct sent_members *sent;
    bool loading;   /* rooms must be read from the database */
    uint64_t moves; /* counts changes that make rooms just read out of date */
    /* Under the table's lock: */
    int refs;
    int64_t used_mono_ms;
    bool dropped;
    bool listed[URGENCIES]; /* in the table's lists of sessions to wake */
};

struct session_table {
    struct lock lock;
    struct node *node;
    struct map sessions; /* users.id -> struct session */
    struct map watched;  /* rooms.id -> struct session_list: sessions that watch it */
    struct map awaited;  /* the same, of sessions that await it */
    unsigned opened;     /* since the last sweep */
    struct session_list pending[URGENCIES]; /* sessions to wake */
    struct worker_kind *wakes;              /* of the sessions of SOON */
    bool settling; /* changes are being applied: a session woken now would not find them */
};

/* session.c. Applies a member event at this position, unless a newer one is known. */
void session_put_room_locked(struct session *s, int64_t room, enum membership m, int64_t position,
                             int64_t event);

/* session_follow.c. The session of a joined member is woken for what happens in the room. */
void session_watch_locked(struct session_table *t, int64_t room, struct session *s);
void session_unwatch_locked(struct session_table *t, int64_t room, struct session *s);
/* The same for a session with waiters for the room. */
void session_await_locked(struct session_table *t, int64_t room, struct session *s);
void session_unawait_locked(struct session_table *t, int64_t room, struct session *s);
void session_forget_wake_locked(struct session_table *t, struct session *s);

/* Listens to the feed, and wakes the sessions of SOON now and then. */
void session_follow_start(struct session_table *t);
void session_follow_stop(struct session_table *t);

#endif

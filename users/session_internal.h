/* What users/session.c (who is active, and what they know) and users/session_follow.c (keeping them
 * in step with the log, and waking them) share. */
#ifndef USERS_SESSION_INTERNAL_H
#define USERS_SESSION_INTERNAL_H

#include "base/lock.h"
#include "base/map.h"
#include "users/session.h"

enum { SESSION_RECENT = 128 };

/* A room that has news. */
struct recent {
    int64_t room, position;
};

/* Messages are told at once. In a crowd everybody's receipt for every message would wake everybody:
 * there receipts are told together, a few times a second. */
enum urgency { AT_ONCE, SOON, URGENCIES };

struct session_list {
    struct session **sessions;
    size_t n, cap; /* room: for how many there is memory */
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
    uint64_t moves; /* counts what makes a reading of the rooms out of date */
    /* Under the table's lock: */
    int refs;
    int64_t used_mono_ms;
    bool dropped;
    bool listed[URGENCIES]; /* stands in the table's lists of sessions to wake */
};

struct session_table {
    struct lock lock;
    struct node *node;
    struct map sessions; /* users.id -> struct session */
    struct map watched;  /* rooms.id -> struct session_list: who watches it */
    struct map awaited;  /* the same, of those who only look into it for a while */
    unsigned opened;     /* since the last sweep */
    struct session_list pending[URGENCIES]; /* sessions to wake */
    pthread_t thread;                       /* wakes those who have time */
    bool running;                           /* the thread */
    pthread_cond_t stop;
    bool stopping;
    bool settling; /* changes are being listened to: who is woken now would not find them */
};

/* session.c. A member event at this position; an older one than is known changes nothing. */
void session_put_room_locked(struct session *s, int64_t room, enum membership m, int64_t position,
                             int64_t event);

/* session_follow.c. Who is told of what happens in a room: the sessions of its joined members. */
void session_watch_locked(struct session_table *t, int64_t room, struct session *s);
void session_unwatch_locked(struct session_table *t, int64_t room, struct session *s);
/* The same for sessions with waiters about the room. */
void session_await_locked(struct session_table *t, int64_t room, struct session *s);
void session_unawait_locked(struct session_table *t, int64_t room, struct session *s);
void session_forget_wake_locked(struct session_table *t, struct session *s);

/* Listens to the feed, and starts the thread that wakes those who have time. */
void session_follow_start(struct session_table *t);
void session_follow_stop(struct session_table *t);

#endif

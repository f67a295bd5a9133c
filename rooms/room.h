/* The cache of rooms: the state of each room in use, kept in step with the log.
 *
 * A struct room holds the head that writers build on (extremities, depth, version, counters) and
 * the committed current state. Writers hold the room's lock while they build
 * (rooms/write/append.c); readers use the functions here, which lock for themselves. Rooms are
 * shared and reference-counted: room_get keeps one for as long as the job's arena. If another node
 * commits to a room first, the room is dropped from the cache (room_forget) and reloaded.
 * Everything here can be rebuilt from the database. */
#ifndef ROOMS_ROOM_H
#define ROOMS_ROOM_H

#include "base/cache.h"
#include "matrix/auth/auth_rules.h"
#include "storage/db/job.h"
#include "storage/rooms/members.h"

struct room_cache;

struct room_member {
    int64_t user;
    const char *user_id; /* interned: lives as long as the process */
    int64_t position;    /* at which it became the membership, and ... */
    int64_t event;       /* ... the position of the member event */
    enum membership membership;
    bool is_local;
    bool has_own_rules; /* push rules differ from the predefined ones */
};

/* Fields marked (const) never change after loading; all others need the lock. */
struct room {
    struct cache_entry entry;
    struct lock lock;
    pthread_cond_t changed; /* broadcast when a writer that others wait for has finished */
    int64_t id;             /* (const) rooms.id */
    const char *room_id;    /* (const) */
    const struct room_version *version; /* (const) */

    /* The head: may be ahead of the log by writes in the committer's queue, ... */
    int64_t head_version, depth;
    int64_t notify_total, highlight_total;
    const char **extremities; /* event ids; malloc'd */
    size_t extremities_n;
    int64_t gather_again_mono; /* none of our users could merge the extremities: not tried again
                                  before this time */
    /* Grows when events off the timeline changed: one was moved into it, and got another position,
     * or a redaction was stored whose target is missing. Results of earlier look-ups are then
     * outdated. */
    _Atomic uint64_t off_timeline_version;
    _Atomic uint64_t foreign_heads;           /* times that another node's head became this one's */
    _Atomic int64_t foreign_ms, committed_ms; /* the last time, and of a write of our own:
                                                 mono_unmoved_ms(); rooms/writer.h */
    _Atomic int waiting; /* writes of the timeline in the committer's queue; grows under the lock */
    _Atomic bool has_large_conflict; /* as of the newest event of a fork (rooms/accept/accept.h) */
    bool busy; /* a writer needs the room alone until its write is committed; others wait for it */
    _Atomic bool stale; /* dropped from the cache: writers must get the room again */

    /* ... and so may be the state that writers build on (rooms/ahead.h). */
    struct map ahead;                 /* "type NUL state_key" -> struct ahead */
    struct map ahead_members;         /* users.id -> the same, of member events */
    int64_t state_queued, state_done; /* writes of state: queued, and finished */
    struct map annotations;           /* in the queue, by name (rooms/write/relations.h) */
    int wanted_alone;                 /* writers that wait until no write of state is queued */
    int waiting_behind;               /* writers that wait for those ... */
    int due; /* ... and how many of them may write before the next of those */

    /* Committed current state. */
    struct map state; /* "type NUL state_key" -> struct room_state_slot; members lazily */
    size_t state_but_members_n;
    struct map members; /* users.id -> struct room_member: all users who ever had one */
    int64_t joined_n, invited_n, joined_local_n;
    int64_t state_position; /* of the newest state change */
    int64_t gap; /* the newest event that may follow a gap (rooms/accept/history.h); 0: none */
    int64_t joined_at;  /* position of our join through another server; 0: created here */
    bool is_noted;      /* none of our users was ever in it (storage/rooms/noted_rooms.h) */
    bool is_partial;    /* partial state (rooms/accept/resync.h) */
    struct map servers; /* server name -> struct room_server: servers with joined members */
    int64_t *own_rules; /* users.id of joined local members with push rules of their own */
    size_t own_rules_n, own_rules_cap;
    int64_t rules_seen; /* follows changes of push rules up to here (rooms/own_rules.h) */

    size_t state_bytes;       /* of the state in memory */
    atomic_size_t bytes;      /* of all this, about */
    struct name_index *names; /* rooms/names.h; NULL: not built */
};

/* The current state event of that key, kept by the job's arena; NULL when there is none. */
const struct err *room_state(struct job *job, struct room *room, const char *type,
                             const char *state_key, const struct event **ret);
/* Reads the member events of these users together, except those that are in memory. */
const struct err *room_load_members(struct job *job, struct room *room, const char *const *user_ids,
                                    size_t n);
/* Also returns its position. */
const struct err *room_state_at_head(struct job *job, struct room *room, const char *type,
                                     const char *state_key, const struct event **ret,
                                     int64_t *ret_position);
/* All current state except member events, from memory. */
void room_state_without_members(struct job *job, struct room *room, const struct event *const **ret,
                                size_t *ret_n);

/* Is every state event in the cache at or before this position? Then they are the state there. */
bool room_state_is_older(struct room *room, int64_t position);

enum membership room_membership(struct room *room, int64_t user);
/* A copy of the member row; membership MEMBERSHIP_NONE if the user never had one. */
struct room_member room_member(struct room *room, int64_t user);
/* Are other servers in the room, or were they? */
bool room_is_shared(struct room *room);
/* The position of our server's join through another one; 0: the room was created here. */
int64_t room_join_position(struct room *room);
int64_t room_gap(struct room *room);
/* Replaces the gap `was`, which is closed, by the newest remaining one, `now`. */
void room_gap_closed(struct room *room, int64_t was, int64_t now);
int64_t room_joined_count(struct room *room);
int64_t room_invited_count(struct room *room);
/* Users with this membership; copied into the arena. local_only: only our own. */
void room_list_members(struct job *job, struct room *room, enum membership membership,
                       bool local_only, const struct room_member **ret, size_t *ret_n);

/* The string at content.key of a state event with an empty state key (name, topic, join_rule …);
 * NULL when absent. */
const struct err *room_state_text(struct job *job, struct room *room, const char *type,
                                  const char *key, const char **ret);

/* M_FORBIDDEN unless the user is joined. */
const struct err *room_need_joined(struct room *room, int64_t user);

/* An auth_state over the current state, for power levels and the like. Valid with the job's arena.
 */
const struct err *room_auth_state(struct job *job, struct room *room, const char *user_id,
                                  struct auth_state *ret);

/* For append.c and unread.c, with the lock held. */
struct room_state_slot {
    const struct event *event; /* owned reference */
    int64_t position;
    char key[]; /* the map's key */
};
struct room *room_create_unlisted(int64_t id, const char *room_id, const struct room_version *v);
void room_destroy_unlisted(struct room *room); /* a room that was never in the cache */
const struct err *room_load_state_locked(struct job *job, struct room *room, const char *type,
                                         const char *state_key, const struct event **ret);

#endif

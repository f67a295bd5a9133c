/* Shared by users/presence.c (what clients and other servers say, and when it is written),
 * users/presence_table.c (users, and the states of their devices), users/presence_nodes.c (several
 * nodes) and users/presence_events.c (what readers get). */
#ifndef USERS_PRESENCE_INTERNAL_H
#define USERS_PRESENCE_INTERNAL_H

#include "base/lock.h"
#include "base/map.h"
#include "users/presence.h"

#include <stdatomic.h>

enum {
    PRESENCE_KEEP_MS = 60 * 1000, /* after a sync: the usual long poll and a margin */
    PRESENCE_WRITE_MAX = 256      /* users in one write */
};

/* The last state of one device, valid until its time is up. */
struct device_presence {
    int64_t device; /* 0: a remote user's, or from before a restart */
    enum presence_state state;
    int64_t until; /* mono_ms */
    bool is_own;   /* this node heard of it, not another one */
};

struct presence_entry {
    struct presence_row shown; /* as last written; owns its texts */
    struct device_presence *states;
    size_t states_n;
    int64_t last_active_ts;
    int64_t *rooms; /* where it is sent: sorted */
    size_t rooms_n;
    bool dirty;                           /* to be written */
    bool lowers;                          /* a device says less than it did: `dirty` for that */
    bool is_foreign;                      /* another node wrote what is shown */
    bool lacks_rooms;                     /* they are not known yet */
    struct device_presence said;          /* the newest of this node */
    int64_t renewed_ms;                   /* mono_ms(): when its row was last written */
    struct presence_entry *newer, *older; /* by shown.position */
};

struct presence_table {
    struct lock lock;
    struct node *node;
    struct map entries; /* users.id -> struct presence_entry */
    struct presence_entry *newest, *oldest;
    _Atomic int64_t newest_position;
    struct worker_kind *writes;
    struct lease_job *lease; /* for ending states, while other nodes live */
    bool must_load;          /* changes were missed */
    int64_t *woken;          /* rooms with changes of other nodes, to be woken */
    _Atomic size_t woken_n;
    size_t woken_cap;
};

/* A user whose presence is to be written, and the rooms; a copy, entirely in the arena. */
struct presence_change {
    struct presence_row row;
    int64_t *rooms;
    size_t rooms_n;
    struct device_presence said;
    bool is_ended; /* all that made the user more than this */
};

/* ---- users/presence_table.c ---- */

/* A new one is last in the list of what was written. */
struct presence_entry *presence_entry_locked(struct presence_table *p, int64_t user,
                                             const char *user_id);
void presence_unlink_locked(struct presence_table *p, struct presence_entry *e);
void presence_link_newest_locked(struct presence_table *p, struct presence_entry *e);
/* NULL: the device has no state that is still valid. */
struct device_presence *presence_of_device_locked(struct presence_entry *e, int64_t device,
                                                  int64_t now);
/* keep_ms: how long it is valid; false: it was valid, and higher. */
bool presence_put_state_locked(struct presence_entry *e, int64_t device, enum presence_state state,
                               int64_t now, int64_t keep_ms, bool is_own);
/* This node heard it: it is to be written, if it changes what is shown. */
void presence_say_locked(struct presence_entry *e, int64_t device, enum presence_state state,
                         int64_t now, int64_t keep_ms);
void presence_remove_ended_locked(struct presence_entry *e, int64_t now);
/* now_ms() until which the state is valid. */
int64_t presence_valid_until_locked(const struct presence_entry *e, enum presence_state state,
                                    int64_t now);
/* May this node end states by itself? */
bool presence_may_end_locked(const struct presence_table *p, const struct presence_entry *e);

/* What is to be written: while other nodes live, no less than is shown, unless a device says so. */
void presence_take_locked(struct presence_table *p, struct arena *a, struct presence_entry *e,
                          int64_t now, struct presence_change *ret);
/* fence: of the lease, where states end. Finds the rooms and wakes them. */
const struct err *presence_write_pending(struct job *job, struct presence_change *list, size_t n,
                                         int64_t fence);
/* Where the user's presence is sent: sorted. */
const struct err *presence_find_rooms(struct job *job, const struct presence_row *who,
                                      int64_t **ret, size_t *ret_n);
void presence_set_rooms(struct presence_table *p, const struct presence_change *c);
void presence_wake_rooms(struct job *job, const struct presence_change *list, size_t n);
/* Each once. Sorts them. */
void presence_wake_each_room(struct presence_table *p, int64_t *rooms, size_t n);

/* ---- users/presence_nodes.c ---- */

/* A row that another node wrote before this one heard of it. */
void presence_adopt_locked(struct presence_table *p, const struct presence_row *row);
/* A change of another node. */
void presence_hear_locked(struct presence_table *p, const struct change *c);
/* What is only to be done with several nodes, once a second. */
const struct err *presence_follow_nodes(struct presence_table *p, struct job *job);

/* ---- users/presence_events.c ---- */

/* Do other nodes live, which may know of devices that this one does not? */
bool presence_has_others(const struct presence_table *p);

/* What the user is, as far as this node knows: also by what another node has written. */
enum presence_state presence_state_known(const struct presence_table *p,
                                         const struct presence_entry *e, int64_t now_mono_ms);
/* The highest state over the devices that this node heard of. */
enum presence_state presence_state_own(const struct presence_entry *e, int64_t now_mono_ms);
/* The highest state over all devices. */
enum presence_state presence_state_now(const struct presence_entry *e, int64_t now_mono_ms);

/* Appends the m.presence event. */
void presence_add_event(const struct presence_row *r, struct buf *out);

/* For qsort and bsearch of int64_t. */
int presence_by_number(const void *x, const void *y);

#endif

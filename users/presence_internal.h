/* Shared by users/presence.c (presence states and their changes in the log) and
 * users/presence_events.c (what readers get). */
#ifndef USERS_PRESENCE_INTERNAL_H
#define USERS_PRESENCE_INTERNAL_H

#include "base/lock.h"
#include "base/map.h"
#include "users/presence.h"

#include <stdatomic.h>

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

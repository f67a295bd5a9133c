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
};

struct presence_entry {
    struct presence_row shown; /* as last written; owns its texts */
    struct device_presence *states;
    size_t states_n;
    int64_t last_active_ts;
    int64_t *rooms; /* where it is sent: sorted */
    size_t rooms_n;
    bool dirty;                           /* to be written */
    struct presence_entry *newer, *older; /* by shown.position */
};

struct presence_table {
    struct lock lock;
    struct node *node;
    struct map entries; /* users.id -> struct presence_entry */
    struct presence_entry *newest, *oldest;
    _Atomic int64_t newest_position;
    struct worker_kind *writes;
};

/* The highest state over all devices. */
enum presence_state presence_state_now(const struct presence_entry *e, int64_t now_mono_ms);

/* Appends the m.presence event. */
void presence_add_event(const struct presence_row *r, struct buf *out);

/* For qsort and bsearch of int64_t. */
int presence_by_number(const void *x, const void *y);

#endif

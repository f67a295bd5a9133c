/* The state of a room as received from another server, before it becomes our room's: shared by
 * rooms/accept/remote_join.c and rooms/accept/resync.c. */
#ifndef ROOMS_ACCEPT_REMOTE_STATE_H
#define ROOMS_ACCEPT_REMOTE_STATE_H

#include "base/map.h"
#include "rooms/accept/remote_join.h"
#include "storage/rooms/events.h"

struct remote_state {
    const struct stored_event **events; /* stored, allowed by their auth events; each key once */
    size_t n;
    struct map by_key; /* all received events; freed with the job's arena */
};

/* Stores the received events as outliers, and keeps the allowed ones. */
const struct err *remote_state_store(struct job *job, struct room *room,
                                     const struct received_state *state, struct remote_state *ret);
const struct stored_event *remote_state_find(const struct remote_state *t, const char *type,
                                             const char *state_key);

/* Other writes wait for a large one, so a large state is added in pieces: at most this many
 * received events become current with the join, those first that the room needs at once. */
enum { REMOTE_STATE_AT_ONCE = 4000 };
/* Leaves in t->events those that are added with the join. *ret_divided: room_resync() must add the
 * rest. M_TOO_LARGE if even those that are needed at once are too many. */
const struct err *remote_state_divide(struct job *job, struct remote_state *t,
                                      const struct event *join, bool *ret_divided);

/* Makes it the current state, as change `at` of the write; `join` (may be NULL) is in the write
 * already. keep_members: members that were not received keep their membership. */
const struct err *remote_state_write(struct job *job, struct room *room,
                                     const struct remote_state *t, const struct event *join,
                                     bool keep_members, struct write *w, int at);

/* The current state of a former membership ends with the join where it was not received. If this is
 * more than REMOTE_STATE_AT_ONCE, ends so many, as change `at` of an earlier write. *ret_n: how
 * many; 0 if the rest can end with the join. */
const struct err *remote_state_end_former(struct job *job, struct room *room,
                                          const struct remote_state *t, const struct event *join,
                                          bool keep_members, struct write *w, int at,
                                          size_t *ret_n);

/* Writes the rows of one stored state event: its interval and membership. */
const struct err *remote_state_write_one(struct job *job, struct room *room,
                                         const struct stored_event *e, bool had_predecessor,
                                         struct write *w, int at);

#endif

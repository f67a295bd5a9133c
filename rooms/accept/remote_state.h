/* The state of a room as another server tells it, on its way into ours: shared by
 * rooms/accept/remote_join.c and rooms/accept/resync.c. */
#ifndef ROOMS_ACCEPT_REMOTE_STATE_H
#define ROOMS_ACCEPT_REMOTE_STATE_H

#include "base/map.h"
#include "rooms/accept/remote_join.h"
#include "storage/rooms/events.h"

struct remote_state {
    const struct stored_event **events; /* stored, and good by their auth events; each key once */
    size_t n;
    struct map by_key; /* all that was told; freed with the job's arena */
};

/* Stores what was told (outliers) and keeps what is good. */
const struct err *remote_state_store(struct job *job, struct room *room,
                                     const struct received_state *state, struct remote_state *ret);
const struct stored_event *remote_state_find(const struct remote_state *t, const char *type,
                                             const char *state_key);

/* Other writes wait for one that is large, so a large state comes in pieces: of what is told no
 * more than this many become current with the join, those first that the room needs at once. */
enum { REMOTE_STATE_AT_ONCE = 4000 };
/* Leaves in t->events what comes with the join. *ret_divided: room_resync() must add the rest.
 * M_TOO_LARGE when even what is needed at once is too much. */
const struct err *remote_state_divide(struct job *job, struct remote_state *t,
                                      const struct event *join, bool *ret_divided);

/* Makes it the current state, as change `at` of the write; `join` (may be NULL) is in the write
 * already. keep_members: members that were not told stay what they are. */
const struct err *remote_state_write(struct job *job, struct room *room,
                                     const struct remote_state *t, const struct event *join,
                                     bool keep_members, struct write *w, int at);

/* Of what is current of a former stay and was not told, more than REMOTE_STATE_AT_ONCE would end
 * with the join: ends so many of it, as change `at` of a write that comes before. *ret_n: how many;
 * 0 when the rest can end with the join. */
const struct err *remote_state_end_former(struct job *job, struct room *room,
                                          const struct remote_state *t, const struct event *join,
                                          bool keep_members, struct write *w, int at,
                                          size_t *ret_n);

/* The rows of one state event that is stored: its interval and membership. */
const struct err *remote_state_write_one(struct job *job, struct room *room,
                                         const struct stored_event *e, bool had_predecessor,
                                         struct write *w, int at);

#endif
